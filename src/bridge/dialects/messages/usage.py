"""Token counts of one Messages answer: cumulative, the last non-null value of each field wins.

Source: platform.claude.com/docs/en/build-with-claude/streaming, `message_delta` (read 2026-11-23).
"""

from __future__ import annotations

from bridge.domain.observations import TokenUsage, UsageSource

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_EXTRA = {
    "server_tool_use.web_search_requests": "web_search_requests",
    "cache_creation.ephemeral_1h_input_tokens": "cache_ephemeral_1h_input",
    "cache_creation.ephemeral_5m_input_tokens": "cache_ephemeral_5m_input",
}
_TEXTS = ("service_tier", "inference_geo", "speed")
_MAX_COUNT = 2**63 - 1
# The column is a bigint.
_MAX_UNKNOWN = 32
_MAX_NAME = 64


class UsageTally:
    """What the provider has said about usage so far."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._counts: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        self._unknown = 0
        self.seen = False
        """Whether the provider gave any count that we know."""
        self.odd = False
        """Whether something had a type that we cannot count with."""

    def take(self, usage: object) -> None:
        """Take a `usage` object, whole or partial; None is nothing."""
        if usage is None:
            return
        if not isinstance(usage, dict):
            self.odd = True
            return
        for name, value in usage.items():
            if isinstance(value, dict):
                for inner, count in value.items():
                    self._take_one(f"{name}.{inner}", count)
            else:
                self._take_one(name, value)

    def _take_one(self, name: str, value: object) -> None:
        known = name in _COUNTS or name in _EXTRA
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
            if known or self._has_room_for(name):
                self._counts[name] = value
                self.seen = self.seen or known
        elif name in _TEXTS and isinstance(value, str):
            self._texts[name] = value[:_MAX_NAME]
        elif known and value is not None:
            self.odd = True

    def _has_room_for(self, name: str) -> bool:
        if name in self._counts:
            return True
        if len(name) > _MAX_NAME or self._unknown >= _MAX_UNKNOWN:
            return False
        self._unknown += 1
        return True

    def usage(self, response_id: str, source: UsageSource) -> TokenUsage:
        """Return the counts so far."""
        counts = self._counts
        other = {
            name: count
            for name, count in counts.items()
            if name not in _COUNTS and name not in _EXTRA
        }
        return TokenUsage(
            response_id=response_id,
            input_tokens=counts.get("input_tokens", 0),
            output_tokens=counts.get("output_tokens", 0),
            cache_read_input_tokens=counts.get("cache_read_input_tokens", 0),
            cache_write_input_tokens=counts.get("cache_creation_input_tokens", 0),
            source=source,
            extra={_EXTRA[name]: counts[name] for name in _EXTRA if name in counts},
            metadata={**self._texts, **other},
        )
