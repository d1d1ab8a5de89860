"""The first start on an empty database: the first user, and tokens to begin with, in two files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bridge.auth.audit import change
from bridge.auth.snapshot import write_private
from bridge.auth.token import NewToken, new_token
from bridge.domain.clock import utc
from bridge.domain.identity import Role, Scope
from bridge.domain.ids import uuid7
from bridge.domain.records import AuditRecorded
from bridge.domain.tokens import Token, User

FIRST_USER = "admin"
ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105  # a file's name
DEV_TOKEN_FILE = "dev-token"  # noqa: S105  # a file's name
ADMIN_LIFETIME_SECONDS = 7 * 86400.0

Create = Callable[[User, Sequence[Token], Callable[[], None]], Awaitable[bool]]
"""Inserts user and tokens where there is no user yet, and says whether it did.

The third argument is called after the inserts and before the commit: a crash in between leaves
files that the next start writes again, never tokens whose values nobody has.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStart:
    """What was made on the first start."""

    admin_token: Path
    """File with a token to manage with, good for 7 days."""
    dev_token: Path
    """File with a token to send requests with."""
    records: tuple[AuditRecorded, ...]
    """For the journal."""


async def bootstrap(
    *, data_dir: Path, now: float, default_lifetime: float, max_lifetime: float, create: Create
) -> FirstStart | None:
    """Make the first user and tokens when there is nobody; None when there is somebody.

    Args:
        data_dir: an existing directory; gets `admin-token` and `dev-token`, 0600.
        now: seconds since the epoch.
        default_lifetime: `tokens.default_lifetime`, seconds.
        max_lifetime: `tokens.max_lifetime`, seconds.
        create: inserts, under a lock that bridges starting at the same time share.

    Raises:
        OSError: a file cannot be written; nothing is made then.
    """
    user = User(
        id=uuid7(now),
        username=FIRST_USER,
        roles=frozenset({Role.OWNER, Role.MEMBER}),
        created_at=utc(now),
    )
    admin, dev = new_token(), new_token()
    files = {data_dir / ADMIN_TOKEN_FILE: admin, data_dir / DEV_TOKEN_FILE: dev}

    def save() -> None:
        for path, token in files.items():
            write_private(path, token.value.reveal().encode() + b"\n")

    tokens = (
        _stored(
            admin, user, "first admin", Scope.MANAGE, min(ADMIN_LIFETIME_SECONDS, max_lifetime)
        ),
        _stored(dev, user, "first dev", Scope.INFERENCE, min(default_lifetime, max_lifetime)),
    )
    if not await create(user, tokens, save):
        return None
    return FirstStart(
        admin_token=data_dir / ADMIN_TOKEN_FILE,
        dev_token=data_dir / DEV_TOKEN_FILE,
        records=(
            change(
                "user.create",
                target=user.username,
                now=now,
                source="first start",
                detail={"user_id": str(user.id)},
            ),
            *(
                change(
                    "token.create",
                    target=token.id,
                    now=now,
                    source="first start",
                    detail={
                        "user": user.username,
                        "user_id": str(user.id),
                        "scope": token.scope.value,
                    },
                )
                for token in tokens
            ),
        ),
    )


def _stored(new: NewToken, user: User, name: str, scope: Scope, lifetime: float) -> Token:
    return Token(
        id=new.id,
        digest=new.digest,
        user_id=user.id,
        username=user.username,
        name=name,
        scope=scope,
        created_at=user.created_at,
        expires_at=user.created_at + timedelta(seconds=lifetime),
    )
