"""Everybody's tokens in memory: who holds one is known without asking the database."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from bridge.auth.authentication import NOT_VALID
from bridge.auth.snapshot import Snapshot, SnapshotUnusable, load_snapshot, save_snapshot
from bridge.auth.token import claimed_id, digest_of
from bridge.deferreds import run_in_background
from bridge.domain.clock import utc
from bridge.domain.errors import Unauthenticated, Unavailable
from bridge.domain.identity import Actor, Holder
from bridge.domain.tokens import IssuedToken, IssuedTokens
from bridge.periodic import Periodic

POLL_SECONDS = 30.0
"""A change whose notification got lost takes effect within this."""
CONFIRM_SECONDS = 600.0
"""An unchanged snapshot is written again after this, so that it does not look old."""

_NO_DIGEST = bytes(32)
_RETRY_AFTER_SECONDS = 10.0


class Loader(Protocol):
    """Where the tokens come from."""

    def __call__(self, known_version: int, /) -> Awaitable[IssuedTokens | None]:
        """Return all tokens, or None when they are still at `known_version`.

        Any exception is a reason to go on with what is known.
        """


class TokenDirectory:
    """Knows every token from the snapshot, then from the database, and follows its changes.

    `offline_grace` bounds what a start without the database trusts: tokens are good until that many
    seconds after the database last confirmed them. A process that has seen the database itself goes
    on with what it saw, however long the database is away; so do its users.
    """

    def __init__(
        self,
        *,
        snapshot: Path,
        loader: Loader,
        reactor: IReactorTime,
        log: FilteringBoundLogger,
        offline_grace: float,
        in_thread: Callable[[Callable[[], None]], Awaitable[object]],
        subscribe: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """Keep the collaborators.

        Args:
            snapshot: the file, whose directory exists.
            loader: asks the database.
            reactor: the clock.
            log: bound logger.
            offline_grace: seconds; 0 trusts no snapshot.
            in_thread: runs the writing of the file, which waits for the disk.
            subscribe: arranges for a callable to be called at every change; None only polls.
        """
        self._path = snapshot
        self._loader = loader
        self._reactor = reactor
        self._log = log
        self._offline_grace = offline_grace
        self._in_thread = in_thread
        self._subscribe = subscribe
        self._tokens: Mapping[str, IssuedToken] = {}
        self._actors: dict[str, Actor] = {}
        """Of the tokens that were used since these were loaded."""
        self._version = -1
        self._confirmed_at: float | None = None
        self._seen_database = False
        self._saved_at = float("-inf")
        self._poll = Periodic(
            name="refresh tokens", seconds=POLL_SECONDS, work=self.refresh, clock=reactor
        )
        self._snapshot_loaded = False
        self._refreshing = False
        self._again = False
        self._following: Deferred[object] | None = None
        self.changed: list[Callable[[], object]] = []
        """Called after the tokens have changed; the place to look at live streams again."""

    async def start(self) -> None:
        """Load the snapshot if that is still to be done, ask the database, follow it until `stop`.

        Comes back after the first answer of the database or its failure.
        """
        self.load_snapshot()
        if self._subscribe is not None:
            self._subscribe(self._notified)
        await self.refresh()
        self._poll.start(now=False)

    async def stop(self) -> None:
        """Follow the database no longer; wait for what is under way."""
        await self._poll.stop()
        self._again = False
        if self._following is not None:
            await self._following

    @property
    def ready(self) -> bool:
        """Whether anybody can be known."""
        return self._refusal() is None

    @property
    def count(self) -> int:
        """How many tokens are known, ended ones included."""
        return len(self._tokens)

    @property
    def confirmed_at(self) -> float | None:
        """When the database last confirmed the tokens, seconds since the epoch; None for never."""
        return self._confirmed_at

    def identify(self, token: str, /) -> Actor:
        """Return who holds `token`, without asking anybody.

        Raises:
            Unauthenticated: it is unknown; or, told only to who knows its secret, no longer good.
            Unavailable: nobody can be known: nothing was ever loaded, or too long ago.
        """
        refusal = self._refusal()
        if refusal is not None:
            raise Unavailable(refusal, retry_after=_RETRY_AFTER_SECONDS)
        identifier = claimed_id(token)
        if identifier is None:
            raise Unauthenticated(NOT_VALID)
        known = self._tokens.get(identifier)
        digest = known.digest if known is not None else _NO_DIGEST
        if not hmac.compare_digest(digest_of(token), digest) or known is None:
            raise Unauthenticated(NOT_VALID)
        return self._actor(known)

    def holder(self, identifier: str, /) -> Actor:
        """Return who holds the token called `identifier`, whose value was checked earlier.

        Raises:
            Unauthenticated: it is unknown, or no longer good.
            Unavailable: nobody can be known.
        """
        refusal = self._refusal()
        if refusal is not None:
            raise Unavailable(refusal, retry_after=_RETRY_AFTER_SECONDS)
        known = self._tokens.get(identifier)
        if known is None:
            raise Unauthenticated(NOT_VALID)
        return self._actor(known)

    def _actor(self, known: IssuedToken) -> Actor:
        ended = _why_ended(known, self._reactor.seconds())
        if ended is not None:
            holder = Holder(user_id=known.user_id, username=known.username)
            raise Unauthenticated(ended, holder=holder)
        actor = self._actors.get(known.id)
        if actor is None:
            actor = self._actors[known.id] = Actor(
                id=known.user_id,
                username=known.username,
                roles=frozenset(known.roles),
                token_id=known.id,
                scope=known.scope,
                expires_at=known.expires_at,
            )
        return actor

    def valid(self, actor: Actor, now: float) -> bool:
        """Say whether `actor`, identified earlier, would still be let in at `now`.

        While nobody can be known this is true: a stream is ended by a revocation, not by doubt.
        """
        if self._refusal() is not None:
            return True
        known = self._tokens.get(actor.token_id)
        return known is not None and _why_ended(known, now) is None

    def undiminished(self, actor: Actor, now: float) -> bool:
        """Say whether `actor`, identified earlier, is `valid` at `now` and has lost no role."""
        if not self.valid(actor, now):
            return False
        known = self._tokens.get(actor.token_id)
        return known is None or actor.roles.issubset(known.roles)

    async def refresh(self) -> None:
        """Ask the database now; what is known stays when it does not answer. Never overlaps.

        A call during another one makes that one ask once more, because it may have asked too early.
        """
        self._again = True
        if self._refreshing:
            return
        self._refreshing = True
        try:
            while self._again:
                self._again = False
                await self._refresh_once()
        finally:
            self._refreshing = False

    async def _refresh_once(self) -> None:
        try:
            issued = await self._loader(self._version if self._seen_database else -1)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, requests go on with what is known
            self._log.warning("tokens not refreshed", error=str(error), known=len(self._tokens))
            return
        now = self._reactor.seconds()
        first, self._seen_database, self._confirmed_at = not self._seen_database, True, now
        changed = issued is not None and self._take(issued)
        if changed or first or now - self._saved_at >= CONFIRM_SECONDS:
            await self._save(now)
        if changed:
            self._log.info("tokens changed", known=len(self._tokens), version=self._version)
            for listener in tuple(self.changed):
                listener()

    def _take(self, issued: IssuedTokens) -> bool:
        tokens = {each.id: each for each in issued.tokens}
        changed = tokens != self._tokens
        self._tokens, self._version = tokens, issued.version
        self._actors.clear()
        return changed

    async def _save(self, confirmed_at: float) -> None:
        snapshot = Snapshot(
            confirmed_at=confirmed_at,
            issued=IssuedTokens(version=self._version, tokens=tuple(self._tokens.values())),
        )
        try:
            await self._in_thread(lambda: save_snapshot(self._path, snapshot))
        except OSError as error:
            self._log.error("token snapshot not written", error=str(error))
        else:
            self._saved_at = confirmed_at

    def load_snapshot(self) -> None:
        """Know whom an earlier run knew, without the database; done only once."""
        if self._snapshot_loaded:
            return
        self._snapshot_loaded = True
        try:
            found = load_snapshot(self._path)
        except SnapshotUnusable as reason:
            self._log.error("token snapshot not usable", reason=str(reason))
            return
        if found is not None:
            self._take(found.issued)
            # A clock that was ahead when the file was written must not lengthen the grace.
            self._confirmed_at = min(found.confirmed_at, self._reactor.seconds())
            self._log.info("token snapshot loaded", known=len(self._tokens))

    def _notified(self) -> None:
        if self._refreshing:
            self._again = True
        else:
            self._following = run_in_background("refresh tokens", self.refresh())

    def _refusal(self) -> str | None:
        """Return why nobody can be known, None when they can."""
        if self._confirmed_at is None:
            return "The bridge has not loaded its tokens yet; try again in a moment."
        age = self._reactor.seconds() - self._confirmed_at
        if not self._seen_database and age > self._offline_grace:
            return "The bridge's database has been away for too long to tell who is still allowed."
        return None


def _why_ended(token: IssuedToken, now: float) -> str | None:
    """Return which end `token` met, since when, and what to do; None while it is good."""
    ended = (token.deleted_at, token.disabled_at, token.revoked_at) != (None, None, None)
    if not ended and now < token.expires_at:
        return None
    another = f"make another with `aibridge token create --user {token.username}`"
    if token.deleted_at is not None:
        what, since = f"user {token.username} was deleted", token.deleted_at
        remedy = "ask an administrator for a new one"
    elif token.disabled_at is not None:
        what, since = f"user {token.username} was disabled", token.disabled_at
        remedy = "ask an administrator to enable it"
    elif token.revoked_at is not None:
        what, since = f"AI Bridge token {token.id} was revoked", token.revoked_at
        remedy = f"ask an administrator, or {another}"
    else:
        what, since, remedy = f"AI Bridge token {token.id} expired", token.expires_at, another
    return f"The {what} on {_date(since)}; {remedy}."


def _date(seconds: float) -> str:
    return utc(seconds).strftime("%Y-%m-%d %H:%M UTC")
