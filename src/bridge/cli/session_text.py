"""A session as people read it: its threads, and in each what was asked, thought and called."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import click

from bridge.cli.administration import shown_time
from bridge.cli.tables import print_facts
from bridge.store.sessions_json import Agent, AgenticAction, SessionDetail, Thread
from bridge.telemetry.escape import printable

_RESULT_LINES = 12
_RESULT_CHARACTERS = 1000


class AsText:
    """Prints a session for people."""

    def __init__(self) -> None:
        """Print nothing yet."""
        self._begun = False
        self._cut: UUID | None = None

    def piece(self, found: SessionDetail, *, cut: bool) -> None:
        """Print the threads, each under its heading."""
        if not self._begun:
            print_facts(("SESSION", found.id), _facts(found))
        self._begun = True
        for thread in found.threads:
            if thread.id != self._cut:
                click.echo(f"\n{printable(_heading(thread, cut=cut))}")
            for action in thread.agentic_actions:
                for line in _lines(action):
                    click.echo(printable(line))
        self._cut = found.threads[0].id if cut else None

    def end(self, *, has_more: bool) -> None:
        """Print nothing: the command says where to go on."""


def _facts(session: SessionDetail) -> list[tuple[str, str]]:
    """Return what is known of the session as a whole."""
    sums = session.token_usage_summary
    into = sums.input_tokens + sums.cache_read_input_tokens + sums.cache_write_input_tokens
    return [
        ("user", session.initiator.username),
        ("client", session.client or "Unknown"),
        ("providers", " ".join(session.provider_names)),
        ("models", " ".join(session.models)),
        ("started", shown_time(session.started_at)),
        ("ended", shown_time(session.ended_at)),
        ("requests", str(session.interceptions)),
        ("threads", str(session.thread_count)),
        *(("agent", f"{each.id} {each.kind or ''}") for each in _below(session.agent)),
        ("tokens", f"{into} in, {sums.output_tokens} out"),
    ]


def _below(agent: Agent) -> Iterator[Agent]:
    for each in agent.sub_agents:
        yield each
        yield from _below(each)


def _heading(thread: Thread, *, cut: bool) -> str:
    # How a thread ended is not known before its end.
    facts = (shown_time(thread.started_at), thread.model, "" if cut else thread.status, thread.id)
    return "  ".join(str(each) for each in facts if each)


def _lines(action: AgenticAction) -> Iterator[str]:
    """Yield an interception of a thread line by line, not yet escaped."""
    if action.agent_id is not None:
        yield f"  @ {action.agent_id}"
    if action.prompt:
        yield from _indented("> ", action.prompt)
    for thinking in action.thinking:
        yield from _indented("~ ", thinking.text)
    for call in action.tool_calls:
        yield f"  + {call.tool} {' '.join(call.input.split())}"
        if call.result is not None:
            error = "error, " if call.result.is_error else ""
            yield f"    < {error}{call.result.size_bytes} bytes"
            yield from _beginning(call.result.content or "")
    usage = action.token_usage
    said = [shown_time(action.started_at), f"{usage.input_tokens} in"]
    said += [f"{usage.output_tokens} out", action.status]
    if action.duration_ms is not None:
        said.append(f"{action.duration_ms} ms")
    yield f"  = {', '.join(said)}, {action.id}"
    if action.error_message:
        yield f"  ! {action.error_message}"


def _beginning(text: str) -> Iterator[str]:
    """Yield the first lines of what a tool gave back; `interceptions show` has all of it."""
    begun = text[:_RESULT_CHARACTERS]
    lines = begun.splitlines()[:_RESULT_LINES]
    for line in lines:
        yield f"      {line}"
    if len(begun) < len(text) or len(lines) < len(begun.splitlines()):
        yield "      …"


def _indented(mark: str, text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"  {mark}{line}"
