"""The first start makes one administrator, and tokens that only the operator can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from bridge.auth.bootstrap import FirstStart, bootstrap
from bridge.auth.token import digest_of
from bridge.domain.identity import Role, Scope
from bridge.domain.tokens import Token, User
from tests.support.cases import BridgeTestCase

DAY = 86400.0


class BootstrapTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.data_dir = self.temporary_directory()
        self.made: list[tuple[User, Sequence[Token]]] = []
        self.anybody = False

    async def create(
        self, user: User, tokens: Sequence[Token], before_commit: Callable[[], None]
    ) -> bool:
        if self.anybody:
            return False
        before_commit()
        self.made.append((user, tokens))
        return True

    def first_start(self, max_lifetime: float = 365 * DAY) -> FirstStart | None:
        return self.result_of(
            bootstrap(
                data_dir=self.data_dir,
                now=self.clock.seconds(),
                default_lifetime=90 * DAY,
                max_lifetime=max_lifetime,
                create=self.create,
            )
        )

    def test_an_owner_called_admin_is_made(self) -> None:
        """There is somebody who may manage, and who sees their own requests."""
        self.first_start()

        user, _ = self.made[0]
        self.assertEqual((user.username, user.roles), ("admin", {Role.OWNER, Role.MEMBER}))

    def test_the_admin_token_manages_for_a_week(self) -> None:
        """The file holds the value of a manage token that ends after 7 days."""
        self.first_start()

        token = self.stored("admin-token")
        self.assertEqual(token.scope, Scope.MANAGE)
        self.assertEqual((token.expires_at - token.created_at).total_seconds(), 7 * DAY)

    def test_the_dev_token_asks_for_the_default_lifetime(self) -> None:
        """The other file holds the value of an inference token."""
        self.first_start()

        token = self.stored("dev-token")
        self.assertEqual(token.scope, Scope.INFERENCE)
        self.assertEqual((token.expires_at - token.created_at).total_seconds(), 90 * DAY)

    def test_no_token_outlives_the_configured_limit(self) -> None:
        """`tokens.max_lifetime` holds for the first tokens too."""
        self.first_start(max_lifetime=DAY)

        lifetimes = {
            (self.stored(name).expires_at - self.stored(name).created_at).total_seconds()
            for name in ("admin-token", "dev-token")
        }
        self.assertEqual(lifetimes, {DAY})

    def test_the_files_are_private_whatever_the_umask(self) -> None:
        """Only the operator reads the tokens."""
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)

        self.first_start()

        modes = {stat.S_IMODE(path.stat().st_mode) for path in self.data_dir.iterdir()}
        self.assertEqual(modes, {0o600})

    def test_no_value_is_in_what_is_journalled(self) -> None:
        """Three audit rows tell what was made, by id."""
        made = self.first_start()

        assert made is not None
        self.assertEqual(
            [record.action for record in made.records],
            ["user.create", "token.create", "token.create"],
        )
        value = made.admin_token.read_text().strip()
        self.assertNotIn(value[17:], repr(made))
        self.assertEqual(made.records[1].target, value[4:16])

    def test_where_there_is_somebody_nothing_is_made(self) -> None:
        """A second start leaves the files of the first alone."""
        self.anybody = True

        self.assertIsNone(self.first_start())
        self.assertEqual(list(self.data_dir.iterdir()), [])

    def test_where_the_files_cannot_be_written_nobody_is_made(self) -> None:
        """A full or read-only disk does not leave tokens whose values nobody has."""
        self.data_dir = self.data_dir / "missing"

        self.assertRaises(FileNotFoundError, self.first_start_raw)
        self.assertEqual(self.made, [])

    def first_start_raw(self) -> None:
        raise self.failure_of(
            bootstrap(
                data_dir=self.data_dir,
                now=0.0,
                default_lifetime=DAY,
                max_lifetime=DAY,
                create=self.create,
            ),
            FileNotFoundError,
        )

    def stored(self, name: str) -> Token:
        digest = digest_of((self.data_dir / name).read_text().removesuffix("\n"))
        return next(token for token in self.made[0][1] if token.digest == digest)
