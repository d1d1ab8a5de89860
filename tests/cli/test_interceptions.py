"""A line of the table for each interception."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from bridge.cli.interceptions import COLUMNS, LAYOUT, facts_of, row_of
from bridge.cli.tables import table_lines
from bridge.store.reads_json import Initiator, Interception, InterceptionDetail, UserPrompt
from tests.support.cases import BridgeTestCase

NOBODY = UUID(int=1)
WHEN = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
ASKED = Interception(
    id=NOBODY, api_key_id=None, initiator=Initiator(id=NOBODY, username="ada"), provider="openai",
    model="gpt-5", client=None, metadata={}, started_at=WHEN, ended_at=WHEN, kind="intercepted",
    provider_name="openrouter", api="chat", method="POST", route="/v1/chat/completions",
    streaming=False, user_agent="", session_id="s", client_session_id=None,
    correlating_tool_call_id=None, thread_parent_id=None, thread_root_id=None,
    credential_kind="centralized", credential_hint="k", status="completed", http_status=200,
    error_type=None, error_message=None, response_id=None, stop_reason="stop", ttfb_ms=1,
    duration_ms=1, bytes_in=1, bytes_out=1, response_sha256=None, client_sha256=None,
    partially_observed=False, redactions=0, content_blanked_at=None,
)  # fmt: skip


class TableTests(BridgeTestCase):
    def test_time_status_and_id_are_whole_on_every_terminal(self) -> None:
        """Half of an id shows nothing, and half of a state could be another."""
        identifier = UUID("019ac0de-1234-7890-8abc-0123456789ab")
        prompt = UserPrompt(
            id=NOBODY,
            interception_id=identifier,
            provider_response_id="r",
            prompt="word " * 100,
            metadata={},
            created_at=WHEN,
        )
        asked = msgspec.structs.replace(
            ASKED,
            id=identifier,
            status="upstream_error",
            client="Claude Code",
            model="anthropic.claude-sonnet-4-5-20250929-v1:0",
            user_prompts=(prompt,),
        )

        for width in (80, 100, 120, 200):
            lines = table_lines(COLUMNS, [row_of(asked)], width=width, layout=LAYOUT)

            text = "\n".join(lines)
            for whole in ("2026-11-25 09:30:00 UTC", "upstream_error", str(identifier), "ada"):
                self.assertIn(whole, text)
            self.assertIn("word word", text)
            self.assertLessEqual(max(map(len, lines)), width)


class FactsTests(BridgeTestCase):
    def test_by_which_token_it_came_is_told(self) -> None:
        """Its id, by which one that has leaked is looked for."""
        asked = msgspec.structs.replace(ASKED, api_key_id="0123456789Ab")
        detail = InterceptionDetail(**msgspec.structs.asdict(asked), legs=(), call_results=())

        self.assertIn(("token", "0123456789Ab"), facts_of(detail))


class RowTests(BridgeTestCase):
    def test_who_asked_what_of_which_provider(self) -> None:
        """The instance's name, because there may be several of a kind."""
        prompt = UserPrompt(
            id=NOBODY,
            interception_id=NOBODY,
            provider_response_id="r",
            prompt="How\nare you?",
            metadata={},
            created_at=WHEN,
        )

        row = row_of(msgspec.structs.replace(ASKED, user_prompts=(prompt,)))

        self.assertEqual(row[1:6], ("ada", "Unknown", "openrouter", "gpt-5", "completed"))
        self.assertEqual(row[-1], "How are you?")

    def test_what_only_passed_through_has_its_path(self) -> None:
        """There is no prompt."""
        passed = msgspec.structs.replace(
            ASKED, kind="passthrough", model="", method="GET", route="/v1/models"
        )

        self.assertEqual(row_of(passed)[-1], "GET /v1/models")
