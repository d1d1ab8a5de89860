"""Bridges as real processes, for acceptance tests, and what is asked of them from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from tests.support.bridge_process import BridgeProcess, eventually

RECORDED_SECONDS = 15.0
"""A record is in the database well before."""
COMMAND_SECONDS = 60.0
SAID_SECONDS = 15.0
LIST = "/api/v2/aibridge/interceptions"
_COMMAND = ("-c", "from bridge.cli.main import main; main()")
# What the installed script does.


class Closable(Protocol):
    """What leaves nothing behind once it is closed."""

    def close(self) -> None:
        """Leave nothing behind."""


T = TypeVar("T", bound=Closable)


class AcceptanceCase(SynchronousTestCase):
    """Blocks while it waits: everything it talks to is another process or thread."""

    def new_directory(self) -> Path:
        """Return an empty directory that goes away with the test."""
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        return Path(holder.name)

    def new_bridge(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        socket_activated: bool = False,
    ) -> BridgeProcess:
        """Return a bridge, not started, that ends with the test."""
        bridge = BridgeProcess(
            directory=self.new_directory(),
            settings=settings,
            environment=environment,
            flags=flags,
            socket_activated=socket_activated,
        )
        self.addCleanup(bridge.close)
        return bridge

    def recorded(self, bridge: BridgeProcess, prompt: str) -> dict[str, Any]:
        """Return the one ended interception whose prompt is `prompt`, as management shows it."""
        return recorded(bridge, prompt)


class Shared(Generic[T]):
    """What several tests only ask: made by the first of them, closed at the end of the run."""

    def __init__(self, make: Callable[[Path], T]) -> None:
        """Have `make` make it, in an empty directory of its own."""
        self._make = make
        self._made: T | None = None

    def get(self) -> T:
        """Return it; a bridge is ready."""
        if self._made is None:
            holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
            reactor.addSystemEventTrigger("after", "shutdown", holder.cleanup)
            made = self._make(Path(holder.name))
            reactor.addSystemEventTrigger("during", "shutdown", made.close)
            if isinstance(made, BridgeProcess):
                made.start()
            self._made = made
        return self._made


def message(model: str, prompt: str, **members: object) -> bytes:
    """Return the body of a request for a message."""
    turns = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "max_tokens": 64, "messages": turns, **members}).encode()


def said(bridge: BridgeProcess, text: str) -> str:
    """Wait until the bridge's output holds `text`, and return the output."""
    eventually(lambda: text in bridge.output, seconds=SAID_SECONDS, what=f"the words {text!r}")
    return bridge.output


def recorded(bridge: BridgeProcess, prompt: str) -> dict[str, Any]:
    """Wait for the one ended interception whose prompt is `prompt`, and return it."""
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        found[:] = [each for each in listed(bridge) if prompt in _prompts(each)]
        return bool(found) and all(each["status"] != "running" for each in found)

    eventually(ended, seconds=RECORDED_SECONDS, what=f"the record of {prompt!r}")
    assert len(found) == 1, found
    return found[0]


def command(bridge: BridgeProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `aibridge --config F` with these arguments, and return how it ended and what it said."""
    return subprocess.run(
        [sys.executable, *_COMMAND, "--config", str(bridge.config), *arguments],
        cwd=bridge.directory,
        env=bridge.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def listed(bridge: BridgeProcess, query: str = "") -> list[dict[str, Any]]:
    """Return what management lists; `query` is a URL's query."""
    status, _, body = bridge.ask("GET", LIST + query, token="admin")
    assert status == 200, body
    results: list[dict[str, Any]] = json.loads(body)["results"]
    return results


def _prompts(interception: Mapping[str, Any]) -> list[str]:
    return [each["prompt"] for each in interception["user_prompts"]]
