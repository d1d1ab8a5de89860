"""The audit log as a table."""

from __future__ import annotations

from bridge.cli.audit import COLUMNS, LAYOUT, row_of
from bridge.cli.tables import table_lines
from bridge.domain.clock import utc
from bridge.domain.ids import uuid7
from bridge.store.audit import AuditEntry
from tests.cli.running import CommandCase

NOW = 1_790_000_000.0


def entry(**members: object) -> AuditEntry:
    values: dict[str, object] = {
        "id": uuid7(NOW),
        "created_at": utc(NOW),
        "action": "user.create",
        "actor_id": None,
        "actor_name": "root",
        "token_id": None,
        "target": "alice",
        "status": None,
        "reason": "",
        "source": "command line",
        "detail": {},
        "count": 1,
    }
    return AuditEntry(**{**values, **members})  # type: ignore[arg-type]


class RowTests(CommandCase):
    def test_a_change_says_who_did_what(self) -> None:
        """With its details."""
        row = row_of(entry(detail={"roles": ["owner"], "scope": "manage", "name": ""}))

        self.assertEqual(
            row,
            (
                "2026-09-21 14:13:20 UTC",
                "user.create",
                "root",
                "alice",
                "command line",
                'roles=["owner"] scope=manage',
            ),
        )

    def test_refusals_that_were_folded_say_how_many(self) -> None:
        """One row stands for all."""
        row = row_of(
            entry(action="refusal", actor_name=None, status=401, reason="bad token", count=7)
        )

        self.assertEqual((row[1], row[2], row[5]), ("refusal (7 times)", "", "401 bad token"))

    def test_time_action_and_target_are_whole_on_every_terminal(self) -> None:
        """What it was about goes to a second line, with the reason."""
        target = "019ac0de-1234-7890-8abc-0123456789ab"
        read = entry(action="content.read", target=target, detail={"users": ["ada", "bob"] * 20})

        for width in (80, 100, 120):
            text = "\n".join(table_lines(COLUMNS, [row_of(read)], width=width, layout=LAYOUT))

            for whole in ("2026-09-21 14:13:20 UTC", "content.read", "command line", target):
                self.assertIn(whole, text)
            self.assertLessEqual(max(map(len, text.splitlines())), width)

    def test_a_limit_out_of_range_is_refused(self) -> None:
        """1 to 1000."""
        self.assertEqual(self.call("audit", "list", "--limit", "1001").exit_code, 2)

    def test_a_time_that_is_none_is_refused(self) -> None:
        """With the option's name."""
        refused = self.call("audit", "list", "--from", "yesterday")

        self.assertEqual(refused.exit_code, 2)
        self.assertIn("--from: 'yesterday' is not a time", refused.output)


class IdsTests(CommandCase):
    """Names are for people; ids only where there is no name."""

    def test_a_name_is_shown_without_its_id(self) -> None:
        for action, detail, shown in (
            ("user.enable", {"user_id": "an-id"}, ""),
            ("token.revoke", {"user": "alice", "user_id": "an-id"}, "user=alice"),
            ("content.read", {"users": ["alice"], "whose": {"an-id": "alice"}}, 'users=["alice"]'),
            ("hold.create", {"user_id": "an-id"}, "user_id=an-id"),
        ):
            self.assertEqual(row_of(entry(action=action, detail=detail))[-1], shown)
