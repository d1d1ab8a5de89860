"""The operations port: health, details, metrics; it asks for no token, so it is for loopback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.web.server import Request, Site

from bridge.web.health import Health
from bridge.web.router import Router


class Exposition(Protocol):
    """The metrics, as a scrape gets them."""

    @property
    def content_type(self) -> str:
        """Which of the formats it is."""

    @property
    def body(self) -> bytes:
        """All of it."""


class Operations:
    """Serves `/healthz`, `/readyz`, the details at `/status`, and the metrics at `/metrics`."""

    def __init__(
        self,
        *,
        details: Callable[[], dict[str, Any]],
        not_ready: Callable[[], str | None],
        metrics: Callable[[str], Awaitable[Exposition]],
    ) -> None:
        """Ask for details, readiness or metrics at every request; metrics by the Accept header."""
        self._details = details
        self._metrics = metrics
        self.app = Router()
        Health(not_ready=not_ready).serve_on(self.app)
        self.app.route("/", methods=["GET"])(self.status)
        self.app.route("/status", methods=["GET"])(self.status)
        self.app.route("/metrics", methods=["GET", "HEAD"])(self.metrics)

    def site(self) -> Site:
        """Return the site to listen with; probes come every few seconds and are not logged."""
        site = _QuietSite(self.app.resource())
        site.displayTracebacks = False
        return site

    def status(self, request: Request) -> bytes:
        """Return the details as JSON."""
        return self.app.json(request, self._details())

    async def metrics(self, request: Request) -> bytes:
        """Return the metrics for Prometheus, as text or as OpenMetrics."""
        accept = request.requestHeaders.getRawHeaders(b"accept", [])
        exposition = await self._metrics(b",".join(accept).decode("latin-1"))
        request.setHeader(b"content-type", exposition.content_type.encode("ascii"))
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-length", b"%d" % len(exposition.body))
        return exposition.body


class _QuietSite(Site):
    """A site without an access log."""

    noisy = False

    def log(self, request: Any) -> None:
        """Say nothing."""
