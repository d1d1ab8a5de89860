"""A session with a thread that is longer than two pages of the API, and two threads after it."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.domain.records import Record
from tests.pages.seeding import Company

LONG = 320
"""Requests of the first thread: more than two pages of them."""


def long_session(name: str, seed: int) -> tuple[list[Record], list[str], list[str]]:
    """Return its records, and the ids of its requests and of its threads, both in order."""
    made = Company(datetime.now(UTC), seed=seed)
    requests = []
    call = None
    for n in range(LONG):
        start = made.request(
            minutes_ago=600 - n / 2,
            prompt="Rename it everywhere." if n == 0 else f"Part {n}." if n == 200 else None,
            tools=[("Bash", {"command": f"step {n}"})],
            correlating_tool_call_id=call,
            client_session_id=name,
            usage={"metadata": {"odd": 1}},
        )
        call = made.call_id(start)
        requests.append(start)
    requests += [
        made.request(minutes_ago=100 - n, prompt=f"After it, {n}.", client_session_id=name)
        for n in (1, 2)
    ]
    ids = [str(each.id) for each in requests]
    return made.records, ids, [ids[0], *ids[LONG:]]
