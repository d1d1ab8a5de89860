"""The audit log: who looked at whose records, who changed what, and who was refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from bridge.domain.errors import Forbidden, InvalidRequest, Validation
from bridge.pages.answers import Answer, Page
from bridge.pages.app import Handler
from bridge.pages.commands import curl
from bridge.pages.entrance import Transactions
from bridge.pages.searching import rfc3339
from bridge.pages.visit import Visit
from bridge.store.audit import AuditEntry, newest_audit
from bridge.store.audit_targets import Targets, targets_of
from bridge.store.connection import Cursor
from bridge.store.filters import moment, page_id
from bridge.web.management_audit import texts_from

PER_PAGE = 100
ACTIONS = (
    ("content.read", "Records of others that were read"),
    ("token", "Tokens made and revoked"),
    ("user", "Users changed"),
    ("page", "Signing in and out"),
    ("refusal", "Requests that were refused"),
    ("hold", "Holds set and released"),
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
        wrong: list[Validation] = []
        after_id = None
        texts: dict[str, str | None] = {}
        try:
            after_id = page_id(query["after_id"]) if "after_id" in query else None
            texts = texts_from(query.__getitem__)
        except InvalidRequest as error:
            wrong += error.validations
        since, until = _moment("from", query, wrong), _moment("to", query, wrong)

        async def work(cursor: Cursor) -> tuple[Sequence[AuditEntry], Targets]:
            found = await newest_audit(
                cursor, limit=PER_PAGE, since=since, until=until, after_id=after_id, **texts
            )
            return found, await targets_of(cursor, found)

        entries: Sequence[tuple[AuditEntry, str, str]] = ()
        if not wrong:
            found, targets = await self._pool.transaction(work, read_only=True)
            entries = [(each, _detail(each), _link(each, targets)) for each in found]
        return Page(
            template="audit.html",
            values={
                "entries": entries,
                "actions": ACTIONS,
                "query": query,
                "wrong": wrong,
                "per_page": PER_PAGE,
                "command": curl(
                    visit.origin,
                    "/audit",
                    {
                        **texts,
                        "from": since and since.isoformat(),
                        "to": until and until.isoformat(),
                        "after_id": after_id,
                        "limit": PER_PAGE,
                    },
                ),
            },
            status=400 if wrong else 200,
        )


def _detail(entry: AuditEntry) -> str:
    """Return what else belongs to an entry, in one line."""
    parts = []
    told = [name for name in _FIRST_TOLD if name in entry.told]
    told += sorted(name for name in entry.told if name not in _FIRST_TOLD)
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


def _link(entry: AuditEntry, targets: Targets) -> str:
    """Return the address of the page of what was read; "" when it has none."""
    if entry.action != "content.read":
        return ""
    if entry.target in targets.interceptions:
        return f"/ui/interceptions/{entry.target}"
    whose = targets.session_of(entry)
    return "" if whose is None else f"/ui/session?{urlencode({'id': entry.target, 'of': whose})}"


def _moment(name: str, query: Mapping[str, str], wrong: list[Validation]) -> datetime | None:
    """Return a time of the query; what is wrong with it is added to `wrong`."""
    try:
        return moment(rfc3339(query[name])) if name in query else None
    except ValueError as error:
        wrong.append(Validation(field=name, detail=str(error)))
        return None
