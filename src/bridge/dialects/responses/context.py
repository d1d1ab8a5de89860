"""What coding agents put into a human's turn that no human wrote.

Source: openai/codex, codex-rs/core/src/context/contextual_user_message.rs and the fragments it
registers (read 2026-11-25): a text in a message of the role `user` is context when it begins with
one marker and ends with another, white space and case aside.
"""

from __future__ import annotations

from bridge.dialects.human_words import is_added

_TAGS = frozenset(
    {
        "agent_message_board_notification",
        "codex_internal_context",
        "environment_context",
        "goal_context",
        "hook_prompt",
        "recommended_plugins",
        "skill",
        "subagent_notification",
        "turn_aborted",
        "user_instructions",
        "user_shell_command",
    }
)
_AGENTS_FILE = "# agents.md instructions"
_AGENTS_FILE_ENDS = ("</instructions>", "</environment_context>")
_LONGEST = 64
# Longer than any marker; only the ends of a text are looked at.


def is_context(text: str) -> bool:
    """Return whether `text` holds only what an agent put there."""
    bare = text.strip()
    begin, end = bare[:_LONGEST].lower(), bare[-_LONGEST:].lower()
    if begin.startswith(_AGENTS_FILE):
        return end.endswith(_AGENTS_FILE_ENDS)
    if not begin.startswith("<"):
        return False
    tag = begin[1:].partition(">")[0].partition(" ")[0]
    return (tag in _TAGS and end.endswith(f"</{tag}>")) or is_added(text)
