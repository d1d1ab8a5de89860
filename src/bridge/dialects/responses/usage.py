"""Token counts of one Responses answer: `input_tokens` holds what the cache read and wrote, too.

Source: developers.openai.com/api/reference/resources/responses, `usage` and `tool_usage`
(read 2026-11-25).
"""

from __future__ import annotations

from bridge.dialects.tally import Tally
from bridge.domain.observations import TokenUsage, UsageSource

_INPUT = "input_tokens"
_OUTPUT = "output_tokens"
_CACHED = "input_tokens_details.cached_tokens"
_WRITTEN = "input_tokens_details.cache_write_tokens"
_EXTRA = {
    _CACHED: "input_cached",
    "output_tokens_details.reasoning_tokens": "output_reasoning",
    "total_tokens": "total_tokens",
    "tool_usage.web_search.num_requests": "web_search_requests",
}
_COUNTS = frozenset({_INPUT, _OUTPUT, _CACHED, _WRITTEN})
_TIER = "service_tier"


def new_tally() -> Tally:
    """Return a tally of what this API counts."""
    return Tally(
        counts=_COUNTS,
        extra=_EXTRA,
        texts=frozenset({_TIER}),
        whole=_INPUT,
        cached=((_CACHED,), (_WRITTEN,)),
    )


def take(tally: Tally, *, usage: object, tool_usage: object, service_tier: object) -> bool:
    """Take what a response object says, and return whether it gave any count that we know.

    What its tools used is told as zeros when none ran.
    """
    tally.take(usage)
    if isinstance(usage, dict):
        tally.take({_TIER: service_tier})
        for tool, counts in tool_usage.items() if isinstance(tool_usage, dict) else ():
            if isinstance(counts, dict):
                used = {name: count for name, count in counts.items() if count}
                tally.take({f"tool_usage.{tool}": used})
    alone = new_tally()
    alone.take(usage)
    return alone.seen


def usage_from(tally: Tally, response_id: str, source: UsageSource) -> TokenUsage:
    """Return the counts so far; a cache that tells more than there was leaves no input."""
    return TokenUsage(
        response_id=response_id,
        input_tokens=max(0, tally.uncached),
        output_tokens=tally.told(_OUTPUT),
        cache_read_input_tokens=tally.told(_CACHED),
        cache_write_input_tokens=tally.told(_WRITTEN),
        source=source,
        extra=tally.extra(),
        metadata=tally.metadata(),
    )
