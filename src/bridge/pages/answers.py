"""Answers: what a page's code returns, and how it is sent, with the headers that keep it safe."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bridge.domain.identity import Actor
from bridge.pages.templating import Templates
from bridge.web.incoming import BridgeRequest
from bridge.web.paced import Pacing

T = TypeVar("T")


class InThread(Protocol):
    """Where work is done that would hold up others."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Do `work`, and give what it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A template and what it shows."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    more: Callable[[], Mapping[str, object]] | None = None
    """Works out further values, in a thread: for what may take a while, such as differences."""
    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Beside those that every page has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Another place to go on at."""

    location: str
    """A path of ours, with its query, percent-encoded."""
    cookies: Sequence[bytes] = ()
    """Values of Set-Cookie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Text to be saved, sent as it is read."""

    filename: str
    pieces: AsyncIterator[str]
    actor: Actor
    """Who gets it, as long as they may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """There is nothing new to show."""


Answer = Page | Redirect | Download | Nothing


class Answers:
    """Sends answers."""

    def __init__(self, templates: Templates, in_thread: InThread, pacing: Pacing) -> None:
        """Send nothing yet.

        Args:
            templates: render pages.
            in_thread: does what might hold up others.
            pacing: makes downloads go no faster than their reader.
        """
        self._templates = templates
        self._in_thread = in_thread
        self._pacing = pacing

    async def send(
        self, request: BridgeRequest, answer: Answer, values: Mapping[str, object]
    ) -> bytes:
        """Return the body of `answer` after setting status and headers; pages get `values` too."""
        protect(request)
        match answer:
            case Page():
                nonce = _new_nonce()
                body = await self._in_thread(lambda: self._rendered(answer, values, nonce))
                return _sent(request, answer, body, nonce)
            case Redirect():
                request.setResponseCode(303)
                request.setHeader(b"location", answer.location.encode("ascii"))
                for cookie in answer.cookies:
                    request.responseHeaders.addRawHeader(b"set-cookie", cookie)
                return b""
            case Nothing():
                request.setResponseCode(204)
                return b""
            case Download():
                return await self._download(request, answer)

    def page(self, request: BridgeRequest, page: Page) -> bytes:
        """Return the HTML of a small page for somebody whom nobody knows."""
        nonce = _new_nonce()
        return _sent(request, page, self._rendered(page, {"visit": None}, nonce), nonce)

    async def _download(self, request: BridgeRequest, download: Download) -> bytes:
        """Write the pieces as they come; the next is read when the client has taken the last."""
        self._pacing.check(download.actor)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        name = download.filename.encode("ascii", "replace").replace(b'"', b"_")
        request.setHeader(b"content-disposition", b'attachment; filename="' + name + b'"')
        if request.method == b"HEAD":
            return b""
        answer = self._pacing.begin(request, download.actor)
        try:
            async for piece in download.pieces:
                if request.over:
                    return b""
                await answer.write(piece.encode("utf-8", "replace"))
        finally:
            answer.close()
        return b""

    def _rendered(self, page: Page, values: Mapping[str, object], nonce: str) -> bytes:
        more = page.more() if page.more is not None else {}
        members = {**values, **page.values, **more, "nonce": nonce}
        return self._templates.render(page.template, members).encode("utf-8", "replace")


def _new_nonce() -> str:
    return secrets.token_urlsafe(16)


def _sent(request: BridgeRequest, page: Page, body: bytes, nonce: str) -> bytes:
    """Return `body` after setting status and headers."""
    if request.over:
        return b""
    request.setResponseCode(page.status)
    request.setHeader(b"content-type", b"text/html; charset=utf-8")
    request.setHeader(b"content-security-policy", _policy(nonce))
    request.setHeader(b"content-length", b"%d" % len(body))
    for name, value in page.headers:
        request.responseHeaders.addRawHeader(name, value)
    return body


def protect(request: Any) -> None:
    """Set the headers of every answer of the pages; a page's own policy comes in place of this."""
    for name, value in (
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", _referrer_policy(request)),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", b"no-store"),
    ):
        request.setHeader(name, value)


def _referrer_policy(request: Any) -> bytes:
    """Return what browsers say of us elsewhere: nothing.

    Over plain HTTP from another machine they do not tell where a form comes from but in Origin,
    which is `null` where nothing may be said of us to ourselves either.
    """
    told = request.getHeader(b"x-forwarded-proto") == b"https"
    host = request.getRequestHostname()
    if told or request.isSecure() or host in (b"localhost", b"127.0.0.1", b"[::1]", b"::1"):
        return b"no-referrer"
    return b"same-origin"


def _policy(nonce: str) -> bytes:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ).encode("ascii")
