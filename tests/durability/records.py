"""What Postgres holds of a load, and whether it is what the load's ledger says it must be."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from bridge.demo.script import TEXT, Knobs, text_pieces, usage_for
from tests.durability.load import COMPLETE, Attempt

_ROWS = """
SELECT i.id::text, i.kind, i.status, i.http_status, i.ended_at, i.bytes_out, i.response_sha256,
       i.client_sha256, i.streaming, i.partially_observed,
       coalesce((SELECT jsonb_agg(p.prompt) FROM aibridge_user_prompts p
                 WHERE p.interception_id = i.id), '[]') AS prompts,
       coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM aibridge_token_usages t
                 WHERE t.interception_id = i.id), '[]') AS tokens,
       (SELECT count(*) FROM aibridge_legs l WHERE l.interception_id = i.id) AS legs
FROM aibridge_interceptions i
"""
_STRAYS = """
SELECT count(*) FROM (
    SELECT interception_id FROM aibridge_user_prompts
    UNION ALL SELECT interception_id FROM aibridge_token_usages
    UNION ALL SELECT interception_id FROM aibridge_legs
) AS part WHERE NOT EXISTS (SELECT FROM aibridge_interceptions i WHERE i.id = interception_id)
"""
_OPEN = "SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NULL"
_STORED = "SELECT count(*) FROM aibridge_interceptions"
_SUMS = """
SELECT (SELECT ROW(count(*), sum(input_tokens), sum(output_tokens))::text
        FROM aibridge_interceptions i LEFT JOIN aibridge_token_usages t ON t.interception_id = i.id)
     = (SELECT ROW(sum(interceptions), sum(input_tokens), sum(output_tokens))::text
        FROM aibridge_sessions)
"""

_KILLED = frozenset({"completed", "lost"})
_DEFINED = _KILLED | {"client_abort", "upstream_error", "gateway_abort"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one answer."""

    input_tokens: int
    cache_read_tokens: int
    output_tokens: int


def attempts_in(ledger: Path) -> list[Attempt]:
    """Return what is in the ledger, which may still be written."""
    if not ledger.exists():
        return []
    whole, _, _ = ledger.read_text("utf-8").rpartition("\n")
    return [Attempt(**json.loads(line)) for line in whole.splitlines()]


class Records:
    """The rows of one bridge, read directly from its database."""

    def __init__(self, address: str) -> None:
        """Read from the database at `address`; connects at every question."""
        self._address = address

    def open(self) -> int:
        """Return how many interceptions are stored without an end."""
        return int(self._ask(_OPEN)[0][0])

    def stored(self) -> int:
        """Return how many interceptions are stored."""
        return int(self._ask(_STORED)[0][0])

    def sessions_agree(self) -> bool:
        """Whether the sessions count every interception and token once."""
        return bool(self._ask(_SUMS)[0][0])

    def states(self) -> dict[str, int]:
        """Return how many interceptions ended in which state."""
        sql = "SELECT coalesce(status, 'open'), count(*) FROM aibridge_interceptions GROUP BY 1"
        return dict(self._ask(sql))

    def faults(self, attempts: Sequence[Attempt]) -> list[str]:
        """Return a sentence for everything that is not as `attempts` say."""
        rows: dict[str, list[Any]] = defaultdict(list)
        faults = []
        for row in self._ask(_ROWS):
            if len(row["prompts"]) != 1:
                faults.append(f"{row['id']}: {len(row['prompts'])} prompts")
            for prompt in row["prompts"]:
                rows[prompt].append(row)
        for attempt in attempts:
            found = _faults(attempt, rows.pop(attempt.prompt, []))
            label = f"{attempt.nonce} ({attempt.outcome} {attempt.status})"
            faults += [f"{label}: {fault}" for fault in found]
        faults += [f"a row of no attempt: {prompt[:40]!r}" for prompt in rows]
        if strays := self._ask(_STRAYS)[0][0]:
            faults.append(f"{strays} rows belong to no interception")
        return faults

    def _ask(self, sql: str) -> list[Any]:
        connection = psycopg2.connect(
            self._address, cursor_factory=psycopg2.extras.DictCursor, connect_timeout=10
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()


def _faults(attempt: Attempt, rows: Sequence[Any]) -> Iterator[str]:
    fewest, most, states = _allowed(attempt)
    if not fewest <= len(rows) <= most:
        yield f"{len(rows)} rows, not {fewest}" + (f" to {most}" if most > fewest else "")
    for row in rows:
        if row["status"] not in states or row["ended_at"] is None:
            yield f"end state {row['status']}, not one of {sorted(states)}"
        if row["kind"] != "intercepted" or row["streaming"] is not attempt.streaming:
            yield f"a row of another kind: {row['kind']}, streaming {row['streaming']}"
        if row["legs"] > 1 or len(row["tokens"]) > 1:
            yield f"{row['legs']} legs, {len(row['tokens'])} token usages"
        if row["status"] == "completed":
            yield from _of_completed(attempt, row)
        elif row["status"] == "lost":
            yield from _of_lost(attempt, row)
        if attempt.outcome == COMPLETE:
            yield from _of_seen(attempt, row)


def _allowed(attempt: Attempt) -> tuple[int, int, frozenset[str]]:
    """Return how many rows there may be, at least and at most, and in which states."""
    ok = attempt.status == 200
    match attempt.outcome:
        case "complete" if ok:
            return 1, 1, frozenset({"completed"})
        case "complete" if attempt.status in {502, 504}:
            return 1, 1, frozenset({"upstream_error"})
        case "complete" | "refused":
            return 0, 0, frozenset()
        case _ if ok:
            # Nothing is answered before its start is written down.
            return 1, 1, _KILLED
    return 0, 1, _DEFINED


def _of_completed(attempt: Attempt, row: Any) -> Iterator[str]:
    expected = expected_usage(attempt)
    found = [(_usage(tokens), tokens["usage_source"]) for tokens in row["tokens"]]
    if found != [(expected, "provider_final")]:
        yield f"completed with {found}, not {expected}"
    if row["legs"] != 1 or row["http_status"] != 200 or row["partially_observed"]:
        yield f"completed with {row['legs']} legs, status {row['http_status']}, or only in part"


def _of_lost(attempt: Attempt, row: Any) -> Iterator[str]:
    """What the client has seen of a cut answer was written down before it was sent on."""
    final = expected_usage(attempt)
    partial = Usage(
        input_tokens=final.input_tokens, cache_read_tokens=final.cache_read_tokens, output_tokens=1
    )
    found = [_usage(tokens) for tokens in row["tokens"]]
    allowed = [[partial], [final], *([] if attempt.began else [[]])]
    if found not in allowed:
        yield f"lost with {found}"


def _of_seen(attempt: Attempt, row: Any) -> Iterator[str]:
    """What the client has counted itself."""
    if attempt.status == 200:
        seen = Usage(
            input_tokens=attempt.input_tokens,
            cache_read_tokens=attempt.cache_read_tokens,
            output_tokens=attempt.output_tokens,
        )
        if seen != expected_usage(attempt):
            yield f"the client was told {seen}"
    sha256 = row["client_sha256"] or row["response_sha256"]
    if attempt.status == 200 and sha256 != attempt.body_sha256:
        yield f"another answer than the client's: {sha256}, not {attempt.body_sha256}"
    if row["bytes_out"] != attempt.body_bytes:
        yield f"{row['bytes_out']} bytes, and the client has read {attempt.body_bytes}"


def expected_usage(attempt: Attempt) -> Usage:
    """Return the token counts of the whole answer."""
    pieces = text_pieces(TEXT, attempt.prompt, Knobs(events=attempt.events))
    usage = usage_for(attempt.prompt, len(pieces))
    return Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        output_tokens=usage.output_tokens,
    )


def _usage(tokens: Any) -> Usage:
    return Usage(
        input_tokens=tokens["input_tokens"],
        cache_read_tokens=tokens["cache_read_input_tokens"],
        output_tokens=tokens["output_tokens"],
    )
