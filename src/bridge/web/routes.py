"""Which of a provider's routes a request is at, if at any."""

from __future__ import annotations

from bridge.domain.errors import NotFound
from bridge.domain.interception import Api
from bridge.providers.interface import Provider, Route
from bridge.web.arrivals import RequestHead
from bridge.wire.headers import first


def asks_for_websocket(provider: Provider, head: RequestHead, path: bytes) -> bool:
    """Return whether a WebSocket is asked for where some providers speak the Responses API."""
    protocols = (first(head.headers, b"upgrade") or b"").lower()
    return b"websocket" in protocols and any(
        route.api is Api.RESPONSES and route.matches(path) for route in provider.routes
    )


def route_for(provider: Provider, method: bytes, path: bytes) -> Route:
    """Return the route for a request.

    Raises:
        NotFound: there is none, or not for this method.
    """
    matching: list[Route] = []
    for route in provider.routes:
        if route.matches(path):
            if method in route.methods:
                return route
            matching.append(route)
    if matching:
        methods = ", ".join(sorted(m.decode() for route in matching for m in route.methods))
        raise NotFound(f"This path takes only {methods}.")
    raise NotFound(f"The provider {provider.name} is not served at this path.")
