"""Limits: from the settings to the values that the parts are given."""

from __future__ import annotations

from bridge.config import options
from bridge.config.settings import Settings
from bridge.intercept.exchange import ReadingLimits
from bridge.upstream.draining import DrainLimits
from bridge.upstream.relay import RelayLimits
from bridge.web.channel import SiteLimits


def relay_limits(settings: Settings) -> RelayLimits:
    """Return the limits of an answer that is passed on."""
    return RelayLimits(
        upstream_idle=settings[options.UPSTREAM_IDLE],
        client_stall=settings[options.CLIENT_STALL],
        exchange=settings[options.EXCHANGE],
        ping=settings[options.PING],
    )


def reading_limits(settings: Settings) -> ReadingLimits:
    """Return the limits of what is read of answers."""
    drain = DrainLimits(
        seconds=settings[options.ABORT_DRAIN], bytes=settings[options.ABORT_DRAIN_BYTES]
    )
    return ReadingLimits(
        max_event=settings[options.MAX_EVENT],
        max_document=settings[options.MAX_DOCUMENT],
        drain=drain if settings[options.ON_CLIENT_ABORT] == "drain" else None,
    )


def body_memory(settings: Settings, processes: int) -> int:
    """Return the bytes that one of so many processes has for bodies: room for one at least."""
    if processes == 1:
        return settings[options.BODY_MEMORY]
    return max(settings[options.BODY_MEMORY] // processes, settings[options.MAX_BODY])


def site_limits(settings: Settings, processes: int) -> SiteLimits:
    """Return the limits of clients' connections, of which a process gets its share."""
    behind_proxy = settings[options.BEHIND_PROXY] or settings[options.TRUSTED_PROXIES]
    return SiteLimits(
        request_header_seconds=settings[options.REQUEST_HEADER],
        request_body_idle_seconds=settings[options.REQUEST_BODY_IDLE],
        header_bytes=settings[options.HEADER_BYTES],
        connections=_share(settings[options.CONNECTIONS], processes),
        # All of a proxy's connections come from one address.
        connections_per_address=(
            0 if behind_proxy else _share(settings[options.CONNECTIONS_PER_ADDRESS], processes)
        ),
    )


def _share(limit: int, processes: int) -> int:
    return -(-limit // processes)
