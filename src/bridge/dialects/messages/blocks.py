"""Content blocks of one Messages answer, as they grow in a stream or lie in a document.

Source: platform.claude.com/docs/en/build-with-claude/streaming, "Content block delta types"
(read 2026-11-23).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.dialects.texts import holdable
from bridge.domain.observations import ModelThought, ToolUsage

_CLIENT_TOOL = "tool_use"
_SERVER_TOOL_END = "_tool_use"
_NO_INPUT = "{}"


class Block(msgspec.Struct, gc=False):
    """A content block; nothing is said about types, so that none is refused."""

    type: Any = None
    id: Any = None
    name: Any = None
    server_name: Any = None
    thinking: Any = None
    input: msgspec.Raw = msgspec.Raw(b"")


_BLOCK = msgspec.json.Decoder(Block)


class OpenBlock:
    """A tool call or a thought of which more may come."""

    __slots__ = ("_block", "_text", "truncated")

    def __init__(self, block: Block) -> None:
        """Begin with what the start event says."""
        self._block = block
        # A list of small strings takes ten times the room of what they say.
        self._text = bytearray()
        if isinstance(block.thinking, str):
            self.add(block.thinking)
        self.truncated = False
        """Whether more came than we keep."""

    def add(self, text: str) -> None:
        """Take a delta's text."""
        self._text += text.encode("utf-8", "surrogatepass")

    def completed(self, response_id: str) -> ToolUsage | ModelThought | None:
        """Return what the block was, None for an empty thought."""
        text = holdable(self._text.decode("utf-8", "surrogatepass"))
        if is_thought(self._block):
            return ModelThought(content=text, source="thinking") if text else None
        return tool_usage(self._block, response_id, text, truncated=self.truncated)


def read_block(raw: bytes) -> Block | None:
    """Return the block in `raw`, None when it is not an object.

    Raises:
        ValueError: not JSON.
        RecursionError: nested too deeply.
    """
    try:
        return _BLOCK.decode(raw)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):  # lone surrogates, stray bytes
        loose = read_loosely(raw)
    if not isinstance(loose, dict):
        return None
    fields = {name: loose.get(name) for name in ("type", "id", "name", "server_name", "thinking")}
    written = json.dumps(loose["input"]).encode() if "input" in loose else b""
    return Block(**fields, input=msgspec.Raw(written))


def is_tool_call(block: Block) -> bool:
    """Return whether the block calls a tool: the client's, the provider's, an MCP server's."""
    if not isinstance(block.type, str) or not isinstance(block.id, str):
        return False
    called = block.type == _CLIENT_TOOL or block.type.endswith(_SERVER_TOOL_END)
    return called and block.id != ""


def is_thought(block: Block) -> bool:
    """Return whether the block is reasoning that the model showed; redacted ones show nothing."""
    return isinstance(block.type, str) and block.type == "thinking"


def tool_usage(
    block: Block, response_id: str, streamed: str, *, truncated: bool = False
) -> ToolUsage:
    """Return the call in `block`.

    Args:
        block: as it was started, or as it lies in the document.
        response_id: the answer's.
        streamed: the joined deltas; wins over what the start had.
        truncated: whether `streamed` is only the beginning.
    """
    metadata: dict[str, object] = {}
    if block.type != _CLIENT_TOOL:
        metadata["type"] = block.type
    if isinstance(block.server_name, str):
        metadata["server_name"] = block.server_name
    if truncated:
        metadata["truncated"] = True
    given = bytes(block.input).decode("utf-8", "replace").strip()
    return ToolUsage(
        response_id=response_id,
        tool_call_id=holdable(block.id),
        tool=holdable(block.name) if isinstance(block.name, str) else "",
        input=streamed or given or _NO_INPUT,
        metadata=metadata,
    )
