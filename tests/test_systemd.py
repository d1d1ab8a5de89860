"""What systemd hears of the service, on a socket like its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from bridge.systemd import Systemd
from tests.support.cases import BridgeTestCase

UNIT = Path(__file__).resolve().parents[1] / "etc" / "aibridge.service"


class SystemdTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.temporary_directory() / "notify"
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.heard.close)
        self.heard.bind(str(self.path))
        self.heard.setblocking(False)

    def systemd(self, **environment: str) -> Systemd:
        systemd = Systemd({"NOTIFY_SOCKET": str(self.path), **environment}, reactor=self.clock)
        self.addCleanup(systemd.close)
        return systemd

    def said(self) -> list[str]:
        """Return what has come since the last call, a datagram each."""
        found = []
        while True:
            try:
                found.append(self.heard.recv(4096).decode())
            except BlockingIOError:
                return found

    def test_ready_reloading_and_stopping_are_told(self) -> None:
        systemd = self.systemd()

        systemd.ready("listens")
        systemd.status("serves")
        systemd.reloading()
        systemd.stopping("ends")

        ready, status, reloading, stopping = self.said()
        self.assertEqual(ready, "READY=1\nSTATUS=listens")
        self.assertEqual(status, "STATUS=serves")
        self.assertRegex(reloading, r"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
        self.assertEqual(stopping, "STOPPING=1\nSTATUS=ends")

    def test_the_watchdog_is_fed_twice_in_its_time_once_all_is_ready(self) -> None:
        systemd = self.systemd(WATCHDOG_USEC="10000000", WATCHDOG_PID=str(os.getpid()))
        self.clock.advance(60)
        self.assertEqual(self.said(), [])

        systemd.ready("listens")
        self.clock.pump([5.0] * 4)

        self.assertEqual(self.said().count("WATCHDOG=1"), 5)
        systemd.close()
        self.clock.pump([5.0] * 4)
        self.assertEqual(self.said(), [])

    def test_anothers_watchdog_is_left_alone(self) -> None:
        systemd = self.systemd(WATCHDOG_USEC="10000000", WATCHDOG_PID="1")

        systemd.ready("listens")
        self.clock.advance(60)

        self.assertEqual(self.said(), ["READY=1\nSTATUS=listens"])

    def test_without_systemd_nothing_is_said(self) -> None:
        systemd = Systemd({}, reactor=self.clock)

        systemd.ready("listens")
        systemd.stopping("ends")

        self.assertEqual(self.said(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_systemd_that_is_gone_disturbs_nobody(self) -> None:
        systemd = self.systemd()
        self.path.unlink()

        systemd.ready("listens")

        self.assertEqual(self.said(), [])

    def test_the_units_are_such(self) -> None:
        program = shutil.which("systemd-analyze")
        if program is None:
            self.skipTest("systemd is not installed")
        unit = self.temporary_directory() / "aibridge.service"
        text = UNIT.read_text().replace("/opt/aibridge/bin/twistd", "/bin/true")
        unit.write_text(text)
        address = unit.with_suffix(".socket")
        address.write_text(UNIT.with_suffix(".socket").read_text())

        done = subprocess.run(
            [program, "verify", "--man=no", str(unit), str(address)],
            capture_output=True,
            text=True,
            check=False,
        )

        about_us = [line for line in done.stderr.splitlines() if "aibridge" in line]
        self.assertEqual(about_us, [], done.stderr)
        self.assertIn("Type=notify", text)
