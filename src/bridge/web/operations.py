"""The operations port: health with details; it asks for no token, so it listens on loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.web.server import Request, Site

from bridge.web.health import Health
from bridge.web.router import Router


class Operations:
    """Serves `/healthz`, `/readyz`, and the details at `/status`."""

    def __init__(
        self, *, details: Callable[[], dict[str, Any]], not_ready: Callable[[], str | None]
    ) -> None:
        """Ask for details and readiness at every request."""
        self._details = details
        self.app = Router()
        Health(not_ready=not_ready).serve_on(self.app)
        self.app.route("/", methods=["GET"])(self.status)
        self.app.route("/status", methods=["GET"])(self.status)

    def site(self) -> Site:
        """Return the site to listen with; probes come every few seconds and are not logged."""
        site = _QuietSite(self.app.resource())
        site.displayTracebacks = False
        return site

    def status(self, request: Request) -> bytes:
        """Return the details as JSON."""
        return self.app.json(request, self._details())


class _QuietSite(Site):
    """A site without an access log."""

    noisy = False

    def log(self, request: Any) -> None:
        """Say nothing."""
