"""Reasoning in a delta or message: OpenAI shows none in this API, so every vendor has a field.

Source: api-docs.deepseek.com/guides/reasoning_model (`reasoning_content`);
openrouter.ai/docs/use-cases/reasoning-tokens (`reasoning`, `reasoning_details`);
docs.vllm.ai, features/reasoning_outputs (both); docs.mistral.ai/capabilities/reasoning (parts of
the type `thinking`); GitHub Copilot sends `reasoning_text` (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")


def reasoning_in(message: dict[str, Any]) -> str:
    """Return the reasoning that a delta, or a whole message, shows; "" for none.

    Where several fields are filled they say the same, and the first one counts.
    """
    for name in _FIELDS:
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    details = message.get("reasoning_details")
    if isinstance(details, list):
        text = "".join(_texts(details))
        if text:
            return text
    content = message.get("content")
    return "".join(_thinking(content)) if isinstance(content, list) else ""


def _texts(parts: list[Any]) -> Iterator[str]:
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            yield text


def _thinking(content: list[Any]) -> Iterator[str]:
    for part in content:
        if isinstance(part, dict) and part.get("type") == "thinking":
            thinking = part.get("thinking")
            if isinstance(thinking, str):
                yield thinking
            elif isinstance(thinking, list):
                yield from _texts(thinking)
