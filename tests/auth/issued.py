"""Issued tokens, and a database that tests can change and take away."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from bridge.auth.token import NewToken, new_token
from bridge.domain.identity import Role, Scope
from bridge.domain.ids import uuid7
from bridge.domain.tokens import IssuedToken, IssuedTokens

NOW = 1_790_000_000.0


def issue(username: str = "alice", *, lifetime: float = 86400.0) -> tuple[NewToken, IssuedToken]:
    """Return a good token, value and record."""
    new = new_token()
    return new, IssuedToken(
        id=new.id,
        digest=new.digest,
        scope=Scope.INFERENCE,
        expires_at=NOW + lifetime,
        user_id=uuid7(NOW),
        username=username,
        roles=(Role.AUDITOR, Role.MEMBER),
    )


class FakeDatabase:
    """Keeps issued tokens, counts the questions, and can be away."""

    def __init__(self, *tokens: IssuedToken) -> None:
        self.tokens = tokens
        self.version = 1
        self.away = False
        self.asked = 0
        self.full_answers = 0
        self.slow: Deferred[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    async def load(self, known_version: int, /) -> IssuedTokens | None:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError("the database is away")
        answer = IssuedTokens(version=self.version, tokens=self.tokens)
        if self.slow is not None:
            await self.slow
        if known_version == answer.version:
            return None
        self.full_answers += 1
        return answer

    def subscribe(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def change(self, *tokens: IssuedToken, notify: bool = True) -> None:
        self.tokens = tokens
        self.version += 1
        if notify:
            for listener in self._listeners:
                listener()
