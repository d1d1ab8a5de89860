"""Tokens: one's own, for owners everybody's; made, shown once, and revoked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.administration import Administration, Lifetimes
from bridge.auth.rules import checked_lifetime, checked_username
from bridge.domain.clock import Clock, utc
from bridge.domain.errors import BadRequest, BridgeError, NotFound
from bridge.domain.identity import Scope
from bridge.domain.tokens import ListedToken, Token
from bridge.domain.units import format_duration, parse_duration
from bridge.pages.answers import Answer, Page, Redirect
from bridge.pages.app import Handler
from bridge.pages.commands import curl
from bridge.pages.entrance import Transactions
from bridge.pages.visit import Fields, Visit
from bridge.store import identity

_DAY_SECONDS = 86400.0


class TokenPages:
    """`/ui/tokens`."""

    def __init__(
        self,
        *,
        pool: Transactions,
        administration: Callable[[Visit], Administration],
        lifetimes: Lifetimes,
        clock: Clock,
    ) -> None:
        """Make and revoke tokens.

        Args:
            pool: where statements run.
            administration: makes changes in the name of whoever visits.
            lifetimes: of new tokens.
            clock: gives the time.
        """
        self._pool = pool
        self._administration = administration
        self._lifetimes = lifetimes
        self._clock = clock

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        return (
            ("GET", "/ui/tokens", self.listed),
            ("POST", "/ui/tokens", self.create),
            ("POST", "/ui/tokens/<identifier>/revoke", self.revoke),
        )

    async def listed(self, visit: Visit) -> Answer:
        """Return the tokens."""
        return await self._list(visit)

    async def create(self, visit: Visit) -> Answer:
        """Make a token, and show its value: the only time."""
        form = visit.form
        username = form.get("user", "").strip() if visit.owner else visit.actor.username
        try:
            lifetime = checked_lifetime(
                _seconds(form.get("lifetime", "").strip()),
                default=self._lifetimes.default,
                longest=self._lifetimes.longest,
            )
            token, value = await self._administration(visit).create_token(
                username or visit.actor.username,
                scope=_scope(form.get("scope", "")),
                name=form.get("name", "").strip(),
                lifetime=lifetime,
            )
        except (BadRequest, NotFound) as error:
            return await self._list(visit, error=error)
        return await self._list(visit, made=(token, value.reveal()))

    async def revoke(self, visit: Visit, identifier: str) -> Answer:
        """Revoke a token: one's own, for owners anybody's."""
        await self._administration(visit).revoke_token(identifier)
        return Redirect(location="/ui/tokens?done=revoked")

    async def _list(
        self,
        visit: Visit,
        *,
        error: BridgeError | None = None,
        made: tuple[Token, str] | None = None,
    ) -> Page:
        tokens = await self._tokens(visit)
        return Page(
            template="tokens.html",
            values={
                "tokens": tokens,
                "users": await self._usernames() if visit.owner else (),
                "user": visit.query.get("user", "") if visit.owner else "",
                "ended_too": "all" in visit.query,
                "scopes": [scope.value for scope in Scope],
                "default_lifetime": format_duration(
                    min(self._lifetimes.default, self._lifetimes.longest)
                ),
                "longest_lifetime": format_duration(self._lifetimes.longest),
                "soon": utc(self._clock.seconds() + 7 * _DAY_SECONDS),
                "form": visit.form if error is not None else Fields(),
                "error": error.message if error is not None else "",
                "made": made[0] if made is not None else None,
                "value": made[1] if made is not None else "",
                "done": visit.query.get("done") == "revoked",
                "command": curl(
                    visit.origin,
                    "/tokens",
                    {
                        "username": visit.query.get("user") if visit.owner else None,
                        "ended": "true" if "all" in visit.query else None,
                    },
                ),
            },
            status=error.status if error is not None else 200,
        )

    async def _tokens(self, visit: Visit) -> Sequence[ListedToken]:
        now = utc(self._clock.seconds())
        wanted = visit.query.get("user", "") if visit.owner else ""
        username = checked_username(wanted) if wanted else None
        ended_too = "all" in visit.query
        return await self._pool.transaction(
            lambda cursor: identity.tokens_of(
                cursor,
                username,
                now=now,
                ended_too=ended_too,
                only=None if visit.owner else visit.actor.id,
            ),
            read_only=True,
        )

    async def _usernames(self) -> list[str]:
        users = await self._pool.transaction(identity.users, read_only=True)
        return [user.username for user in users]


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError:
        raise BadRequest("Choose what the token is for.") from None


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        return parse_duration(text)
    except ValueError as e:
        raise BadRequest(f"The lifetime {e}") from e
