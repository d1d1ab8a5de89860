"""What the journal brought, into the tables: any order, any cut, any number of times.

A batch costs a few round trips whatever its size: the lines' own JSON goes to the server, one array
for each kind and day, and one statement unfolds it there. Every statement names its day as a
literal, so that it meets one partition only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

import msgspec

from bridge.journal.format import JournalLine
from bridge.store import blanking, lineage, siem
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, ensure_days, uuid_array
from bridge.store.writes_sql import (
    AUDIT,
    EARLY_CALLS,
    INTERCEPTIONS,
    LEGS,
    MARK,
    MODEL_THOUGHTS,
    STORED_OBJECTS,
    TOKEN_USAGES,
    TOOL_USAGES,
)

STARTED = "interception_started"
ENDED = "interception_ended"
TOOL_USAGE = "tool_usage"
AUDITED = "audit"
_INSERTS = (
    ("token_usage", TOKEN_USAGES),
    (TOOL_USAGE, TOOL_USAGES),
    ("model_thought", MODEL_THOUGHTS),
    ("leg", LEGS),
    ("stored_object", STORED_OBJECTS),
    (AUDITED, AUDIT),
)


class _Links(msgspec.Struct, frozen=True):
    """The members of a line that join interceptions to threads."""

    correlating_tool_call_id: str | None = None
    provider_tool_call_id: str | None = None


class _Identified(msgspec.Struct, frozen=True):
    """The member of a line that names the record itself."""

    id: str


_LINKS = msgspec.json.Decoder(_Links)
_IDENTIFIED = msgspec.json.Decoder(_Identified)


class _Statement(NamedTuple):
    sql: str
    params: tuple[str, ...]


class _Batch:
    """Lines sorted by where they go, and what must be looked at once they are there."""

    def __init__(self) -> None:
        self.bodies: dict[date, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
        self.touched: dict[date, set[UUID]] = defaultdict(set)
        self.started: dict[date, list[UUID]] = defaultdict(list)
        self.correlated: dict[date, list[UUID]] = defaultdict(list)
        """Those of `started` that bring the result of a tool call."""
        self.audited: dict[date, list[str]] = defaultdict(list)
        """Ids of entries of the audit log."""
        self.calls: set[str] = set()
        self.marks: dict[date, list[tuple[str, str, str]]] = defaultdict(list)
        """Kind, id and interception of each record that a SIEM may want to be told of."""


async def write_batch(cursor: Cursor, lines: Sequence[JournalLine]) -> None:
    """Store `lines` in the cursor's transaction; what is stored already changes nothing.

    Raises:
        StoreUnavailable: not now.
        StoreError: a line holds what the database refuses; nothing of the batch is stored.
    """
    if not lines:
        return
    must_be_blank = await blanking.decided(cursor)
    batch = _sorted_out(lines)
    if batch.calls:
        await lineage.lock(cursor)
    await ensure_days(cursor, batch.bodies.keys())
    statements = [each for day, kinds in sorted(batch.bodies.items()) for each in _day(day, kinds)]
    for day, identifiers in sorted(batch.touched.items()):
        statements.append(_over(MARK, day, identifiers))
    for day, marks in sorted(batch.marks.items()):
        params = tuple("{" + ",".join(column) + "}" for column in zip(*marks, strict=True))
        statements.append(_Statement(siem.MARK.format(day=day_literal(day)), params))
    early = [_over(EARLY_CALLS, day, started) for day, started in sorted(batch.started.items())]
    if early:
        params = tuple(param for each in early for param in each.params)
        statements.append(_Statement(" UNION ".join(each.sql for each in early), params))
    # One round trip for all of them; what comes back is the result of the last.
    await cursor.execute(
        ";".join(each.sql for each in statements),
        tuple(param for each in statements for param in each.params),
    )
    if early and (more := cursor.fetchall()):
        if not batch.calls:
            await lineage.lock(cursor)
        batch.calls.update(call for (call,) in more)
    if batch.calls:
        await lineage.link(
            cursor, calls=batch.calls, days=batch.bodies.keys(), children=batch.correlated
        )
    await blanking.blank_new(cursor, must_be_blank, batch.touched, batch.audited)


def _sorted_out(lines: Sequence[JournalLine]) -> _Batch:
    batch = _Batch()
    for line in lines:
        batch.bodies[line.day][line.kind].append(line.body)
        identifier = line.interception_id
        if line.kind in siem.MARKED_KINDS:
            record = _IDENTIFIED.decode(line.body).id
            interception = "NULL" if identifier is None else str(identifier)
            batch.marks[line.day].append((line.kind, record, interception))
        if line.kind == AUDITED:
            batch.audited[line.day].append(_IDENTIFIED.decode(line.body).id)
        if identifier is None:
            continue
        batch.touched[line.day].add(identifier)
        if line.kind == STARTED:
            batch.started[line.day].append(identifier)
            call = _LINKS.decode(line.body).correlating_tool_call_id
            if call:
                batch.calls.add(call)
                batch.correlated[line.day].append(identifier)
        elif line.kind == TOOL_USAGE:
            call = _LINKS.decode(line.body).provider_tool_call_id
            if call:
                batch.calls.add(call)
    return batch


def _day(day: date, kinds: Mapping[str, Sequence[bytes]]) -> list[_Statement]:
    """Return the statements that store the lines of one day."""
    literal = day_literal(day)
    found = []
    if STARTED in kinds or ENDED in kinds:
        params = (_array(kinds.get(STARTED, ())), _array(kinds.get(ENDED, ())))
        found.append(_Statement(INTERCEPTIONS.format(day=literal), params))
    for kind, sql in _INSERTS:
        if kind in kinds:
            found.append(_Statement(sql.format(day=literal), (_array(kinds[kind]),)))
    return found


def _over(sql: str, day: date, identifiers: Iterable[UUID]) -> _Statement:
    """Return a statement over interceptions of one day."""
    return _Statement(sql.format(day=day_literal(day)), (uuid_array(identifiers),))


def _array(bodies: Sequence[bytes]) -> str:
    return (b"[" + b",".join(bodies) + b"]").decode()
