"""Answers: what a page's code returns, and how it is sent, with the headers that keep it safe."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.pages.pace import Pace
from bridge.pages.templating import Templates
from bridge.web.incoming import BridgeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A template and what it shows."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """There is nothing new to show."""


Answer = Page | Redirect | Download | Nothing


class Answers:
    """Sends answers."""

    def __init__(self, templates: Templates) -> None:
        """Render with `templates`."""
        self._templates = templates

    async def send(
        self, request: BridgeRequest, answer: Answer, values: Mapping[str, object]
    ) -> bytes:
        """Return the body of `answer` after setting status and headers; pages get `values` too."""
        protect(request)
        match answer:
            case Page():
                return self.page(request, answer, values)
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
                return await _download(request, answer)

    def page(self, request: BridgeRequest, page: Page, values: Mapping[str, object]) -> bytes:
        """Return the HTML of `page`, with `values` for what surrounds it."""
        nonce = secrets.token_urlsafe(16)
        text = self._templates.render(page.template, {**values, **page.values, "nonce": nonce})
        body = text.encode("utf-8", "replace")
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
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", b"no-store"),
    ):
        request.setHeader(name, value)


def _policy(nonce: str) -> bytes:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ).encode("ascii")


async def _download(request: BridgeRequest, download: Download) -> bytes:
    """Write the pieces as they come; the next is read when the client has taken the last."""
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    name = download.filename.encode("ascii", "replace").replace(b'"', b"_")
    request.setHeader(b"content-disposition", b'attachment; filename="' + name + b'"')
    if request.method == b"HEAD":
        return b""
    pace = Pace(request)
    try:
        async for piece in download.pieces:
            if request.over:
                return b""
            request.write(piece.encode("utf-8", "replace"))
            await pace.ready()
    finally:
        pace.end()
    return b""
