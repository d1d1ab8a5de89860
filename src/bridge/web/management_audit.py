"""The endpoint `audit`: who was refused, read another's content, or changed something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from bridge.domain.identity import Role
from bridge.store.audit import DEFAULT_LIMIT, MAX_LIMIT, AuditEntry, newest_audit
from bridge.web.endpoints import (
    UUID_OR_NOTHING,
    Asked,
    Endpoint,
    Parameter,
    limit,
    wrong,
)
from bridge.web.management_interceptions import Transactions

_TEXT = {"type": "string", "maxLength": 4096}
_TIME = {"anyOf": [{"type": "string", "format": "date-time"}, {"const": ""}]}
_PARAMETERS = (
    Parameter(
        name="action",
        description="Like `content.read`; `user` is all that begins with `user.`.",
        schema=_TEXT,
    ),
    Parameter(name="actor", description="Name of who did it.", schema=_TEXT),
    Parameter(
        name="target",
        description="What it was about: a user's name, the id of a token, interception or session.",
        schema=_TEXT,
    ),
    Parameter(
        name="user",
        description="Name of whose content was read, or who was changed. What was read of "
        "everybody at once, as by an export, is found too, since it may have been theirs.",
        schema=_TEXT,
    ),
    Parameter(name="from", description="Only from this time on (RFC 3339).", schema=_TIME),
    Parameter(name="to", description="Only before this time (RFC 3339).", schema=_TIME),
    limit(DEFAULT_LIMIT, MAX_LIMIT),
    Parameter(
        name="after_id", description="`next_after_id` of the page before.", schema=UUID_OR_NOTHING
    ),
)


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the audit log, newest first."""

    entries: Sequence[AuditEntry]
    next_after_id: UUID | None
    """For the next page; null when this may be the last."""


def texts_from(said: Callable[[str], str]) -> dict[str, str | None]:
    """Return the filters that are texts, named as `newest_audit` takes them.

    Args:
        said: gives what was asked for by name; "" is nothing.

    Raises:
        InvalidRequest: one of them is no text that could be stored.
    """
    texts = {name: said(name) or None for name in ("action", "actor", "target", "user")}
    for name, text in texts.items():
        if text is not None and "\0" in text:
            raise wrong(name, "must be text, without NUL")
    return texts


def audit_endpoint(pool: Transactions) -> Endpoint:
    """Return the endpoint, which reads from `pool`."""

    async def answer(asked: Asked) -> AuditPage:
        texts = texts_from(asked.text)
        since, until = asked.moment("from"), asked.moment("to")
        size = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        after_id = asked.uuid("after_id")
        entries = await pool.transaction(
            lambda cursor: newest_audit(
                cursor, limit=size, since=since, until=until, after_id=after_id, **texts
            ),
            read_only=True,
        )
        following = entries[-1].id if len(entries) == size else None
        return AuditPage(entries=entries, next_after_id=following)

    return Endpoint(
        name="audit",
        path="/audit",
        summary="The audit log, newest first.",
        answer=answer,
        returns=AuditPage,
        parameters=_PARAMETERS,
        roles=frozenset({Role.OWNER, Role.AUDITOR}),
    )
