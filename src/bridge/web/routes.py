"""Which of a provider's routes a request is at, if at any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bridge.domain.errors import NotFound
from bridge.providers.interface import Provider, Route
from bridge.web.arrivals import RequestHead
from bridge.wire.headers import first


def asks_for_websocket(provider: Provider, head: RequestHead, path: bytes) -> bool:
    """Return whether a WebSocket is asked for where clients try one first."""
    protocols = (first(head.headers, b"upgrade") or b"").lower()
    return b"websocket" in protocols and any(
        route.refuses_websocket and route.matches(path) for route in provider.routes
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
    bases = base_paths(provider)
    sentence = f"The provider {provider.name} is not served at this path."
    if path.startswith(b"/v1/v1/"):
        sentence += " Leave /v1 out of the client's base URL."
    elif bases:
        ends = " or ".join(
            f"{base} (for {api})" if len(bases) > 1 else base for base, api in bases.items()
        )
        sentence += f" The client's base URL has to end in {ends}."
    raise NotFound(sentence)


def base_paths(provider: Provider) -> Mapping[str, str]:
    """Return the paths that clients' base URLs end in, with whose APIs are spoken there."""
    patterns = {route.pattern for route in provider.routes}
    root = f"/{provider.name}"
    found = {}
    if "/v1/chat/completions" in patterns:
        found[f"{root}/v1"] = "OpenAI's APIs"
    elif "/chat/completions" in patterns:
        found[root] = "every API"
    if "/v1/messages" in patterns:
        found.setdefault(root, "Anthropic's")
    return found


def nothing_here(providers: Iterable[Provider]) -> str:
    """Return what somebody is told whose path begins with no provider's name."""
    example = next((base for each in providers for base in base_paths(each)), "")
    about = f" Paths begin with a provider's name, such as {example}." if example else ""
    return f"There is nothing at this path.{about}"
