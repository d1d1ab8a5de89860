"""A start that is refused: told in a sentence, and over. Real processes, because they must end."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.bridge_process import BridgeProcess

_END_SECONDS = 30


class TakenPortTests(SynchronousTestCase):
    """Somebody else listens where clients should be served."""

    def setUp(self) -> None:
        """Take the port, and leave a dead process' journal, which a thread begins to read."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.bridge = BridgeProcess(directory=directory.absolute())
        for name in ("0001", "0002"):
            journal = self.bridge.data_dir / "journal" / name
            journal.mkdir(parents=True, mode=0o700)
            (journal / "lock").touch(0o600)
        taken = socket.create_server(("127.0.0.1", self.bridge.port))
        self.addCleanup(taken.close)

    def test_in_the_foreground_it_ends_with_a_sentence(self) -> None:
        """Nobody waits before a terminal, and systemd sees a failure."""
        code, said = self.run_twistd("--nodaemon", "--pidfile=")

        self.assertEqual(1, code)
        self.assertIn("AI Bridge cannot start: listen: cannot listen on", said)

    def test_a_daemon_tells_who_started_it(self) -> None:
        """The shell gets its prompt back, a failure, and no file with the id of nobody."""
        code, said = self.run_twistd("--pidfile=bridge.pid")

        self.assertEqual(1, code)
        self.assertIn("cannot listen on", said)
        self.assertFalse((self.bridge.directory / "bridge.pid").exists())

    def run_twistd(self, *flags: str) -> tuple[int, str]:
        twistd = Path(sys.executable).parent / "twistd"
        config = str(self.bridge.config)
        ended = subprocess.run(
            [sys.executable, str(twistd), *flags, "aibridge", "--config", config],
            cwd=self.bridge.directory,
            env=self.bridge.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_END_SECONDS,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr


class NoSocketTests(TakenPortTests):
    """The configuration names a socket of systemd's, which has handed over none."""

    def setUp(self) -> None:
        super().setUp()
        self.bridge.configure({"listen": "systemd:domain=INET:index=0"})

    def test_in_the_foreground_it_ends_with_a_sentence(self) -> None:
        code, said = self.run_twistd("--nodaemon", "--pidfile=")

        self.assertEqual(1, code)
        self.assertIn("AI Bridge cannot start: listen: systemd has not handed over", said)
        self.assertNotIn("Traceback", said)

    def test_a_daemon_tells_who_started_it(self) -> None:
        code, said = self.run_twistd("--pidfile=bridge.pid")

        self.assertEqual(1, code)
        self.assertIn("systemd has not handed over", said)
