"""`/healthz` and `/readyz`: one word for a load balancer."""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.server import Request

from bridge.web.router import Router


class Health:
    """Adds the two paths to an app."""

    def __init__(self, *, not_ready: Callable[[], str | None]) -> None:
        """Ask `not_ready` why no requests should be sent here; None when they should."""
        self._not_ready = not_ready

    def serve_on(self, app: Router) -> None:
        """Serve both paths on `app`."""
        app.route("/healthz", methods=["GET", "HEAD"])(self.healthz)
        app.route("/readyz", methods=["GET", "HEAD"])(self.readyz)

    def healthz(self, request: Request) -> bytes:
        """Say that the process serves."""
        return _word(request, 200, b"ok\n")

    def readyz(self, request: Request) -> bytes:
        """Say whether it should get requests: 503 and a word when not."""
        reason = self._not_ready()
        if reason is None:
            return _word(request, 200, b"ready\n")
        return _word(request, 503, reason.encode("ascii") + b"\n")


def _word(request: Request, status: int, word: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"content-length", b"%d" % len(word))
    return word
