"""The app: which page is at which path, and what surrounds them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError

from bridge.domain.errors import BridgeError, Forbidden, InvalidRequest
from bridge.pages.answers import Answer, Answers, InThread, Page, Redirect, protect
from bridge.pages.assets import BASE, Asset, load_assets
from bridge.pages.entrance import Entrance
from bridge.pages.guards import HOME, SIGN_IN
from bridge.pages.templating import Templates
from bridge.pages.visit import Visit
from bridge.web.incoming import BridgeRequest
from bridge.web.paced import Pacing
from bridge.web.router import Router, as_bridge_error, request_id

Handler = Callable[..., Awaitable[Answer]]
"""Given a visit, and what the path names; returns the answer."""


class Part(Protocol):
    """Some pages that belong together."""

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each."""


class PagesRouter(Router):
    """A router whose errors are pages."""

    def __init__(self, answers: Answers) -> None:
        """Answer with `answers`."""
        super().__init__()
        self._answers = answers
        self.nothing_here = lambda: "There is no such page."

    def error_body(self, request: Any, error: BridgeError) -> bytes:
        """Return the page for `error`, to somebody whom nobody may know."""
        protect(request)
        return self._answers.page(request, _error_page(request, error))


class Pages:
    """Serves `/ui/`."""

    def __init__(
        self,
        *,
        entrance: Entrance,
        parts: Sequence[Part],
        first: str,
        in_thread: InThread,
        pacing: Pacing,
    ) -> None:
        """Serve pages.

        Args:
            entrance: knows who is signed in.
            parts: the pages.
            first: the path of the page that people see first.
            in_thread: does work that would hold up others.
            pacing: makes downloads go no faster than their reader.
        """
        self._entrance = entrance
        self._first = first
        assets = load_assets()
        self._assets: Mapping[str, Asset] = {asset.path: asset for asset in assets.values()}
        self._answers = Answers(Templates(assets), in_thread, pacing)
        self.app = PagesRouter(self._answers)
        for path in ("/", "/ui", HOME):
            self.app.route(path, methods=["GET"])(self._home)
        self.app.route(f"{BASE}<name>", methods=["GET"])(self._asset)
        self.app.route(SIGN_IN, methods=["GET"])(self._sign_in_form)
        self.app.route(SIGN_IN, methods=["POST"])(self._sign_in)
        self._serve("POST", "/ui/sign-out", entrance.sign_out)
        for part in parts:
            for method, path, handler in part.routes():
                self._serve(method, path, handler)

    def _serve(self, method: str, path: str, handler: Handler) -> None:
        async def serve(request: BridgeRequest, **named: str) -> bytes:
            visit = await self._entrance.visit(request)
            if not isinstance(visit, Visit):
                return await self._answers.send(request, visit, {})
            answer: Answer
            try:
                answer = await handler(visit, **named)
            except CancelledError:
                raise
            except Exception as error:  # becomes a page, and a line in the log
                if isinstance(error, Forbidden):
                    self._entrance.refused(visit, error)
                if request.startedWriting:
                    raise
                answer = _error_page(request, as_bridge_error(request, error))
            return await self._answers.send(request, answer, {"visit": visit})

        serve.__name__ = f"{method} {path}"
        self.app.route(path, methods=[method], endpoint=serve.__name__)(serve)

    async def _home(self, request: BridgeRequest) -> bytes:
        return await self._answers.send(request, Redirect(location=self._first), {})

    async def _sign_in_form(self, request: BridgeRequest) -> bytes:
        answer = await self._entrance.form(request)
        return await self._answers.send(request, answer, {})

    async def _sign_in(self, request: BridgeRequest) -> bytes:
        answer = await self._entrance.sign_in(request)
        return await self._answers.send(request, answer, {})

    async def _asset(self, request: BridgeRequest, name: str) -> bytes:
        protect(request)
        found = self._assets.get(f"{BASE}{name}")
        if found is None:
            # Of another version, while a new one is rolled out; what it holds now is not that.
            request.setResponseCode(404)
            return b""
        request.setHeader(b"content-type", found.content_type)
        request.setHeader(b"cache-control", b"public, max-age=31536000, immutable")
        request.setHeader(b"content-length", b"%d" % len(found.content))
        return found.content


def _error_page(request: BridgeRequest, error: BridgeError) -> Page:
    validations = error.validations if isinstance(error, InvalidRequest) else ()
    retry = error.retry_after
    return Page(
        template="error.html",
        values={
            "status": error.status,
            "message": error.message,
            "validations": validations,
            "request_id": request_id(request),
        },
        status=error.status,
        headers=[(b"retry-after", b"%d" % max(1, round(retry)))] if retry is not None else [],
    )
