"""The entrance: signing in with a token, staying signed in for a while, and signing out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from bridge.auth.audit import change
from bridge.auth.authentication import NOT_FOR_MANAGING
from bridge.auth.directory import TokenDirectory
from bridge.domain.clock import Clock, utc
from bridge.domain.errors import BridgeError, Forbidden, Unauthenticated
from bridge.domain.identity import Actor, Scope
from bridge.domain.records import AuditRecorded
from bridge.pages.answers import Answer, Page, Redirect
from bridge.pages.guards import (
    SIGN_IN,
    Attempts,
    Cookies,
    check_form,
    check_origin,
    digest_of,
    form_token,
    local_path,
    new_value,
    read_form,
    sign_in_path,
)
from bridge.pages.visit import Fields, Visit, query_of
from bridge.policy.shared_limits import SharedLimits
from bridge.recording.refusals import Refusals
from bridge.store.connection import Cursor
from bridge.store.page_sessions import begin_page_session, end_page_session, find_page_session
from bridge.web.addresses import ClientAddresses
from bridge.web.incoming import BridgeRequest

T = TypeVar("T")

IDLE = timedelta(hours=8)
"""How long somebody stays signed in without asking for anything."""
_NOT_A_TOKEN = "That is not a valid token. Copy all of it, from aib_ on."  # noqa: S105  # a sentence


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction."""


class Entrance:
    """Knows who is signed in."""

    def __init__(
        self,
        *,
        directory: TokenDirectory,
        pool: Transactions,
        audit: Callable[[Sequence[AuditRecorded]], Awaitable[None]],
        refusals: Refusals,
        clock: Clock,
        addresses: ClientAddresses,
        behind_proxy: bool,
        shared: SharedLimits | None = None,
    ) -> None:
        """Let people in.

        Args:
            directory: who knows the tokens.
            pool: where statements run.
            audit: keeps audit records, safe on disk when it comes back.
            refusals: notes what is refused.
            clock: gives the time.
            addresses: says where a request comes from.
            behind_proxy: a proxy in front speaks TLS with the browsers.
            shared: what other processes count, with whom failed attempts are counted.
        """
        self._directory = directory
        self._pool = pool
        self._audit = audit
        self._refusals = refusals
        self._clock = clock
        self._addresses = addresses
        self._cookies = Cookies(behind_proxy=behind_proxy)
        self._attempts = Attempts(clock, shared)

    async def visit(self, request: BridgeRequest) -> Visit | Answer:
        """Return who asks, or what they are answered while nobody knows them.

        Raises:
            BridgeError: they are refused; a form is not one of ours, for example.
        """
        cookie = self._cookies.session(request)
        if cookie is None and _followed_from_elsewhere(request):
            # Such a request comes without cookies; asked again by ourselves, it comes with them.
            return Page(template="again.html", values={"target": _target(request)})
        posted = request.method == b"POST"
        actor = await self._signed_in(cookie)
        if cookie is None or actor is None:
            target = request.path if posted else request.uri
            back = target.decode("latin-1")
            away = (self._cookies.no_session(request),) if cookie is not None else ()
            return Redirect(location=sign_in_path(back, ended=bool(cookie)), cookies=away)
        form = Fields()
        if posted:
            try:
                check_origin(request)
                form = Fields(read_form(request))
                check_form(form, cookie)
            except BridgeError as error:
                self._note(request, error, actor)
                raise
        return Visit(
            request=request,
            actor=actor,
            source=self.source(request),
            cookie=cookie,
            form_token=form_token(cookie),
            origin=self._origin(request),
            query=query_of(request),
            form=form,
        )

    async def form(self, request: BridgeRequest) -> Answer:
        """Answer with the form to sign in with, or go on when somebody is signed in."""
        query = query_of(request)
        back = local_path(query.get("next", ""))
        if await self._signed_in(self._cookies.session(request)) is not None:
            return Redirect(location=back)
        return self._form(request, back, ended="ended" in query)

    async def sign_in(self, request: BridgeRequest) -> Answer:
        """Sign somebody in who sends a token for management."""
        source = self.source(request)
        back = local_path(query_of(request).get("next", ""))
        actor: Actor | None = None
        try:
            self._attempts.check(source)
            check_origin(request)
            fields = read_form(request)
            back = local_path(fields.get("next", ""))
            check_form(fields, self._cookies.form(request))
            actor = self._holder(fields.get("token", "").strip())
            if actor.scope is not Scope.MANAGE:
                raise Forbidden(NOT_FOR_MANAGING)
        except BridgeError as error:
            self._note(request, error, actor)
            if isinstance(error, (Unauthenticated, Forbidden)):
                self._attempts.failed(source)
            return self._form(request, back, error=error)
        now = self._clock.seconds()
        cookie = new_value()
        signed_in = actor
        await self._audit([self._record("page.sign-in", signed_in, source)])
        await self._pool.transaction(
            lambda cursor: begin_page_session(
                cursor, digest_of(cookie), signed_in.token_id, at=utc(now), idle=IDLE
            )
        )
        return Redirect(location=back, cookies=(self._cookies.new_session(request, cookie),))

    async def sign_out(self, visit: Visit) -> Answer:
        """End the session."""
        await self._pool.transaction(
            lambda cursor: end_page_session(cursor, digest_of(visit.cookie))
        )
        await self._audit([self._record("page.sign-out", visit.actor, visit.source)])
        return Redirect(location=SIGN_IN, cookies=(self._cookies.no_session(visit.request),))

    def refused(self, visit: Visit, error: BridgeError) -> None:
        """Note that somebody who is signed in was refused."""
        self._note(visit.request, error, visit.actor)

    def source(self, request: BridgeRequest) -> str:
        """Return the client's address."""
        assert request.head is not None  # noqa: S101 - the channel sets it before
        return self._addresses.of(request.head)

    def _holder(self, token: str) -> Actor:
        """Return who holds `token`.

        Raises:
            Unauthenticated: nobody, or it is no longer good.
        """
        if not token.isascii() or " " in token:
            raise Unauthenticated(_NOT_A_TOKEN)
        return self._directory.identify(token)

    async def _signed_in(self, cookie: str | None) -> Actor | None:
        """Return whose session has `cookie`, None for nobody's or one that has ended."""
        if cookie is None:
            return None
        at = utc(self._clock.seconds())
        token_id = await self._pool.transaction(
            lambda cursor: find_page_session(cursor, digest_of(cookie), at=at, idle=IDLE)
        )
        if token_id is None:
            return None
        try:
            return self._directory.holder(token_id)
        except Unauthenticated:
            return None  # the token was revoked, or its user disabled: so was the session

    def _form(
        self,
        request: BridgeRequest,
        back: str,
        *,
        error: BridgeError | None = None,
        ended: bool = False,
    ) -> Page:
        cookie = self._cookies.form(request) or new_value()
        headers = [(b"set-cookie", self._cookies.new_form(request, cookie))]
        if error is not None and error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
        return Page(
            template="sign_in.html",
            values={
                "form_token": form_token(cookie),
                "next": back,
                "error": _told(error),
                "ended": ended and error is None,
            },
            status=error.status if error is not None else 200,
            headers=headers,
        )

    def _note(self, request: BridgeRequest, error: BridgeError, actor: Actor | None) -> None:
        path = request.path.decode("latin-1")
        self._refusals.note(error, actor=actor, path=path, source=self.source(request))

    def _record(self, action: str, actor: Actor, source: str) -> AuditRecorded:
        return change(
            action,
            target=actor.token_id,
            now=self._clock.seconds(),
            source=source,
            actor=actor,
        )

    def _origin(self, request: BridgeRequest) -> str:
        scheme = "https" if self._cookies.secure(request) else "http"
        host = (request.getHeader(b"host") or b"127.0.0.1:4001").decode("latin-1")
        return f"{scheme}://{host}"


def _told(error: BridgeError | None) -> str:
    """Return what somebody is told at the form; of a token that was never one, where it is from."""
    if error is None:
        return ""
    if isinstance(error, Unauthenticated) and "not a valid" in error.message:
        return _NOT_A_TOKEN
    return error.message


def _followed_from_elsewhere(request: BridgeRequest) -> bool:
    """Return whether somebody followed another site's link, with which SameSite sends no cookie."""
    return (
        request.method == b"GET"
        and request.getHeader(b"sec-fetch-site") == b"cross-site"
        and request.getHeader(b"sec-fetch-mode") == b"navigate"
    )


def _target(request: BridgeRequest) -> str:
    return local_path(request.uri.decode("latin-1"))
