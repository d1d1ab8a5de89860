"""Rows of the audit log as those write them who change users' tokens and read users' content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from twisted.internet import reactor

from bridge.administration import Administration
from bridge.cli.administration import audit_reading
from bridge.cli.searching import search_from
from bridge.domain.identity import Role, Scope
from bridge.domain.records import AuditRecorded
from bridge.store.pool import Pool
from tests.cli.running import RecordingSession


class Somebody(NamedTuple):
    """Somebody whose content is read."""

    id: UUID
    username: str


async def user_made_and_changed(pool: Pool, name: str) -> list[AuditRecorded]:
    """Make somebody a member, then an auditor, then disable and enable them."""
    acting, rows = _acting(pool)
    await acting.create_user(name, frozenset({Role.MEMBER}))
    await acting.change_user(name, roles=frozenset({Role.AUDITOR}), disabled=True)
    await acting.change_user(name, disabled=False)
    return rows


async def tokens_made_and_revoked(pool: Pool, name: str) -> list[AuditRecorded]:
    """Make two tokens of somebody, revoke one by its id and one by the name."""
    acting, rows = _acting(pool)
    for _ in range(2):
        token, _ = await acting.create_token(
            name, scope=Scope.INFERENCE, name=f"laptop of {name}", lifetime=3600.0
        )
    await acting.revoke_token(token.id)
    await acting.revoke_tokens_of(name)
    return rows


async def read_by_name(pool: Pool, name: str) -> list[AuditRecorded]:
    """Search for somebody in every way in which that can be written."""
    options = search_from("", {"initiator": name}).shown
    return await read(
        pool,
        {"q": name},
        {"q": f'model:m "initiator":"{name}"'},
        {"q": f"INITIATOR:{name}"},
        {"search": f"initiator:{name}", "q": options},
    )


async def read(
    pool: Pool, *details: Mapping[str, object], users: Sequence[Somebody] = ()
) -> list[AuditRecorded]:
    """Export once with each of these details."""
    session = RecordingSession(reactor=reactor, pool=pool)
    for detail in details:
        await audit_reading(session, target="export", users=users, detail=detail)
    return session.audited


def _acting(pool: Pool) -> tuple[Administration, list[AuditRecorded]]:
    """Return what changes things, and the list into which it writes what it did."""
    rows: list[AuditRecorded] = []

    async def audit(records: Sequence[AuditRecorded]) -> None:
        rows.extend(records)

    clock: Any = reactor
    acting = Administration(
        pool=pool, audit=audit, clock=clock, source="command line", actor_name="root"
    )
    return acting, rows
