"""The root: tells the data plane from management by the raw path, before anything is decoded."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.web.resource import Resource

from bridge.domain.errors import BridgeError
from bridge.web.arrivals import Arrival, Refusal, RequestHead
from bridge.web.gateway import Gateway
from bridge.web.incoming import BridgeRequest
from bridge.web.router import Problem, Router
from bridge.web.routes import nothing_here

MAX_MANAGEMENT_BODY_BYTES = 256 * 1024


class Root(Resource):
    """Everything on `listen`: the providers' paths, the pages, and the rest."""

    isLeaf = True

    def __init__(
        self, *, gateway: Gateway, management: Router, pages: Router | None = None
    ) -> None:
        """Serve the gateway, management, and pages if there are any."""
        super().__init__()
        self._gateway = gateway
        management.nothing_here = self._nothing_here
        self._management = management.resource()
        self._pages = pages.resource() if pages is not None else None

    def render(self, request: BridgeRequest) -> Any:
        """Hand `request` to whom it was let in for."""
        # Which program and version we are is nobody's business; upstream's own word is relayed.
        request.responseHeaders.removeHeader(b"server")
        if self._pages is not None and _is_for_pages(request):
            return self._pages.render(request)
        return self._management.render(request)

    def _nothing_here(self) -> str:
        return nothing_here(each.provider for each in self._gateway.upstreams)


def _is_for_pages(request: BridgeRequest) -> bool:
    """Return whether a browser's page is asked for; at the root that is told by what it accepts."""
    if request.path == b"/":
        return b"text/html" in (request.getHeader(b"accept") or b"")
    return bool(request.path == b"/ui" or request.path.startswith(b"/ui/"))


class RootGate:
    """Decides about heads for both sides."""

    def __init__(self, *, gateway: Gateway) -> None:
        """Ask `gateway` about its own paths; let the rest in, where each route asks for itself."""
        self._gateway = gateway

    def arrive(self, head: RequestHead) -> Arrival:
        """Let a request in; any BridgeError keeps it out."""
        found = self._gateway.upstream_at(head.target)
        if found is None:
            return Arrival(max_body_bytes=MAX_MANAGEMENT_BODY_BYTES, place=None, query_is_ours=True)
        return self._gateway.arrive(head, *found)

    def refusal(self, head: RequestHead, error: BridgeError) -> Refusal:
        """Return the answer for a request that is kept out."""
        found = self._gateway.upstream_at(head.target)
        if found is not None:
            return self._gateway.refusal(head, found[0], error)
        return Refusal(
            status=error.status,
            headers=[(b"content-type", b"application/json"), (b"cache-control", b"no-store")],
            body=msgspec.json.encode(Problem(message=error.message)),
        )
