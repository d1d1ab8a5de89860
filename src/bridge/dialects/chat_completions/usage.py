"""Token counts of one Chat Completions answer: `prompt_tokens` holds what the cache read or wrote.

Several names for one thing are several vendors' names; the first that was told counts.

Source: platform.openai.com/docs/api-reference/chat/object, `usage`;
openrouter.ai/docs/use-cases/usage-accounting; api-docs.deepseek.com/api/create-chat-completion;
platform.moonshot.ai/docs/api/chat; console.groq.com/docs/api-reference (read 2026-11-25).
"""

from __future__ import annotations

from bridge.dialects.tally import Tally
from bridge.domain.observations import TokenUsage, UsageSource

_READ = (
    "prompt_tokens_details.cached_tokens",
    "prompt_cache_hit_tokens",  # DeepSeek
    "cached_tokens",  # Moonshot
    "cache_read_input_tokens",  # gateways in front of Anthropic
)
_WRITTEN = (
    "prompt_tokens_details.cache_write_tokens",  # OpenRouter
    "prompt_tokens_details.cache_creation_input_tokens",
    "prompt_tokens_details.cache_creation_tokens",
    "cache_creation_input_tokens",
)
_COUNTS = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_cache_miss_tokens",
        *_READ,
        *_WRITTEN,
    }
)
_EXTRA = {
    "prompt_tokens_details.audio_tokens": "prompt_audio",
    "prompt_tokens_details.cached_tokens": "prompt_cached",
    "completion_tokens_details.accepted_prediction_tokens": "completion_accepted_prediction",
    "completion_tokens_details.rejected_prediction_tokens": "completion_rejected_prediction",
    "completion_tokens_details.audio_tokens": "completion_audio",
    "completion_tokens_details.reasoning_tokens": "completion_reasoning",
}
_TEXTS = frozenset({"service_tier"})


def new_tally() -> Tally:
    """Return a tally of what this API counts."""
    return Tally(
        counts=_COUNTS, extra=_EXTRA, texts=_TEXTS, whole="prompt_tokens", cached=(_READ, _WRITTEN)
    )


def usage_from(tally: Tally, response_id: str, source: UsageSource) -> TokenUsage:
    """Return the counts so far.

    A total that is not the sum of its parts goes to the metadata: some vendors count reasoning
    only there.
    """
    metadata = dict(tally.metadata())
    total = tally.told("total_tokens")
    if total and total != tally.told("prompt_tokens") + tally.told("completion_tokens"):
        metadata["total_tokens"] = total
    return TokenUsage(
        response_id=response_id,
        input_tokens=max(0, tally.uncached),
        output_tokens=tally.told("completion_tokens"),
        cache_read_input_tokens=tally.told(*_READ),
        cache_write_input_tokens=tally.told(*_WRITTEN),
        source=source,
        extra=tally.extra(),
        metadata=metadata,
    )
