"""A client's run on the command line, and what the records must say of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest

from bridge.demo import script
from bridge.demo.script import Knobs, Turn
from bridge.demo.tools import Tool
from tests.acceptance.running import AcceptanceCase, Shared, listed, message, recorded
from tests.clients.npm import Package, Unavailable, installed, node_version
from tests.support.bridge_process import BridgeProcess, eventually

CLIENT_SECONDS = 120.0
LINKED_SECONDS = 10.0

_lines: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Counts as the records have them."""

    uncached: int
    cached: int
    output: int

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            uncached=self.uncached + other.uncached,
            cached=self.cached + other.cached,
            output=self.output + other.output,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a client, from start to end."""

    stdout: str
    stderr: str
    seconds: float
    records: Sequence[dict[str, Any]]
    """The interceptions that it led to, the first one first."""

    @property
    def events(self) -> Sequence[dict[str, Any]]:
        """What the client told in JSON, a line each."""
        lines = self.stdout.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def told(self, kind: str) -> Sequence[dict[str, Any]]:
        """Return the events of one type."""
        return [event for event in self.events if event["type"] == kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the records of a run must say."""

    prompt: str
    """What the human wrote."""
    sent: str = ""
    """What the client made of it, in the same text, that the model counts; empty when nothing."""
    model: str
    route: str
    tool: str
    arguments: Mapping[str, str]
    session: str | None = None
    """The client's own id of the session, None when it sends none."""
    asides: int = 0
    """Requests that the client makes for itself, in its own words: for a title."""
    tokens: Tokens | None = None
    """What the client itself has counted, None when it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A home and a fresh git repository; nothing else of this machine but its programs."""

    home: Path
    bridge: BridgeProcess
    environment: Mapping[str, str]

    @property
    def repository(self) -> Path:
        """Where the client works."""
        return self.home / "work"

    def write(self, path: str, text: str) -> None:
        """Write a file below the home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> Run:
        """Run a client to its end, and read the records of what it asked.

        Raises:
            AssertionError: it failed, or was not done in time.
        """
        last = max((each["id"] for each in listed(self.bridge)), default="")
        started = time.monotonic()
        code, stdout, stderr = self._ended([*map(str, command)], environment or {})
        seconds = time.monotonic() - started
        assert code == 0, f"{command} ended with {code}\n{stdout}\n{stderr}"
        return Run(stdout=stdout, stderr=stderr, seconds=seconds, records=_since(self.bridge, last))

    def _ended(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[int, str, str]:
        process = subprocess.Popen(
            command,
            cwd=self.repository,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=CLIENT_SECONDS)
        except subprocess.TimeoutExpired:
            _end_group(process.pid)
            stdout, stderr = process.communicate()
            raise AssertionError(f"{command} took too long\n{stdout}\n{stderr}") from None
        finally:
            _end_group(process.pid)  # what it left behind
        return process.returncode, stdout, stderr


class ClientCase(AcceptanceCase):
    """Has a client of one package, and a bridge with the demo provider."""

    package: Package
    label: str
    """What the records call the client."""

    def setUp(self) -> None:
        self.command = self.installed(self.package)
        self.bridge = shared.get()
        self.base_url = f"http://127.0.0.1:{self.bridge.port}/demo"
        self.token = self.bridge.token()
        self.place = self.new_place()

    def installed(self, package: Package) -> Path:
        """Return the command of a package; without it the test is skipped, in CI it fails."""
        try:
            return installed(package)
        except Unavailable as e:
            if os.environ.get("CI") == "true":
                self.fail(f"{package.specification} did not run: {e}")
            raise SkipTest(f"{package.specification}: {e}") from e

    def new_place(self, **environment: str) -> Workplace:
        """Return a place with a home of its own, that goes away with the test."""
        home = self.new_directory()
        place = Workplace(
            home=home,
            bridge=self.bridge,
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(home),
                "TMPDIR": str(home / "tmp"),
                "LANG": "C.UTF-8",
                "TERM": "dumb",
                **environment,
            },
        )
        (home / "tmp").mkdir()
        subprocess.run(
            ["git", "init", "--quiet", place.repository], env=place.environment, check=True
        )
        return place

    def assert_recorded(self, run: Run, expected: Expected) -> None:
        """Check the records of a run in which the client called one tool."""
        for record in run.records:
            self.check_request(record, expected)
        called = [each for each in run.records if each["tool_usages"]]
        self.assertEqual(len(called), 1, run.records)
        (asked,) = called
        (call,) = asked["tool_usages"]
        answered = [
            each
            for each in run.records
            if each["correlating_tool_call_id"] == call["provider_tool_call_id"]
        ]
        self.assertEqual(len(answered), 1, run.records)
        asides = [each for each in run.records if each not in (asked, *answered)]
        self.assertEqual(len(asides), expected.asides, asides)
        self.assertEqual([each["user_prompts"] for each in asides], [[]] * expected.asides)
        self.check_thread(asked, answered[0], call, expected)
        self.check_tokens(asked, answered[0], expected)
        self.note(run, expected)

    def check_request(self, record: dict[str, Any], expected: Expected) -> None:
        """Check what holds for every request of a run."""
        for name, value in {
            "client": self.label,
            "route": expected.route,
            "status": "completed",
            "http_status": 200,
            "streaming": True,
            "partially_observed": False,
            "provider_name": "demo",
            "credential_kind": "centralized",
            "client_session_id": expected.session,
        }.items():
            self.assertEqual(record[name], value, f"{name} of {record}")
        self.assertEqual(record["initiator"]["username"], "admin")
        (usage,) = record["token_usages"]
        self.assertEqual(usage["usage_source"], "provider_final")
        self.assertGreater(usage["input_tokens"], 0)
        self.assertGreater(usage["output_tokens"], 0)

    def check_thread(
        self,
        asked: dict[str, Any],
        answered: dict[str, Any],
        call: dict[str, Any],
        expected: Expected,
    ) -> None:
        """Check the request that got the tool call, and the one that brought its result."""
        (written,) = asked["user_prompts"]
        self.assertEqual(written["prompt"], expected.prompt)
        self.assertEqual(answered["user_prompts"], [])
        self.assertEqual((asked["model"], answered["model"]), (expected.model, expected.model))
        self.assertEqual(call["tool"], expected.tool)
        self.assertEqual(json.loads(call["input"]), expected.arguments)
        self.assertFalse(call["injected"])
        self.assertEqual((asked["thread_parent_id"], asked["thread_root_id"]), (None, None))
        self.assertEqual(answered["thread_parent_id"], asked["id"])
        self.assertEqual(answered["thread_root_id"], asked["id"])
        own = expected.session or asked["id"]
        self.assertEqual((asked["session_id"], answered["session_id"]), (own, own))

    def check_tokens(
        self, asked: dict[str, Any], answered: dict[str, Any], expected: Expected
    ) -> None:
        """Check the counts against what the demo computes, and what the client has counted."""
        sent = expected.sent or expected.prompt
        first = demo_tokens(expected.model, Turn(prompt=sent, answered=False), expected.tool)
        second = demo_tokens(expected.model, Turn(prompt=sent, answered=True), expected.tool)
        self.assertEqual((tokens_of(asked), tokens_of(answered)), (first, second))
        if expected.tokens is not None:
            self.assertEqual(expected.tokens, first + second)

    def note(self, run: Run, expected: Expected) -> None:
        """Have it told at the end that this was run."""
        version = f"{self.package.specification:36}"
        _lines.append(
            f"{version} {expected.route:22} {len(run.records)} requests  {run.seconds:5.1f} s  "
            f"{self.id().rpartition('.')[2].removeprefix('test_').replace('_', ' ')}"
        )


def demo_tokens(model: str, turn: Turn, tool: str) -> Tokens:
    """Return what the demo upstream counts for a turn in which it is offered `tool`."""
    offered = [] if turn.answered else [Tool(name=tool)]
    usage = script.said(model, turn, Knobs(), offered).usage
    return Tokens(
        uncached=usage.input_tokens, cached=usage.cache_read_tokens, output=usage.output_tokens
    )


def tokens_of(record: dict[str, Any]) -> Tokens:
    """Return what was recorded for a request."""
    (usage,) = record["token_usages"]
    return Tokens(
        uncached=usage["input_tokens"],
        cached=usage["cache_read_input_tokens"],
        output=usage["output_tokens"],
    )


def new_prompt(client: str) -> str:
    """Return a prompt, different every time, that makes the demo call a shell."""
    return f"Please use the tool for {client}, run {uuid4().hex[:8]}."


def _demo(directory: Path) -> BridgeProcess:
    providers = [{"name": "demo", "type": "demo"}]
    reactor.addSystemEventTrigger("after", "shutdown", _tell)
    return BridgeProcess(directory=directory, settings={"aibridge": {"providers": providers}})


shared = Shared(_demo)


def _tell() -> None:
    sys.stdout.write(f"\n\nRun with Node {node_version()}:\n")
    sys.stdout.writelines(f"  {line}\n" for line in _lines)


def _since(bridge: BridgeProcess, last: str) -> Sequence[dict[str, Any]]:
    """Return the interceptions after the one called `last`, the first one first.

    Records reach the database in the order in which they were written, so that all of them are
    there when a later one is; the links between them follow.
    """
    mark = f"The run is over: {uuid4().hex}"
    status, _, body = bridge.ask("POST", "/demo/v1/messages", message("demo-text", mark))
    assert status == 200, body
    end = recorded(bridge, mark)["id"]
    found: list[dict[str, Any]] = []

    def linked() -> bool:
        found[:] = [each for each in listed(bridge, "?limit=1000") if last < each["id"] < end]
        follow = [each for each in found if each["correlating_tool_call_id"]]
        return all(each["thread_root_id"] and each["session_id"] for each in follow)

    eventually(linked, seconds=LINKED_SECONDS, what="the requests to be linked")
    return sorted(found, key=lambda each: each["id"])


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
