"""Everything that anybody says is in both logs, safely."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from typing import Any

import structlog
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python import log as legacy_log

from bridge.telemetry.logs import LogStreams, configure
from bridge.telemetry.streams import LogTargetError
from tests import drop_logs
from tests.support.cases import BridgeTestCase

_CHILD = """
import structlog
from twisted.internet.task import Clock
from bridge.telemetry.logs import configure
clock = Clock(); clock.rightNow = 1_790_000_000.0
streams = configure(log_human={human!r}, log_json={json!r}, level="info", clock=clock)
structlog.get_logger("child").info("spoken", n=1)
streams.close()
structlog.get_logger("child").info("after")
"""


class LogsCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = self.temporary_directory()
        self.human, self.json = folder / "human.log", folder / "json.log"
        self.streams = self.configured()

    def configured(self, level: str = "info") -> LogStreams:
        streams = configure(
            log_human=str(self.human),
            log_json=str(self.json),
            level=level,
            clock=self.clock,
            cache=False,
        )
        self.addCleanup(drop_logs)
        self.addCleanup(streams.close)
        return streams

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.json.read_bytes().splitlines()]


class ContentTests(LogsCase):
    def test_json_line_has_time_level_message_and_fields(self) -> None:
        """One object a line, in the agreed names."""
        structlog.get_logger("bridge.x").bind(leg=2).info("leg finished", status=200)

        self.assertEqual(
            self.entries(),
            [
                {
                    "ts": "2026-09-21T14:13:20.000000Z",
                    "level": "info",
                    "event": "leg finished",
                    "logger": "bridge.x",
                    "leg": 2,
                    "status": 200,
                }
            ],
        )

    def test_human_line_is_readable(self) -> None:
        """The same entry for people; values with spaces are quoted."""
        structlog.get_logger("bridge.x").warning("leg finished", leg=2, why="so it is", ok=True)

        self.assertEqual(
            self.human.read_text(),
            "2026-09-21T14:13:20.000Z warning  leg finished "
            'leg=2 why="so it is" ok=true [bridge.x]\n',
        )

    def test_human_line_cannot_be_forged(self) -> None:
        """Control and bidi characters from outside stay visible and in their line."""
        structlog.get_logger().info("x\n2026 error", name="\x1b[1m\u202ea b\n")

        text = self.human.read_text()
        self.assertEqual(text.count("\n"), 1)
        self.assertIn('x\\n2026 error name="\\x1b[1m\\u202ea b\\n"', text)

    def test_secrets_are_masked_in_both(self) -> None:
        """Neither by name nor by shape does a secret get through, in traceback or message."""
        secret = "aib_0123456789Ab_" + "S" * 49
        try:
            raise ValueError(secret)
        except ValueError:
            structlog.get_logger().exception(f"bad {secret}", authorization=secret, other=[secret])

        written = self.human.read_text() + self.json.read_text()
        self.assertNotIn("SSSSS", written)
        self.assertIn("ValueError: aib_0123456789Ab_...", written)

    def test_traceback_is_in_both(self) -> None:
        """An exception given or being handled is shown; its lines cannot pass for entries."""
        structlog.get_logger().error("broke", exc_info=ValueError("one\n2026 two"))

        self.assertIn("ValueError: one\n2026 two", self.entries()[0]["exception"])
        self.assertIn("\n    ValueError: one\n    2026 two\n", self.human.read_text())

    def test_awkward_values_do_not_raise(self) -> None:
        """Lone surrogates, huge integers, colliding names: a line all the same."""
        structlog.get_logger().info("x", s="\ud800", n=2**70, level="mine", ts=float("nan"))

        entry = self.entries()[0]
        self.assertEqual((entry["level"], entry["level_"], entry["n"]), ("info", "mine", 2**70))
        self.assertEqual(self.streams.faults, 0)

    def test_level_filters_and_can_change(self) -> None:
        """Entries below the level are not written; the level can change while running."""
        log = structlog.get_logger()
        log.debug("one")
        self.streams.set_level("debug")
        log.debug("two")
        self.streams.set_level("error")
        log.warning("three")

        self.assertEqual([entry["event"] for entry in self.entries()], ["two"])


class SourcesTests(LogsCase):
    def test_twisted_events_are_taken_in(self) -> None:
        """Twisted's loggers, new and old, say it here too."""
        Logger("tw").warn("hello {name}", name="you")
        legacy_log.msg("older")

        self.assertEqual(
            [(e["level"], e["event"]) for e in self.entries()],
            [("warning", "hello you"), ("info", "older")],
        )

    def test_twisted_failure_has_its_traceback(self) -> None:
        """What nobody handled is in the log with where it came from."""
        try:
            raise ZeroDivisionError("nought")
        except ZeroDivisionError:
            Logger("tw").failure("surprised")
            legacy_log.err(None, "older way")
        self.flushLoggedErrors(ZeroDivisionError)

        entries = self.entries()
        self.assertEqual([e["event"] for e in entries], ["surprised", "older way"])
        self.assertTrue(all("ZeroDivisionError: nought" in e["exception"] for e in entries))

    def test_libraries_and_warnings_are_taken_in(self) -> None:
        """The standard library's logging and warnings say it here too."""
        logging.getLogger("lib").error("no %s", "luck")
        logging.getLogger("lib").warning("bad format %d", "x")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=False)
            logging.captureWarnings(capture=True)
            warnings.warn("old thing", stacklevel=1)

        events = [e["event"] for e in self.entries()]
        self.assertEqual(events[:2], ["no luck", "bad format %d"])
        self.assertIn("old thing", events[2])

    def test_close_lets_go_of_everything(self) -> None:
        """After close nothing is written and nobody is observed."""
        self.streams.close()

        Logger("tw").warn("x")
        logging.getLogger("lib").error("x")
        structlog.get_logger().error("x")

        self.assertEqual((self.json.read_bytes(), self.streams.faults), (b"", 0))


class TargetTests(BridgeTestCase):
    def child(
        self, human: str, as_json: str, **descriptors: Any
    ) -> subprocess.CompletedProcess[str]:
        code = _CHILD.format(human=human, json=as_json)
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=not descriptors,
            text=True,
            check=True,
            timeout=60,
            env={"PYTHONPATH": ":".join(p or "." for p in sys.path)},
            **descriptors,
        )

    def test_standard_descriptors_are_used(self) -> None:
        """/dev/stderr and /dev/stdout are descriptors 2 and 1; nothing comes after close."""
        done = self.child("/dev/stderr", "/dev/stdout")

        self.assertEqual(done.stderr, "2026-09-21T14:13:20.000Z info     spoken n=1 [child]\n")
        self.assertEqual(json.loads(done.stdout)["event"], "spoken")

    def test_closed_reader_is_survived(self) -> None:
        """EPIPE on standard error does not stop the program."""
        import os

        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)

        done = self.child("/dev/stderr", "", stderr=writer, stdout=subprocess.DEVNULL)

        self.assertEqual(done.returncode, 0)

    def test_second_target_that_fails_leaves_nothing_behind(self) -> None:
        """A wrong path is one sentence, and logging is as it was."""
        before = structlog.get_config()

        with self.assertRaisesRegex(LogTargetError, "does not exist"):
            configure(
                log_human="",
                log_json="/nonexistent/x.log",
                level="info",
                clock=Clock(),
                cache=False,
            )

        self.assertEqual(structlog.get_config(), before)
