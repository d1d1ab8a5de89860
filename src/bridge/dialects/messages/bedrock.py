"""What a Messages request must look like to be taken by Bedrock's InvokeModel.

The model and the wish for a stream stand in the URL, beta features in the body; of the rest, what
Bedrock refuses is left out. All of it is edits of the top-level object: what stays keeps its bytes
and its place.

Which model takes what is data (`BedrockRules`), because models come faster than releases.

Source: docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html and
inference-messages-api.html (read 2026-11-25); what gateways in use do; for Opus 4.8 and Sonnet 5
what their users report (github.com/tailcallhq/forgecode/pull/3418, read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.domain.errors import BadRequest
from bridge.wire.json_edit import Member, members_of, rewritten

ANTHROPIC_BETA = b"anthropic-beta"

_VERSION = b'"bedrock-2023-05-31"'
_MAX_MEMBERS = 10_000
_LONGEST_VALUE = 16 * 1024
"""Bytes of JSON of a member that is looked into."""
_LEAST_BUDGET = 1024
"""Tokens; less is refused as a budget of thinking."""
_PERCENT_OF_EFFORT = {"low": 20, "medium": 50, "max": 95}
_PERCENT_OTHERWISE = 80
_SMALL_AND_FAST = "haiku"

_EFFORT = "effort-2025-11-24"
_CONTEXT_MANAGEMENT = "context-management-2025-06-27"
_EVERY = ("",)
_ADAPTIVE_ONLY = (
    "anthropic.claude-opus-4-7",
    "anthropic.claude-opus-4-8",
    "anthropic.claude-opus-5",
    "anthropic.claude-sonnet-5",
    "anthropic.claude-mythos",
    "anthropic.claude-fable",
)

_BETAS = MappingProxyType(
    {
        "computer-use-2025-01-24": _EVERY,
        "token-efficient-tools-2025-02-19": _EVERY,
        "interleaved-thinking-2025-05-14": _EVERY,
        "output-128k-2025-02-19": _EVERY,
        "dev-full-thinking-2025-05-14": _EVERY,
        "context-1m-2025-08-07": _EVERY,
        _CONTEXT_MANAGEMENT: ("anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5"),
        _EFFORT: ("anthropic.claude-opus-4-5",),
        "tool-search-tool-2025-10-19": _EVERY,
        "tool-examples-2025-10-29": _EVERY,
    }
)
_BOUND = MappingProxyType({"output_config": _EFFORT, "context_management": _CONTEXT_MANAGEMENT})
_FREE = MappingProxyType({"output_config": _ADAPTIVE_ONLY})


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockRules:
    """Which models take what; a model is named by any part of its id, every one by ""."""

    adaptive: Sequence[str] = (
        "anthropic.claude-opus-4-6",
        "anthropic.claude-sonnet-4-6",
        *_ADAPTIVE_ONLY,
    )
    """Those that decide themselves how much to think; the others are given a budget."""
    betas: Mapping[str, Sequence[str]] = field(default_factory=lambda: _BETAS)
    """Known beta features, and the models that have them."""
    removed: Sequence[str] = ("metadata", "service_tier", "container", "inference_geo")
    """Members that no model takes."""
    bound: Mapping[str, str] = field(default_factory=lambda: _BOUND)
    """Members that are taken only together with a beta feature."""
    free: Mapping[str, Sequence[str]] = field(default_factory=lambda: _FREE)
    """Models that take such a member without it."""


DEFAULT_RULES = BedrockRules()


def bedrock_model(requested: str, *, model: str, small_fast_model: str) -> str:
    """Return the id of the model that is asked, for the one that the client names.

    Args:
        requested: by the client.
        model: what everything goes to; "" for what the client names.
        small_fast_model: what goes to requests for a small model; "" for the same.
    """
    if _SMALL_AND_FAST in requested and small_fast_model:
        return small_fast_model
    return model or requested


def invoke_body(
    body: bytes,
    *,
    model: str,
    header_betas: Iterable[bytes] = (),
    rules: BedrockRules = DEFAULT_RULES,
) -> bytes:
    """Return the body of InvokeModel for that of a Messages request.

    A request for adaptive thinking that names no `max_tokens` stays as it is in that, and AWS
    refuses it with the sentence that the user needs.

    Args:
        body: without any content encoding.
        model: Bedrock's id of it.
        header_betas: values of the request's `anthropic-beta` headers.
        rules: which model takes what.

    Raises:
        BadRequest: it is not a JSON object.
    """
    members = members_of(body, at_most=_MAX_MEMBERS)
    if members is None:
        raise BadRequest("The request body is not a JSON object that can be sent to Bedrock.")
    request = _Request(body, members)
    changes: dict[str, bytes | None] = dict.fromkeys(("model", "stream", *rules.removed))
    if not _any_in(model, rules.adaptive):
        thinking = _budgeted(request)
        if thinking is not None:
            changes["thinking"] = thinking
    betas = _betas(request, header_betas, model, rules)
    if betas is not None:
        changes["anthropic_beta"] = msgspec.json.encode(betas)
    having = request.value("anthropic_beta") if betas is None else betas
    for name, beta in rules.bound.items():
        bound = not _any_in(model, rules.free.get(name, ()))
        if bound and not (isinstance(having, list) and beta in having):
            changes[name] = None
    if request.value("anthropic_version") is None:
        changes["anthropic_version"] = _VERSION
    return rewritten(body, members, changes)


class _Request:
    """Reads single members of a request."""

    def __init__(self, body: bytes, members: Sequence[Member]) -> None:
        self._body = body
        self._members = members

    def value(self, name: str) -> Any:
        """Return the value of the last member `name`; None for none, or one that is no JSON.

        Raises:
            BadRequest: it is longer than anything that is meant.
        """
        for member in reversed(self._members):
            if member.is_named(name):
                begin, end = member.value
                if end - begin > _LONGEST_VALUE:
                    raise BadRequest(f"The member {name} is too long.")
                try:
                    return read_loosely(self._body[begin:end])
                except (ValueError, RecursionError):
                    return None
        return None


def _budgeted(request: _Request) -> bytes | None:
    """Return `thinking` with a budget in place of an adaptive one; None to leave it alone."""
    thinking = request.value("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "adaptive":
        return None
    most = request.value("max_tokens")
    if isinstance(most, bool) or not isinstance(most, int | float) or not 0 < most < 1e15:
        return None
    config = request.value("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    percent = _PERCENT_OTHERWISE
    if isinstance(effort, str):
        percent = _PERCENT_OF_EFFORT.get(effort, percent)
    budget = int(most) * percent // 100
    if budget < _LEAST_BUDGET:
        return b'{"type":"disabled"}'
    return b'{"type":"enabled","budget_tokens":%d}' % budget


def _betas(
    request: _Request, header_betas: Iterable[bytes], model: str, rules: BedrockRules
) -> list[str] | None:
    """Return what `anthropic_beta` must be; None when it may stay as it is.

    What stands in the body was written for Bedrock, so it stays; the header's is filtered.
    """
    asked = (each.strip().decode("latin-1") for value in header_betas for each in value.split(b","))
    taken = [each for each in asked if _any_in(model, rules.betas.get(each, ()))]
    written = request.value("anthropic_beta")
    own = [each for each in written if isinstance(each, str)] if isinstance(written, list) else []
    betas = list(dict.fromkeys((*own, *taken)))
    return betas if len(betas) > len(own) else None


def _any_in(model: str, parts: Iterable[str]) -> bool:
    return any(part in model for part in parts)
