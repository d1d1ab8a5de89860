"""A bridge of several processes under something that listens like systemd."""

from __future__ import annotations

import signal
import socket

from tests.acceptance.running import AcceptanceCase
from tests.support.bridge_process import eventually

SECONDS = 30.0


class SystemdTests(AcceptanceCase):
    def test_systemd_is_told_of_start_reload_and_stop_and_by_the_parent_only(self) -> None:
        path = self.new_directory() / "notify"
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(heard.close)
        heard.bind(str(path))
        heard.setblocking(False)
        said: list[str] = []

        def until(word: str, times: int = 1) -> None:
            """Wait until systemd has heard `word` so often."""

            def is_there() -> bool:
                try:
                    said.append(heard.recv(4096).decode())
                except BlockingIOError:
                    pass  # later
                return sum(each.startswith(word) for each in said) >= times

            eventually(is_there, seconds=SECONDS, what=f"{word}, {times} times: {said}")

        bridge = self.new_bridge(
            {"workers": 1, "aibridge": {"providers": [{"name": "demo", "type": "demo"}]}},
            environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"},
        )
        bridge.start()
        until("READY=1")
        until("STATUS=serves http://127.0.0.1:")
        until("WATCHDOG=1", 3)

        bridge.signal(signal.SIGHUP)
        until("RELOADING=1")
        until("READY=1", 2)

        bridge.terminate()
        until("STOPPING=1")
        self.assertEqual(sum(each.startswith("STOPPING=1") for each in said), 1)
