"""The public log lines: one exact message, six record types, agreed fields."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from bridge.domain.clock import utc
from bridge.domain.identity import Actor, CredentialKind, Role, Scope
from bridge.domain.ids import day_of, uuid7
from bridge.domain.interception import Api, Interception, Traffic
from bridge.domain.records import (
    AuditRecorded,
    InterceptionEnded,
    InterceptionStarted,
    LegRecorded,
    ModelThoughtRecorded,
    TokenUsageRecorded,
    ToolResultBrought,
    ToolUsageRecorded,
)
from bridge.recording.structured_log import StructuredLog
from tests.support.cases import BridgeTestCase

_NOW = 1_790_000_000.0
_ID = uuid7(_NOW)
_BASE: dict[str, Any] = {"id": _ID, "day": day_of(_ID), "at": utc(_NOW), "interception_id": _ID}
_USER = UUID(int=7)


def interception() -> Interception:
    return Interception(
        id=_ID,
        started_at=utc(_NOW),
        traffic=Traffic.INTERCEPTED,
        actor=Actor(
            id=_USER,
            username="ada",
            roles=frozenset({Role.MEMBER}),
            token_id="0123456789Ab",
            scope=Scope.INFERENCE,
        ),
        provider="anthropic",
        provider_name="claude-eu",
        api=Api.MESSAGES,
        method="POST",
        route="/v1/messages",
        model="demo-text",
        streaming=True,
        client="Claude Code",
        client_session_id="s-1",
        user_agent="claude-cli/2",
        correlating_tool_call_id="toolu_1",
        credential_kind=CredentialKind.CENTRALIZED,
        credential_hint="sk-a...wxyz",
        prompt="hello",
        bytes_in=10,
    )


def start(prompt: str | None) -> InterceptionStarted:
    return InterceptionStarted(
        **_BASE,
        traffic="intercepted",
        initiator_id=_USER,
        username="ada",
        api_key_id="0123456789Ab",
        provider="anthropic",
        provider_name="claude-eu",
        api="messages",
        method="POST",
        route="/v1/messages",
        model="demo-text",
        streaming=True,
        client="Claude Code",
        client_session_id="s-1",
        user_agent="claude-cli/2",
        correlating_tool_call_id="toolu_1",
        credential_kind="centralized",
        credential_hint="sk-a...wxyz",
        prompt=prompt,
        bytes_in=10,
        partially_observed=False,
        metadata={"request_user_agent": "claude-cli/2", "agent": "a1"},
    )


class MemoryLog:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))


class StructuredLogTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = MemoryLog()
        self.structured = StructuredLog(log=self.log)

    def written(self, record: Any) -> list[dict[str, object]]:
        self.structured.write(record, interception())
        self.assertEqual({event for event, _ in self.log.lines} - {"interception log"}, set())
        return [fields for _, fields in self.log.lines]

    def test_every_line_says_whose_and_where(self) -> None:
        """Dashboards can filter any line by user, provider, model and client."""
        (line,) = self.written(start(None))

        shared = ("interception_id", "initiator_id", "username", "provider", "provider_name")
        self.assertEqual(
            [line[name] for name in shared], [_ID, _USER, "ada", "anthropic", "claude-eu"]
        )
        self.assertEqual((line["model"], line["client"]), ("demo-text", "Claude Code"))

    def test_start_has_the_agreed_fields(self) -> None:
        """`interception_start` says who asked what of whom, with which key and from which tool."""
        (line,) = self.written(start(None))

        self.assertEqual(line["record_type"], "interception_start")
        self.assertEqual(line["api_key_id"], "0123456789Ab")
        self.assertEqual(line["client_session_id"], "s-1")
        self.assertEqual(line["correlating_tool_call_id"], "toolu_1")
        self.assertEqual(line["started_at"], utc(_NOW))
        self.assertEqual(line["metadata"], {"request_user_agent": "claude-cli/2", "agent": "a1"})

    def test_prompt_has_a_line_of_its_own(self) -> None:
        """A start with a prompt is followed by `prompt_usage`; the start holds no content."""
        first, second = self.written(start("hello"))

        self.assertNotIn("prompt", first)
        self.assertEqual((second["record_type"], second["prompt"]), ("prompt_usage", "hello"))
        self.assertEqual((second["msg_id"], second["created_at"]), ("", utc(_NOW)))

    def test_results_of_tools_have_lines_of_their_own(self) -> None:
        """`tool_result` says of which call, how much, and what only where that is recorded."""
        results = [
            ToolResultBrought(tool_call_id=call, size_bytes=3, is_error=error, content=content)
            for call, error, content in (("toolu_1", True, "bad"), ("toolu_2", None, None))
        ]

        _, first, second = self.written(replace(start(None), tool_results=results))

        self.assertEqual((first["record_type"], first["n"]), ("tool_result", 1))
        self.assertEqual((first["tool_call_id"], first["size_bytes"]), ("toolu_1", 3))
        self.assertEqual((first["is_error"], first["content"]), (True, "bad"))
        self.assertEqual((second["n"], second["is_error"], second["content"]), (2, None, None))
        self.assertEqual(second["created_at"], utc(_NOW))

    def test_end_says_how_it_went(self) -> None:
        """`interception_end` has status, http_status and duration_ms beside the agreed fields."""
        (line,) = self.written(
            InterceptionEnded(
                **_BASE,
                status="upstream_error",
                http_status=529,
                ttfb_ms=None,
                duration_ms=12,
                bytes_out=3,
                response_sha256=None,
                client_sha256=None,
                response_id=None,
                stop_reason=None,
                error_type="overloaded",
                error_message="Overloaded",
                credential_hint="sk-b...wxyz",
                partially_observed=False,
            )
        )

        self.assertEqual(line["record_type"], "interception_end")
        self.assertEqual(line["ended_at"], utc(_NOW))
        self.assertEqual(
            (line["status"], line["http_status"], line["duration_ms"]), ("upstream_error", 529, 12)
        )
        self.assertEqual(
            (line["error_type"], line["credential_hint"]), ("overloaded", "sk-b...wxyz")
        )

    def test_tokens_have_all_four_counts(self) -> None:
        """`token_usage` has the counts and where they came from."""
        (line,) = self.written(
            TokenUsageRecorded(
                **_BASE,
                n=1,
                provider_response_id="msg_1",
                input_tokens=1,
                output_tokens=2,
                cache_read_input_tokens=3,
                cache_write_input_tokens=4,
                usage_source="provider_final",
                metadata={"service_tier": "standard"},
            )
        )

        self.assertEqual((line["record_type"], line["msg_id"]), ("token_usage", "msg_1"))
        self.assertEqual(
            [line[f"{kind}_tokens"] for kind in ("input", "output")]
            + [line[f"cache_{kind}_input_tokens"] for kind in ("read", "write")],
            [1, 2, 3, 4],
        )
        self.assertEqual(line["metadata"], {"service_tier": "standard"})

    def test_tool_call_keeps_its_arguments_as_text(self) -> None:
        """`tool_usage` has the JSON text that the model wrote."""
        (line,) = self.written(
            ToolUsageRecorded(
                **_BASE,
                n=1,
                provider_response_id="msg_1",
                provider_tool_call_id="toolu_2",
                provider_item_id=None,
                tool="Bash",
                input='{"command": "ls"}',
                server_url=None,
                injected=False,
                invocation_error=None,
                metadata={},
            )
        )

        self.assertEqual(
            (line["record_type"], line["tool_call_id"], line["tool"], line["input"]),
            ("tool_usage", "toolu_2", "Bash", '{"command": "ls"}'),
        )
        self.assertEqual((line["item_id"], line["injected"]), (None, False))

    def test_thought_has_content_and_source(self) -> None:
        """`model_thought` has the text and what kind of thought it is."""
        (line,) = self.written(
            ModelThoughtRecorded(**_BASE, n=1, content="hm", metadata={"source": "thinking"})
        )

        self.assertEqual(
            (line["record_type"], line["content"], line["metadata"]),
            ("model_thought", "hm", {"source": "thinking"}),
        )

    def test_legs_and_audit_rows_have_no_line(self) -> None:
        """Only the six public record types are written."""
        leg = LegRecorded(
            **_BASE,
            n=1,
            provider_name="x",
            model="m",
            hint="",
            status=200,
            started_at=utc(_NOW),
            ttfb_ms=1,
            duration_ms=2,
            outcome="completed",
        )
        audit = AuditRecorded(
            id=_ID,
            day=day_of(_ID),
            at=utc(_NOW),
            action="refusal",
            actor_id=None,
            actor_name=None,
            token_id=None,
            target="",
            status=401,
            reason="",
            source="",
            detail={},
        )

        self.assertEqual(self.written(leg) + self.written(audit), [])
