"""The audit log: who looked at whose records, who changed what, and who was refused."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bridge.domain.errors import Forbidden, InvalidRequest
from bridge.pages.answers import Answer, Page
from bridge.pages.app import Handler
from bridge.pages.entrance import Transactions
from bridge.pages.visit import Visit
from bridge.store.audit import AuditEntry, newest_audit
from bridge.store.connection import Cursor
from bridge.store.filters import page_id

PER_PAGE = 100
ACTIONS = (
    ("content.read", "Records of others that were read"),
    ("token", "Tokens made and revoked"),
    ("user", "Users changed"),
    ("page", "Signing in and out"),
    ("refusal", "Requests that were refused"),
    ("retention", "Retention"),
    ("journal", "Journal"),
)
_MOST_DETAIL = 2_000
_FIRST_TOLD = ("user", "users", "roles", "scope", "name", "q", "page")


class AuditPages:
    """`/ui/audit`."""

    def __init__(self, pool: Transactions) -> None:
        """Read from `pool`."""
        self._pool = pool

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        return (("GET", "/ui/audit", self.listed),)

    async def listed(self, visit: Visit) -> Answer:
        """Return the newest entries."""
        if not (visit.owner or visit.auditor):
            raise Forbidden("Only owners and auditors read the audit log.")
        query = visit.query
        wrong: Sequence[object] = ()
        after_id = None
        try:
            after_id = page_id(query["after_id"]) if "after_id" in query else None
        except InvalidRequest as error:
            wrong = error.validations

        async def work(cursor: Cursor) -> Sequence[AuditEntry]:
            return await newest_audit(
                cursor,
                limit=PER_PAGE,
                action=query.get("action"),
                actor=query.get("actor"),
                after_id=after_id,
            )

        entries = () if wrong else await self._pool.transaction(work, read_only=True)
        return Page(
            template="audit.html",
            values={
                "entries": [(each, _detail(each)) for each in entries],
                "actions": ACTIONS,
                "query": query,
                "wrong": wrong,
                "per_page": PER_PAGE,
                "command": _command(query.get("action"), query.get("actor")),
            },
            status=400 if wrong else 200,
        )


def _detail(entry: AuditEntry) -> str:
    """Return what else belongs to an entry, in one line."""
    parts = []
    told = [name for name in _FIRST_TOLD if name in entry.detail]
    told += sorted(name for name in entry.detail if name not in _FIRST_TOLD)
    if " " not in entry.target:
        told = [name for name in told if name not in ("first", "last")]
    for name in told:
        value = entry.detail[name]
        if value in (None, "", [], {}):
            continue
        text = value if isinstance(value, str) else None
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            text = ", ".join(value)
        parts.append(f"{name}: {text if text is not None else json.dumps(value)}")
    return " · ".join(parts)[:_MOST_DETAIL]


def _command(action: str | None, actor: str | None) -> str:
    command = "aibridge audit list"
    if action:
        command += f" --action {action}"
    if actor:
        command += f" --actor {actor}"
    return command
