"""The options of what is recorded: contents by provider and role, and the secrets in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.config.kinds import BOOLEAN, choice, duration, secret_patterns
from bridge.config.table import Option
from bridge.domain.identity import Role
from bridge.domain.secret_patterns import ExtraPattern

LEVEL = choice("full", "off")
"""Whether a content is recorded."""
FULL = "full"

# fmt: off
CONTENT_RETENTION = Option(
    path="aibridge.content_retention", kind=duration(zero="as long as its record"), default=0.0,
    doc="How long prompts, tool arguments, thoughts and error messages are kept, when shorter than "
    "aibridge.retention; then they are blanked, and who asked, when and what it cost stays.",
)
RECORD_PROMPTS = Option(
    path="record.prompts", kind=LEVEL, default=FULL, reloadable=True,
    doc="Whether prompts are recorded.",
)
RECORD_TOOL_INPUTS = Option(
    path="record.tool_inputs", kind=LEVEL, default=FULL, reloadable=True,
    doc="Whether the arguments of tool calls are recorded.",
)
RECORD_THOUGHTS = Option(
    path="record.thoughts", kind=LEVEL, default=FULL, reloadable=True,
    doc="Whether the reasoning that models show is recorded.",
)
RECORD_TOOL_RESULTS = Option(
    path="record.tool_results", kind=LEVEL, default="off", reloadable=True,
    doc="Whether what tools give back is recorded; its size, and if it is an error, are anyway.",
)
DISABLE_CONTENT_RECORDING = Option(
    path="aibridge.disable_content_recording", kind=BOOLEAN, default=False, reloadable=True,
    doc="Record no contents at all: the same as all of record.* off.",
)
REDACT_SECRETS = Option(
    path="aibridge.redact_secrets", kind=BOOLEAN, default=True,
    doc="Take keys, tokens and passwords out of what is recorded, before it is written anywhere.",
)
REDACT_PATTERNS: Option[tuple[ExtraPattern, ...]] = Option(
    path="aibridge.redact_patterns", kind=secret_patterns(), default=(),
    doc="Further secrets to take out: name=pattern, in the syntax of RE2, which is linear in time; "
    "the first group, if there is one, is what is taken out.",
)
# fmt: on

CONTENTS: Mapping[str, Option[str]] = {
    "prompts": RECORD_PROMPTS,
    "tool_inputs": RECORD_TOOL_INPUTS,
    "thoughts": RECORD_THOUGHTS,
    "tool_results": RECORD_TOOL_RESULTS,
}
"""The kinds of content, and the option that says for everybody whether each is recorded."""

RECORD_BY_ROLE: Mapping[tuple[Role, str], Option[str]] = {
    (role, content): Option(
        path=f"aibridge.record_by_role.{role.value}.{content}",
        kind=LEVEL,
        default=FULL,
        hidden=True,
        reloadable=True,
        doc=f"The same as {option.path} for users who hold the role {role.value}; off wins.",
    )
    for role in Role
    for content, option in CONTENTS.items()
}
"""Of global option, provider and every role that a user holds the strictest counts."""

ALL: tuple[Option[Any], ...] = (
    *CONTENTS.values(),
    DISABLE_CONTENT_RECORDING,
    CONTENT_RETENTION,
    REDACT_SECRETS,
    REDACT_PATTERNS,
    *RECORD_BY_ROLE.values(),
)
"""Every option above."""
