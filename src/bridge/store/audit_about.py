"""Whom entries of the audit log are about, and what such an entry says once a user is erased.

A name may be given again after its user was deleted, and many a text happens to be somebody's
name. So an entry is about a user when its detail has the user's id. One whose detail has no id at
all is, when a name stands where only users' names stand and the entry is of the time in which it
was that user's: from the user's creation until the next user of that name was created.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.filters import with_initiator_called
from bridge.store.partitions import day_literal
from bridge.store.rows import many, none

AT_ONCE = 500
"""Entries that are written anew in one transaction."""

# A name ends where none of its characters follows; one dot may end the sentence.
_NAME_ENDS = r"(?![a-z0-9_-]|\.[a-z0-9._-])"

UNTIL = """
coalesce((
    SELECT min(n.created_at) FROM users n
    WHERE n.username = u.username AND n.created_at > u.created_at), 'infinity')
"""
"""Until when the name was the user's, for `u` of `users`."""
NAMED = f"SELECT u.id, u.username AS name, u.created_at AS since, {UNTIL} AS until FROM users u"  # noqa: S608  # constants only
"""Users, and in what time each name was whose; to be looked up once, not for each entry."""
IN_TIME = "(a.created_at >= u.since AND a.created_at < u.until)"
"""Whether the entry `a` is of the time in which the user `u`, as in `NAMED`, had its name."""
ABOUT = rf"""
(CASE WHEN a.detail ?| ARRAY['whose', 'user_id']
 THEN a.detail -> 'whose' ? u.id::text OR a.detail ->> 'user_id' = u.id::text
 ELSE {IN_TIME} AND (
    a.detail -> 'users' ? u.name OR a.detail ->> 'user' = u.name
    OR (starts_with(a.action, 'user.') AND a.target = u.name)
    OR (a.action = 'refusal' AND strpos(a.reason, u.name) > 0
        AND a.reason ~ ('\muser ' || replace(u.name, '.', '\.') || '{_NAME_ENDS}')))
 END
 OR (a.action = 'refusal' AND {IN_TIME} AND strpos(a.target, u.name) > 0
     AND a.target ~ ('/users/' || replace(u.name, '.', '\.') || '(/|$)')))
"""
"""Whether the entry `a` is about the user `u`, as in `NAMED`; what `u` did is not asked."""

_COLUMNS = f"""
u.id, u.name, u.pseudonym, coalesce({IN_TIME}, false),
a.id, a.action, a.actor_id, a.actor_name, a.target, a.reason, a.detail
"""
# Until the erasure is finished the user has its name; from then on only the id tells.
_ERASED = f"""
WITH u AS MATERIALIZED (
    SELECT e.initiator_id AS id, e.pseudonym, e.finished_at,
           coalesce(u.username, e.pseudonym) AS name, u.created_at AS since,
           CASE WHEN e.finished_at IS NULL THEN {UNTIL} END AS until
    FROM aibridge_erasures e LEFT JOIN users u ON u.id = e.initiator_id
"""  # noqa: S608  # constants only
_NEXT = f"""
{_ERASED} WHERE e.initiator_id = %(user)s::uuid)
SELECT {_COLUMNS} FROM u, audit_log a
WHERE a.day = {{day}} AND a.id > %(after)s::uuid AND (
    a.actor_id = u.id OR {ABOUT} OR (
        {IN_TIME} AND strpos(concat(a.detail ->> 'q', ' ', a.detail ->> 'search'), u.name) > 0))
ORDER BY a.id LIMIT {AT_ONCE} FOR UPDATE OF a
"""  # noqa: S608  # constants only
_JUST_STORED = f"""
{_ERASED})
SELECT {_COLUMNS} FROM u, audit_log a
WHERE a.day = {{day}} AND a.id = ANY(%s::uuid[]) AND (
    a.actor_id = u.id OR a.detail -> 'whose' ? u.id::text OR a.detail ->> 'user_id' = u.id::text
    OR (u.finished_at IS NULL AND {ABOUT}))
ORDER BY a.id FOR UPDATE OF a
"""  # noqa: S608  # constants only
_WRITE = """
UPDATE audit_log a
SET actor_name = n.actor_name, target = n.target, reason = n.reason, detail = a.detail || n.changed
FROM json_to_recordset(%s::json) AS n(
    id uuid, actor_name text, target text, reason text, changed jsonb)
WHERE a.day = {day} AND a.id = n.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What of an entry may have a name in it."""

    id: UUID
    action: str
    actor_id: UUID | None
    actor_name: str | None
    target: str
    reason: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A user who is erased, as seen from one entry."""

    id: UUID
    name: str
    """The pseudonym when nobody knows the name any more but, perhaps, the entry itself."""
    pseudonym: str
    in_time: bool
    """Whether the entry is of the time in which the name was this user's."""


async def rename_next(cursor: Cursor, day: date, user: UUID, after: UUID | None) -> UUID | None:
    """Write the pseudonym of a user who is being erased into the next entries of a day.

    Args:
        cursor: of a transaction of its own.
        day: the day.
        user: who is being erased.
        after: what the call before returned; None at first.

    Returns:
        Where to go on; None when all is done.
    """
    params = {"user": str(user), "after": str(after or UUID(int=0))}
    rows = await many(cursor, _NEXT.format(day=day_literal(day)), params)
    await _rename(cursor, day, rows)
    return _entry_from(rows[-1]).id if len(rows) == AT_ONCE else None


async def rename_stored(cursor: Cursor, day: date, identifiers: Iterable[str]) -> None:
    """Write pseudonyms into entries that this transaction has just stored; see `rename_next`.

    One that a replay brings was there before, and an erasure may be at it.
    """
    params = ("{" + ",".join(identifiers) + "}",)
    await _rename(
        cursor, day, await many(cursor, _JUST_STORED.format(day=day_literal(day)), params)
    )


def renamed(entry: Entry, gone: Gone) -> Entry:
    """Return `entry` with the pseudonym wherever it means the user who is gone."""
    detail, themselves = entry.detail, entry.actor_id == gone.id
    if "whose" in detail or "user_id" in detail:
        identifier = str(gone.id)
        about = identifier in detail.get("whose", ()) or detail.get("user_id") == identifier
    else:
        about = gone.in_time or themselves
    name = _name_in(entry, gone)
    target, reason = entry.target, entry.reason
    if about and target == name and entry.action.startswith("user."):
        target = gone.pseudonym
    if about or themselves:
        told = rf"\buser {re.escape(name)}{_NAME_ENDS}"
        reason = re.sub(told, f"user {gone.pseudonym}", reason)
    if entry.action == "refusal" and (gone.in_time or themselves):
        path = rf"(^|/users/){re.escape(name)}(?=/|$)"
        target = re.sub(path, rf"\g<1>{gone.pseudonym}", target)
    changed = _detail_about(detail, gone, name) if about else dict(detail)
    names = list(detail.get("whose", {}).values())
    if gone.in_time or themselves or (about and names.count(name) <= 1):
        # In words that are looked for in content, only the key says that a name is meant.
        for key in {"q", "search"} & detail.keys():
            changed[key] = _searched(detail[key], name, gone.pseudonym, bare=key == "q")
    return replace(
        entry,
        actor_name=gone.pseudonym if themselves else entry.actor_name,
        target=target,
        reason=reason,
        detail=changed,
    )


def _detail_about(detail: Mapping[str, Any], gone: Gone, name: str) -> dict[str, Any]:
    """Return what an entry about the user who is gone says beside its searches."""
    changed = dict(detail)
    identifier = str(gone.id)
    if identifier in detail.get("whose", ()):
        # Another of that name may be among them, so the names follow from the ids.
        changed["whose"] = {**detail["whose"], identifier: gone.pseudonym}
        changed["users"] = sorted(set(changed["whose"].values()))
    elif "whose" not in detail and name in detail.get("users", ()):
        changed["users"] = sorted({*detail["users"], gone.pseudonym} - {name})
    if detail.get("user") == name:
        changed["user"] = gone.pseudonym
        if "name" in detail:
            changed["name"] = ""
    return changed


def _name_in(entry: Entry, gone: Gone) -> str:
    """Return the name of who is gone: what is known of it, or else what the entry tells."""
    if gone.name != gone.pseudonym:
        return gone.name
    identifier = str(gone.id)
    told = entry.detail.get("whose", {}).get(identifier)
    if told is None and entry.detail.get("user_id") == identifier:
        own = entry.target if entry.action.startswith("user.") else None
        told = entry.detail.get("user", own)
    if told is None and entry.actor_id == gone.id:
        told = entry.actor_name
    return told if isinstance(told, str) else gone.name


def _searched(search: object, name: str, pseudonym: str, *, bare: bool) -> object:
    """Return a search with the pseudonym; the command line's may be values by key."""
    if isinstance(search, str):
        return with_initiator_called(search, name, pseudonym, bare=bare)
    if isinstance(search, dict) and search.get("initiator") == name:
        return {**search, "initiator": pseudonym}
    return search


async def _rename(cursor: Cursor, day: date, rows: Sequence[Sequence[Any]]) -> None:
    """Write anew what changes; an entry may be about several who are gone."""
    found: dict[UUID, Entry] = {}
    now: dict[UUID, Entry] = {}
    for row in rows:
        user, name, pseudonym, in_time = row[:4]
        entry = _entry_from(row)
        found.setdefault(entry.id, entry)
        gone = Gone(id=UUID(str(user)), name=name, pseudonym=pseudonym, in_time=in_time)
        now[entry.id] = renamed(now.get(entry.id, entry), gone)
    changes = [
        {
            "id": str(each.id),
            "actor_name": each.actor_name,
            "target": each.target,
            "reason": each.reason,
            "changed": {
                name: value
                for name, value in each.detail.items()
                if value != found[each.id].detail[name]
            },
        }
        for each in now.values()
        if each != found[each.id]
    ]
    if changes:
        await none(cursor, _WRITE.format(day=day_literal(day)), (json.dumps(changes),))


def _entry_from(row: Sequence[Any]) -> Entry:
    identifier, action, actor_id, actor_name, target, reason, detail = row[4:]
    return Entry(
        id=UUID(str(identifier)),
        action=action,
        actor_id=UUID(str(actor_id)) if actor_id is not None else None,
        actor_name=actor_name,
        target=target,
        reason=reason,
        detail=detail,
    )
