"""Providers: who is served, how their keys and circuit breakers are, and how to set up a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.pages.answers import Answer, Page
from bridge.pages.app import Handler
from bridge.pages.commands import curl
from bridge.pages.visit import Visit


class ProviderPages:
    """`/ui/providers`."""

    def __init__(self, details: Callable[[], Mapping[str, Any]], *, alone: bool) -> None:
        """Show what `details`, the status of this process, says; `alone` when it is the bridge."""
        self._details = details
        self._alone = alone

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        return (("GET", "/ui/providers", self.listed),)

    async def listed(self, visit: Visit) -> Answer:
        """Return the providers; the hints of keys are for those who manage or audit."""
        details = self._details()
        return Page(
            template="providers.html",
            values={
                "providers": details["providers"],
                "breakers": details["circuit_breakers"],
                "details": details,
                "alone": self._alone,
                "privileged": visit.owner or visit.auditor,
                "command": curl(visit.origin, "/providers"),
            },
        )
