"""Which tool asks, and which of its sessions this is; best effort, all of it can be forged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

Headers = Mapping[bytes, Sequence[bytes]]
"""Lower-case names, values in order."""

UNKNOWN = "Unknown"
CLAUDE_CODE = "Claude Code"
CODEX = "Codex"
COPILOT_CLI = "GitHub Copilot (CLI)"
COPILOT_VSCODE = "GitHub Copilot (VS Code)"
KILO_CODE = "Kilo Code"
OPENCODE = "OpenCode"
QWEN_CODE = "Qwen Code"

MAX_SESSION_ID = 256
"""Characters; the column's width."""

_MAX_HINT = 4096
# A longer text is no session's name, and not worth reading as JSON.

_CURSOR_VERSION = b"x-cursor-client-version"

_RULES: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("Xum", ("xum/", "mux/"), None),
    (CLAUDE_CODE, ("claude",), None),
    (CODEX, ("codex",), None),
    ("Zed", ("zed/",), None),
    (COPILOT_VSCODE, ("githubcopilotchat/",), None),
    (COPILOT_CLI, ("copilot/",), None),
    (KILO_CODE, ("kilo-code/", "kilo/"), "kilo-code"),
    ("Roo Code", ("roo-code/",), "roo-code"),
    ("Coder Agents", ("coder-agents/",), None),
    ("Charm Crush", ("charm crush/", "charm-crush/"), None),
    ("Cursor", (), None),
    (OPENCODE, ("opencode/",), None),
    ("Junie", ("junie:",), None),
    (QWEN_CODE, ("qwencode/",), None),
)
# Label, beginnings of the lower-cased User-Agent, exact `originator`; the first that matches wins.
_BEGINNINGS = tuple(each for _, beginnings, _ in _RULES for each in beginnings)
_BY_TITLE = {"Kilo Code": KILO_CODE, "Roo Code": "Roo Code", "Cline": "Cline"}
_BARE_SDKS = ("openai/js", "anthropic/js")
_COPILOT_INITIATORS = ("user", "agent")

_CLAUDE_SESSION = b"x-claude-code-session-id"
_THREAD = b"thread-id"
_SESSION = b"session-id"
_X_SESSION = b"x-session-id"
_AFFINITY = b"x-session-affinity"
_SESSION_HEADERS = frozenset({_CLAUDE_SESSION, _THREAD, _SESSION, _X_SESSION, _AFFINITY})
_OWN_SESSION_HEADERS: Mapping[str, tuple[bytes, ...]] = {
    CLAUDE_CODE: (_CLAUDE_SESSION,),
    CODEX: (_SESSION, b"session_id"),
    "Xum": (b"x-mux-workspace-id",),
    COPILOT_VSCODE: (b"x-interaction-id",),
    COPILOT_CLI: (b"x-client-session-id",),
    KILO_CODE: (b"x-kilocode-taskid",),
    "Coder Agents": (b"x-coder-chat-id",),
    OPENCODE: (b"x-opencode-session", _AFFINITY),
}
_TITLE = "title-"
"""Kilo Code's request for a session's title has the session's id behind this."""
_USER_ID = "metadata.user_id"
_CLAUDE_AGENT = b"x-claude-code-agent-id"
_CLAUDE_PARENT = b"x-claude-code-parent-agent-id"
_CODEX_PARENT = b"x-codex-parent-thread-id"
_CODEX_KIND = b"x-openai-subagent"


def detect_client(headers: Headers) -> str:
    """Return the label of the tool that sent `headers`, `Unknown` for none that we know.

    The User-Agent decides where it can. Kilo Code (7.7.7), made of opencode, calls itself that on
    the Responses API, under a title of its own. Qwen Code calls itself `claude-cli/0.…` on the
    Messages API, without the session header that Claude Code has sent since long before. Copilot's
    command line looks like a bare SDK, but says who initiated a request: the user, or the agent
    with a tool's result (1.0.102, which names the type of interaction only in the former).
    """
    agent = _first(headers, b"user-agent").lower()
    originator = _first(headers, b"originator")
    title = _BY_TITLE.get(_first(headers, b"x-title"))
    recognised = agent.startswith(_BEGINNINGS) or originator or _CURSOR_VERSION in headers
    for label, beginnings, origin in _RULES if recognised else ():
        if agent.startswith(beginnings) or (origin is not None and originator == origin):
            if label == OPENCODE:
                return title or label
            return QWEN_CODE if label == CLAUDE_CODE and _posing(agent, headers) else label
        if label == "Cursor" and _first(headers, _CURSOR_VERSION):
            return label
    if agent.startswith(_BARE_SDKS) and _first(headers, b"x-initiator") in _COPILOT_INITIATORS:
        return COPILOT_CLI
    return title or UNKNOWN


def client_session_id(
    client: str, headers: Headers, session_hints: Mapping[str, str]
) -> str | None:
    """Return the session that the client says this request belongs to, None when it says nothing.

    The detected client's own source comes first, then what any client may send. A plain
    `metadata.user_id` names a user, not a session, and is not taken.

    Args:
        client: what `detect_client` returned.
        headers: the request's.
        session_hints: texts that the dialect found in the body.
    """
    for name in _OWN_SESSION_HEADERS.get(client, ()):
        if found := _cleaned(_first(headers, name)):
            return found
    if not session_hints and _SESSION_HEADERS.isdisjoint(headers):
        return None
    generic = _said_by_anybody(headers, session_hints)
    for text in generic:
        if found := _cleaned(text.strip().removeprefix(_TITLE) if client == KILO_CODE else text):
            return found
    return None


def _said_by_anybody(headers: Headers, session_hints: Mapping[str, str]) -> Iterator[str]:
    """Return what may name a session, whoever sent it; the best first."""
    yield _first(headers, _CLAUDE_SESSION)
    yield _session_in_user_id(session_hints.get(_USER_ID, ""))
    yield _first(headers, _THREAD)
    yield _first(headers, _SESSION)
    yield session_hints.get("client_metadata.thread_id", "")
    yield session_hints.get("client_metadata.session_id", "")
    yield _first(headers, _X_SESSION)
    yield _first(headers, _AFFINITY)
    yield session_hints.get("prompt_cache_key", "")


def agent_ids(client: str, headers: Headers) -> dict[str, str]:
    """Return `agent_id`, `parent_agent_id` and `agent_kind`, as far as the client says them.

    Claude Code names the agents that its main one begins, and their parents if these are not the
    main one. Codex's agents are threads; only those that another one began say so.
    """
    if client == CODEX:
        if not any(_first(headers, name) for name in (_CODEX_PARENT, _CODEX_KIND)):
            return {}
        names = {"agent_id": _THREAD, "parent_agent_id": _CODEX_PARENT,
                 "agent_kind": _CODEX_KIND}  # fmt: skip
    else:
        names = {"agent_id": _CLAUDE_AGENT, "parent_agent_id": _CLAUDE_PARENT}
    if names["agent_id"] not in headers:
        return {}
    found = {name: _cleaned(_first(headers, header)) for name, header in names.items()}
    # A parent says nothing of whom it does not name.
    return {name: text for name, text in found.items() if text} if found["agent_id"] else {}


def _session_in_user_id(user_id: str) -> str:
    """Return the session inside Claude Code's `metadata.user_id`.

    It is a JSON text `{"device_id", "account_uuid", "session_id"}`, once `user_…_session_<id>`.
    """
    if not user_id or len(user_id) > _MAX_HINT:
        return ""
    if user_id.lstrip().startswith("{"):
        try:
            inside = json.loads(user_id)
        except (ValueError, RecursionError):
            inside = {}
        if isinstance(inside.get("session_id"), str):
            return str(inside["session_id"])
    _, found, session = user_id.partition("_session_")
    return session if found else ""


def _posing(agent: str, headers: Headers) -> bool:
    return agent.startswith("claude-cli/0.") and not _first(headers, _CLAUDE_SESSION)


def _cleaned(text: str) -> str:
    return text.strip()[:MAX_SESSION_ID].strip()


def _first(headers: Headers, name: bytes) -> str:
    values = headers.get(name)
    return values[0].decode("latin-1").strip() if values else ""
