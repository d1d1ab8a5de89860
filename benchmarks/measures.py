"""The measurements: each puts one load on one server and returns numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.load import Job
from benchmarks.servers import Cores, Server, cpu_seconds, pids_of, pin, resident_bytes
from benchmarks.speech import Speech
from tests.support.bridge_process import ROOT, eventually

CONNECTIONS = 32
_PROMPT_CHARACTERS = 1900
"""Makes a request of about 2 kB."""
_ANSWER = {"x-demo-events": "25", "x-demo-event-bytes": "25"}
"""Makes an answer of about 1 kB."""
_BRIEF = {"x-demo-events": "3"}
_EVENT_CHARACTERS = 40
"""Makes an event of about 150 bytes."""
_INTERVAL_SECONDS = 0.01
_SYSTEM_CHARACTERS = 15_000
_TOOLS = 20
_TOOL_CHARACTERS = 3_000
_HISTORY = 10
_TURN_CHARACTERS = 1_400
# With its tools, system prompt and history a coding agent's request is about 90 kB.
_FIRST_STREAMS = 40
_HELD_STREAMS = 200
_MICRO = 1e6
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Small blocking requests as fast as they go."""

    per_second: float
    cpu_microseconds: float
    """Processor time of the server for each."""
    busy: float
    """Share of a core that the server had: below about 0.95 something else limited it."""
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """Paced streams side by side."""

    cpu_microseconds: float
    """Processor time of the server for each event."""
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Time to the first byte, one stream at a time; seconds."""

    p50: float
    p99: float
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident bytes."""

    held: int
    """With all streams open."""
    per_stream: float
    """What each added, beyond the first ones, which also paid for what is allocated once."""
    done: int


class LoadFailed(Exception):  # noqa: N818  # reads as a sentence
    """The load did not get the answers that it should; says which."""


def throughput(server: Server, cores: Cores, seconds: float) -> Throughput:
    """Ask for small messages on 32 connections."""
    job = _job(server, "requests", _small(server, _ANSWER, stream=False), _ANSWER, seconds=seconds)
    pids = pids_of(server)
    before = sum(map(cpu_seconds, pids))
    result = _run(job, cores)
    used = sum(map(cpu_seconds, pids)) - before
    return Throughput(
        per_second=result["done"] / result["seconds"],
        cpu_microseconds=used / result["done"] * _MICRO,
        busy=used / result["seconds"],
        done=result["done"],
    )


def streaming(server: Server, cores: Cores, events: int, streams: int = CONNECTIONS) -> Streaming:
    """Read so many streams of `events` events at once, 100 a second each."""
    knobs = _streamed(server.speech, events)
    body = _small(server, knobs, stream=True)
    job = _job(server, "streams", body, knobs, connections=streams)
    pids = pids_of(server)
    before = sum(map(cpu_seconds, pids))
    result = _run(job, cores)
    used = sum(map(cpu_seconds, pids)) - before
    return Streaming(cpu_microseconds=used / (streams * events) * _MICRO, done=result["done"])


def delay(server: Server, cores: Cores, count: int) -> Delay:
    """Begin short streams one after the other, with pauses."""
    knobs = _BRIEF
    job = _job(
        server,
        "first_bytes",
        _small(server, knobs, stream=True),
        knobs,
        connections=1,
        count=count,
    )
    times = sorted(_run(job, cores)["first_bytes"])
    return Delay(
        p50=times[len(times) // 2], p99=times[min(len(times) - 1, len(times) * 99 // 100)],
        done=len(times),
    )  # fmt: skip


def memory(server: Server, cores: Cores) -> Memory:
    """Open 200 streams with large requests, and see how the memory grows after the first."""
    body = _large()
    knobs = {"x-demo-events": "600"}
    more = _HELD_STREAMS - _FIRST_STREAMS
    with _held(_job(server, "hold", body, knobs, connections=_FIRST_STREAMS), cores):
        before = _settled(pids_of(server))
        with _held(_job(server, "hold", body, knobs, connections=more), cores):
            after = _settled(pids_of(server))
    return Memory(held=after, per_stream=(after - before) / more, done=_HELD_STREAMS)


def _settled(pids: Sequence[int]) -> int:
    """Return the resident bytes when they have not grown for a while."""
    seen: list[int] = []

    def steady() -> bool:
        seen.append(sum(map(resident_bytes, pids)))
        return len(seen) > 5 and max(seen[-5:]) == min(seen[-5:])

    try:
        eventually(steady, seconds=_SETTLE_SECONDS, what="steady memory", pause_seconds=0.1)
    except AssertionError:
        pass  # it breathes; the last look is as good as any
    return seen[-1]


def models(speech: Speech, events: int) -> Sequence[str]:
    """Return the names of the models that all measurements but `memory` ask for."""
    return [speech.model(knobs) for knobs in (_ANSWER, _streamed(speech, events), _BRIEF)]


def _streamed(speech: Speech, events: int) -> Mapping[str, str]:
    return {
        "x-demo-events": str(events - speech.frame_events),
        "x-demo-event-bytes": str(_EVENT_CHARACTERS),
        "x-demo-interval": str(_INTERVAL_SECONDS),
    }


def _small(server: Server, knobs: Mapping[str, str], *, stream: bool) -> str:
    prompt = "benchmark " * (_PROMPT_CHARACTERS // 10)
    return server.speech.body(server.speech.model(knobs), prompt, stream)


def _large() -> str:
    """Return a request such as a coding agent sends: much context, a short prompt."""
    turn = "word " * (_TURN_CHARACTERS // 5)
    turns = [
        {"role": ("user", "assistant")[n % 2], "content": [{"type": "text", "text": turn}]}
        for n in range(_HISTORY)
    ]
    tools = [
        {
            "name": f"Tool{n}",
            "description": "Does something. " * (_TOOL_CHARACTERS // 16),
            "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}},
        }
        for n in range(_TOOLS)
    ]
    return json.dumps(
        {
            "model": "demo-slow",
            "max_tokens": 1024,
            "stream": True,
            "system": "Be useful. " * (_SYSTEM_CHARACTERS // 11),
            "tools": tools,
            "messages": [*turns, {"role": "user", "content": "And now?"}],
        }
    )


def _job(server: Server, kind: str, body: str, knobs: Mapping[str, str], **more: Any) -> Job:
    headers = {
        "Content-Type": "application/json",
        "anthropic-version": "2023-06-01",
        **server.headers,
        **{name.replace("x-demo-", server.speech.knobs): value for name, value in knobs.items()},
    }
    more.setdefault("connections", CONNECTIONS)
    return Job(
        kind=kind, port=server.port, path=server.path, headers=headers, body=body,
        gap_seconds=0.003, **more,
    )  # fmt: skip


def _run(job: Job, cores: Cores) -> dict[str, Any]:
    with _held(job, cores) as result:
        return result


@contextmanager
def _held(job: Job, cores: Cores) -> Iterator[dict[str, Any]]:
    """Run a load; inside the block a `hold` is held."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        pin(process.pid, cores.rest)
        process.stdin.write(json.dumps(asdict(job)) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        result: dict[str, Any] = json.loads(line) if line else {"problem": "the load broke"}
        if result["problem"] or not result["done"]:
            raise LoadFailed(f"port {job.port}, {job.kind}: {result}")
        yield result
        process.stdin.close()
