"""Scraping: what an answer to Prometheus is made of, in one process or in several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.threads import deferToThreadPool

from bridge.part import Part
from bridge.policy.keyring import KeyState
from bridge.telemetry.metrics import Exposition, Metrics


def scraping(
    metrics: Metrics, *, details: Callable[[], dict[str, Any]], part: Part, reactor: Any
) -> Callable[[str], Awaitable[Exposition]]:
    """Return what answers a scrape, by its Accept header.

    Args:
        metrics: of this process.
        details: what `/status` shows.
        part: knows what other processes have counted.
        reactor: has the threads on which the text is made.
    """

    async def exposition(accept: str) -> Exposition:
        if part.refreshed is not None:
            await part.refreshed()
        found = details()
        for each in found["providers"]:
            states = Counter(key["state"] for key in each["keys"])
            metrics.keys_are(
                each["name"],
                valid=states[KeyState.OK],
                temporary=states[KeyState.COOLING],
                permanent=states[KeyState.OUT],
            )
        scrape = metrics.scrape(found, accept, part.counts())
        return await deferToThreadPool(reactor, reactor.getThreadPool(), scrape)

    return exposition
