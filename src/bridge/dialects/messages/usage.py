"""Token counts of one Messages answer: `input_tokens` is without what the cache read or wrote.

Source: platform.claude.com/docs/en/build-with-claude/streaming, `message_delta` (read 2026-11-23).
"""

from __future__ import annotations

from bridge.dialects.tally import Tally
from bridge.domain.observations import TokenUsage, UsageSource

_COUNTS = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    }
)
_EXTRA = {
    "server_tool_use.web_search_requests": "web_search_requests",
    "cache_creation.ephemeral_1h_input_tokens": "cache_ephemeral_1h_input",
    "cache_creation.ephemeral_5m_input_tokens": "cache_ephemeral_5m_input",
}
_TEXTS = frozenset({"service_tier", "inference_geo", "speed"})


def new_tally() -> Tally:
    """Return a tally of what this API counts."""
    return Tally(counts=_COUNTS, extra=_EXTRA, texts=_TEXTS)


def usage_from(tally: Tally, response_id: str, source: UsageSource) -> TokenUsage:
    """Return the counts so far."""
    return TokenUsage(
        response_id=response_id,
        input_tokens=tally.told("input_tokens"),
        output_tokens=tally.told("output_tokens"),
        cache_read_input_tokens=tally.told("cache_read_input_tokens"),
        cache_write_input_tokens=tally.told("cache_creation_input_tokens"),
        source=source,
        extra=tally.extra(),
        metadata=tally.metadata(),
    )
