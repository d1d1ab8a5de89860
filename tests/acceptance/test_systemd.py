"""A bridge of several processes under something that listens like systemd."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from http.client import HTTPConnection

from tests.acceptance.running import AcceptanceCase
from tests.acceptance.test_drain import ENDED_WELL
from tests.support.bridge_process import BridgeProcess, eventually

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


class ActivatedTests(AcceptanceCase):
    """Whoever connects while the bridge is not there waits for it, and is not refused."""

    def check(self, workers: int, stop: Callable[[BridgeProcess], object]) -> None:
        providers = [{"name": "demo", "type": "demo"}]
        bridge = self.new_bridge(
            {"workers": workers, "aibridge": {"providers": providers}}, socket_activated=True
        )
        bridge.start()
        known = bridge.data_dir / "tokens.snapshot"
        eventually(known.exists, seconds=SECONDS, what="what it starts with the next time")
        for n in range(2):
            stop(bridge)
            waiting = [self.begin(bridge, f"nobody is there, {n}.{k}") for k in range(5)]
            bridge.start()
            answers = [each.getresponse() for each in waiting]
            bodies = [each.read() for each in answers]
            self.assertEqual([each.status for each in answers], [200] * 5, bodies)
            for body in bodies:
                self.assertIn(b"nobody is there", body)
        self.assertIn(bridge.terminate(), ENDED_WELL)

    def begin(self, bridge: BridgeProcess, prompt: str) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", bridge.port, timeout=SECONDS)
        self.addCleanup(connection.close)
        message = {"role": "user", "content": prompt}
        body = json.dumps({"model": "demo-text", "max_tokens": 64, "messages": [message]})
        headers = {"Authorization": f"Bearer {bridge.token()}", "Content-Type": "application/json"}
        connection.request("POST", "/demo/v1/messages", body, headers)
        return connection

    def test_after_sigterm(self) -> None:
        self.check(0, BridgeProcess.terminate)

    def test_after_kill(self) -> None:
        self.check(0, BridgeProcess.kill)

    def test_with_workers_after_sigterm(self) -> None:
        self.check(2, BridgeProcess.terminate)
