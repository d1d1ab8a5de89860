"""The audit log, newest first, filtered and page by page."""

from __future__ import annotations

from bridge.auth.audit import change
from bridge.domain.records import AuditRecorded
from bridge.store.audit import AuditEntry, newest_audit
from bridge.store.writes import write_batch
from tests.store.journalled import lines
from tests.support.postgres import StoreTestCase

NOW = 1_790_000_000.0
DAY = 86400.0


def record(
    action: str, target: str, *, days: float = 0.0, by: str = "root", **detail: object
) -> AuditRecorded:
    return change(
        action,
        target=target,
        now=NOW + days * DAY,
        source="command line",
        actor_name=by,
        detail=detail,
    )


class AuditTests(StoreTestCase):
    """Needs the real reactor, because a real database is asked."""

    async def written(self, *records: AuditRecorded) -> None:
        await self.pool.transaction(lambda cursor: write_batch(cursor, lines(*records)))

    async def read(self, limit: int = 10, **filters: object) -> tuple[AuditEntry, ...]:
        return await self.pool.transaction(
            lambda cursor: newest_audit(cursor, limit=limit, **filters),  # type: ignore[arg-type]
            read_only=True,
        )

    async def targets(self, limit: int = 10, **filters: object) -> list[str]:
        return [entry.target for entry in await self.read(limit, **filters)]

    async def test_an_entry_is_read_back_as_it_was_recorded(self) -> None:
        """Every field."""
        made = change(
            "token.create",
            target="abc",
            now=NOW,
            source="command line",
            actor_name="root",
            reason="because",
            detail={"user": "alice"},
        )
        await self.written(made)

        (entry,) = await self.read()

        self.assertEqual(
            (entry.id, entry.created_at, entry.action, entry.actor_name, entry.target),
            (made.id, made.at, "token.create", "root", "abc"),
        )
        self.assertEqual(
            (entry.reason, entry.source, entry.detail, entry.count, entry.status),
            ("because", "command line", {"user": "alice"}, 1, None),
        )

    async def test_the_newest_comes_first_over_all_days(self) -> None:
        """Whatever the order in which they were stored."""
        await self.written(record("user.create", "second", days=1))
        await self.written(record("user.create", "third", days=2), record("user.create", "first"))

        self.assertEqual(await self.targets(), ["third", "second", "first"])

    async def test_an_action_stands_for_all_below_it(self) -> None:
        """`user` is user.create and user.delete, not username.change."""
        await self.written(
            record("user.create", "a"),
            record("username.change", "b", days=0.1),
            record("user.delete", "c", days=0.2),
        )

        self.assertEqual(await self.targets(action="user"), ["c", "a"])
        self.assertEqual(await self.targets(action="user.create"), ["a"])
        self.assertEqual(await self.targets(action="user."), [])

    async def test_entries_of_one_actor(self) -> None:
        """By name."""
        await self.written(record("user.create", "a"), record("user.create", "b", by="alice"))

        self.assertEqual(await self.targets(actor="alice"), ["b"])

    async def test_entries_about_one_user(self) -> None:
        """Whose content was read, perhaps among everybody's, and who was changed."""
        await self.written(
            record("user.create", "alice"),
            record("token.create", "token of alice", days=0.1, user="alice"),
            record("content.read", "hers", days=0.2, users=["alice"]),
            record("content.read", "both", days=0.3, users=["alice", "bob"]),
            record("content.read", "export", days=0.4, users=[]),
            record("content.read", "his", days=0.5, users=["bob"]),
            record("user.create", "alice2", days=0.6, users=[]),
            record("user.create", "by her", days=0.7, by="alice"),
        )

        self.assertEqual(
            await self.targets(user="alice"), ["export", "both", "hers", "token of alice", "alice"]
        )
        self.assertEqual(await self.targets(user="bob", actor="root"), ["his", "export", "both"])
        self.assertEqual(len(await self.targets(user=None)), 8)

    async def test_pages_follow_one_another(self) -> None:
        """The last id of a page begins the next."""
        await self.written(*(record("user.create", str(n), days=n / 10) for n in range(5)))

        first = await self.read(limit=2)
        rest = await self.targets(after_id=first[-1].id)

        self.assertEqual([entry.target for entry in first], ["4", "3"])
        self.assertEqual(rest, ["2", "1", "0"])
