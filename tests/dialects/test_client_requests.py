"""Of what real clients send, only what the human wrote is a prompt.

The bodies are what the clients of `bridge.dialects.human_words` send, their system prompts and
tools left out; Kilo Code's requests for a title, and its own on two of the APIs, are written from
its program.
"""

from __future__ import annotations

from pathlib import Path

import tests.fixtures
from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.interface import Dialect
from bridge.dialects.messages.dialect import Messages
from bridge.dialects.responses.dialect import Responses
from tests.support.cases import BridgeTestCase

REQUESTS = Path(tests.fixtures.__file__).parent / "bodies" / "requests"
WRITTEN = "please list the files"


class ClientRequestTests(BridgeTestCase):
    """Each client in each API that it speaks."""

    def check(self, prompt: str | None, dialect: Dialect, name: str) -> None:
        summary = dialect.summarize((REQUESTS / f"{name}.json").read_bytes())

        self.assertEqual(summary.prompt, prompt)
        self.assertTrue(summary.streaming)
        self.assertFalse(summary.partially_observed)

    def test_opencode_asks_for_a_title_on_messages(self) -> None:
        self.check(None, Messages(), "messages_opencode_title")

    def test_opencode_asks_for_a_title_on_chat_completions(self) -> None:
        self.check(None, ChatCompletions(), "chat_opencode_title")

    def test_opencode_asks_for_a_title_on_responses(self) -> None:
        self.check(None, Responses(), "responses_opencode_title")

    def test_claude_code_asks_for_a_title(self) -> None:
        self.check(None, Messages(), "messages_claude_code_title")

    def test_kilo_code_asks_for_a_title_on_messages(self) -> None:
        self.check(None, Messages(), "messages_kilo_code_title")

    def test_kilo_code_asks_for_a_title_on_chat_completions(self) -> None:
        self.check(None, ChatCompletions(), "chat_kilo_code_title")

    def test_kilo_code_asks_for_a_title_on_responses(self) -> None:
        self.check(None, Responses(), "responses_kilo_code_title")

    def test_kilo_code_tells_the_environment_on_messages(self) -> None:
        self.check(WRITTEN, Messages(), "messages_kilo_code")

    def test_kilo_code_tells_the_environment_on_chat_completions(self) -> None:
        self.check(WRITTEN, ChatCompletions(), "chat_kilo_code")

    def test_kilo_code_tells_the_environment_on_responses(self) -> None:
        self.check(WRITTEN, Responses(), "responses_kilo_code")

    def test_copilot_tells_the_date_on_messages(self) -> None:
        self.check(WRITTEN, Messages(), "messages_copilot_cli")

    def test_copilot_tells_the_date_on_chat_completions(self) -> None:
        self.check(WRITTEN, ChatCompletions(), "chat_copilot_cli")

    def test_copilot_tells_the_date_on_responses(self) -> None:
        self.check(WRITTEN, Responses(), "responses_copilot_cli")
