"""What the two ledgers say must be stored, compared with what is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from tests.loss.client import ABORTED, COMPLETE, REFUSED, Attempt

_ROWS = """
SELECT i.id::text, i.kind, i.status, i.http_status, i.ended_at, i.bytes_out, i.api,
       coalesce(i.client_sha256, i.response_sha256) AS sha256, i.streaming, i.partially_observed,
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

_APIS = {"messages": "messages", "chat/completions": "chat_completions", "responses": "responses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a scenario excuses: everything else must be as if nothing had happened."""

    killed: bool = False
    """The bridge ended without a goodbye: what ran is `lost`."""
    withheld: bool = False
    """The disk took no records: answers are refused or broken off, none ends well unrecorded."""
    power: bool = False
    """What did not end before the power went may be gone; what a client saw end may not."""
    unended: bool = False
    """Nothing is forced to disk: of what was stored before the power went, the end may be gone."""
    forgotten_seconds: float = 0.0
    """Answers that ended so shortly before one of `cuts` may be gone, as `journal.fsync` says."""
    cuts: tuple[float, ...] = ()
    """When the power went, by the clock of the attempts."""
    damaged: frozenset[str] = frozenset()
    """Ids of interceptions of which a line was destroyed on the disk."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One line of the table."""

    requests: int = 0
    complete: int = 0
    aborted: int = 0
    broken: int = 0
    """Had begun to be answered, and broke off."""
    refused: int = 0
    """Found nobody, or 503, at the last try too."""
    lost: int = 0
    doubled: int = 0
    wrong_state: int = 0
    wrong_tokens: int = 0
    other: int = 0
    forgotten: int = 0
    """Gone, within what `journal.fsync` says that a power cut may cost."""
    faults: list[str] = field(default_factory=list)

    def note(self, kind: str, sentence: str) -> None:
        """Count a fault."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.faults.append(f"{kind}: {sentence}")

    def as_json(self) -> dict[str, Any]:
        """Return it with its first faults."""
        return {**asdict(self), "faults": self.faults[:20]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the upstream knows of a nonce."""

    api: str
    counts: tuple[int, int, int]
    """Input, cached and output tokens."""
    done: bool


def attempts_in(ledger: Path) -> list[Attempt]:
    """Return the attempts that are over so far."""
    return [Attempt(**each) for each in _lines(ledger)]


def asked_in(ledger: Path) -> dict[str, Asked]:
    """Return what the upstream was asked."""
    found: dict[str, Any] = {}
    done = set()
    for each in _lines(ledger):
        if "done" in each:
            done.add(each["nonce"])
        else:
            found[each["nonce"]] = each
    return {
        nonce: Asked(
            api=each["api"],
            counts=(each["input"], each["cached"], each["output"]),
            done=nonce in done,
        )
        for nonce, each in found.items()
    }


class Stored:
    """The rows of a bridge, read directly from its database."""

    def __init__(self, address: str) -> None:
        """Read from the database at `address`; connects at every question."""
        self._address = address

    def open(self) -> int:
        """Return how many interceptions are stored without an end."""
        return int(self.ask(_OPEN)[0][0])

    def strays(self) -> int:
        """Return how many rows belong to no interception."""
        return int(self.ask(_STRAYS)[0][0])

    def rows(self) -> list[Any]:
        """Return all interceptions with what belongs to them."""
        return self.ask(_ROWS)

    def ask(self, sql: str) -> list[Any]:
        """Return the rows of a statement."""
        connection = psycopg2.connect(
            self._address, cursor_factory=psycopg2.extras.DictCursor, connect_timeout=10
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()


def compared(
    attempts: Sequence[Attempt], asked: dict[str, Asked], stored: Stored, terms: Terms
) -> Outcome:
    """Return what became of the requests, and every fault in what is stored of them."""
    outcome = Outcome(requests=len({each.number for each in attempts}))
    for attempt in attempts:
        _sort(attempt, outcome)
    rows: dict[str, list[Any]] = defaultdict(list)
    beheaded: list[Any] = []
    for row in stored.rows():
        for prompt in row["prompts"]:
            rows[prompt].append(row)
        if not row["prompts"] and row["id"] in terms.damaged:
            beheaded.append(row)  # the line that was destroyed held its prompt
        elif len(row["prompts"]) != 1:
            outcome.note("other", f"{row['id']} ({row['kind']}) has {len(row['prompts'])} prompts")
    for attempt in attempts:
        found = rows.pop(attempt.prompt, [])
        if not found and beheaded and attempt.nonce in asked:
            found = [beheaded.pop()]
        _compare(attempt, asked.get(attempt.nonce), found, terms, outcome)
    for prompt in rows:
        outcome.note("other", f"a row of no attempt: {prompt[:60]!r}")
    if strays := stored.strays():
        outcome.note("other", f"{strays} rows belong to no interception")
    return outcome


def _sort(attempt: Attempt, outcome: Outcome) -> None:
    if attempt.outcome == COMPLETE and attempt.status == 200:
        outcome.complete += 1
    elif attempt.outcome == ABORTED:
        outcome.aborted += 1
    elif attempt.status == 200:
        outcome.broken += 1
    elif attempt.last:
        outcome.refused += 1


def _compare(
    attempt: Attempt, asked: Asked | None, rows: list[Any], terms: Terms, outcome: Outcome
) -> None:
    label = f"{attempt.nonce} {attempt.api} ({attempt.outcome} {attempt.status})"
    fewest, most, states = _allowed(attempt, asked, terms)
    if any(row["id"] in terms.damaged for row in rows):
        return  # a line of it was destroyed; it may lack that
    if len(rows) < fewest:
        if _before_a_cut(attempt, terms):
            outcome.forgotten += 1
        else:
            outcome.note("lost", f"{label}: no row")
        return
    if len(rows) > most:
        outcome.note("doubled" if most else "other", f"{label}: {len(rows)} rows, not {most}")
    for row in rows:
        gone = row["status"] == "lost" or (terms.unended and row["ended_at"] is None)
        if gone and _ended_well(attempt) and _before_a_cut(attempt, terms):
            outcome.forgotten += 1
            continue
        if terms.unended and row["ended_at"] is None:
            continue
        _check(label, attempt, asked, row, states, outcome)


def _ended_well(attempt: Attempt) -> bool:
    return attempt.outcome == COMPLETE and attempt.status == 200


def _before_a_cut(attempt: Attempt, terms: Terms) -> bool:
    """Whether the power went so soon after the answer's end that it may be forgotten."""
    if not terms.forgotten_seconds:
        return False
    cuts = (cut for cut in terms.cuts if cut > attempt.sent_at)
    return any(cut - attempt.over_at <= terms.forgotten_seconds for cut in cuts)


def _check(
    label: str,
    attempt: Attempt,
    asked: Asked | None,
    row: Any,
    states: frozenset[str],
    outcome: Outcome,
) -> None:
    if row["ended_at"] is None or row["status"] not in states:
        outcome.note("wrong_state", f"{label}: {row['status']}, not one of {sorted(states)}")
    if row["legs"] > 1 or len(row["tokens"]) > 1:
        outcome.note("doubled", f"{label}: {row['legs']} legs, {len(row['tokens'])} usages")
    if row["kind"] != "intercepted" or row["api"] != _APIS[attempt.api]:
        outcome.note("other", f"{label}: a row of {row['kind']} {row['api']}")
    if attempt.outcome == COMPLETE and attempt.status == 200:
        seen = (attempt.body_sha256, attempt.body_bytes)
        if (row["sha256"], row["bytes_out"]) != seen:
            outcome.note("other", f"{label}: another answer than the client's")
    _check_tokens(label, attempt, asked, row, outcome)


def _check_tokens(
    label: str, attempt: Attempt, asked: Asked | None, row: Any, outcome: Outcome
) -> None:
    found = [_counts(tokens) for tokens in row["tokens"]]
    if row["status"] == "completed":
        if asked is None or found != [asked.counts]:
            outcome.note("wrong_tokens", f"{label}: {found}, and upstream said {asked}")
        if asked is not None and not asked.done:
            outcome.note("wrong_state", f"{label}: completed, and upstream was not done")
        if attempt.counted is not None and found != [tuple(attempt.counted)]:
            outcome.note("wrong_tokens", f"{label}: {found}, and the client {attempt.counted}")
        if row["partially_observed"] or row["legs"] != 1:
            outcome.note("other", f"{label}: observed in part, or {row['legs']} legs")
    elif found and asked is not None:
        # Cut short, a stream has told its input, and of its output at most all.
        (told,) = found[:1]
        if told[:2] not in (asked.counts[:2], (0, 0)) or told[2] > asked.counts[2]:
            outcome.note("wrong_tokens", f"{label}: {found}, and upstream said {asked.counts}")


def _allowed(
    attempt: Attempt, asked: Asked | None, terms: Terms
) -> tuple[int, int, frozenset[str]]:
    """Return how many rows there may be, at least and at most, and in which states."""
    extra = set()
    if terms.killed or terms.power:
        extra.add("lost")
    if terms.withheld:
        extra |= {"gateway_abort", "lost"}
    if attempt.outcome == COMPLETE and attempt.status == 200:
        # A client that saw the end has a record of it, whatever happened.
        return 1, 1, frozenset({"completed"})
    if attempt.outcome == REFUSED:
        return 0, 0, frozenset()
    states = frozenset({"completed", "client_abort", *extra})
    if attempt.outcome == COMPLETE:
        return (0, 1, states | {"gateway_abort"}) if terms.withheld else (0, 0, frozenset())
    # Nothing is answered, and nobody is asked, before the start is written down.
    seen = attempt.status == 200 or asked is not None
    fewest = 1 if seen and not terms.power else 0
    if attempt.outcome != ABORTED:
        states = states | {"gateway_abort"}
    return fewest, 1, states


def _counts(tokens: Any) -> tuple[int, int, int]:
    return (
        tokens["input_tokens"],
        tokens["cache_read_input_tokens"],
        tokens["output_tokens"],
    )


def _lines(ledger: Path) -> Iterator[dict[str, Any]]:
    if ledger.exists():
        whole, _, _ = ledger.read_text("utf-8").rpartition("\n")
        for line in whole.splitlines():
            yield json.loads(line)
