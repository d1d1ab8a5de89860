"""What an agent puts into a human's turn is told from what the human wrote."""

from __future__ import annotations

from bridge.dialects.responses.context import is_context
from tests.support.cases import BridgeTestCase


class ContextTests(BridgeTestCase):
    """Texts as Codex marks them."""

    def test_environment_is_context(self) -> None:
        self.assertTrue(
            is_context("<environment_context>\n  <cwd>/x</cwd>\n</environment_context>")
        )

    def test_white_space_and_case_do_not_matter(self) -> None:
        self.assertTrue(is_context("\n <Turn_Aborted>\nby you\n</TURN_ABORTED>\n"))

    def test_tag_with_a_source_is_context(self) -> None:
        self.assertTrue(
            is_context('<codex_internal_context source="goal">\ngo\n</codex_internal_context>')
        )

    def test_instructions_file_is_context(self) -> None:
        self.assertTrue(
            is_context("# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>\nBe.\n</INSTRUCTIONS>")
        )

    def test_instructions_file_with_the_environment_is_context(self) -> None:
        self.assertTrue(
            is_context(
                "# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>\nBe.\n</INSTRUCTIONS>\n"
                "<environment_context>\n</environment_context>"
            )
        )

    def test_old_instructions_are_context(self) -> None:
        self.assertTrue(is_context("<user_instructions>\nBe.\n</user_instructions>"))

    def test_reminder_is_context(self) -> None:
        self.assertTrue(is_context("<system-reminder>Tuesday</system-reminder>"))

    def test_words_behind_the_context_are_a_humans(self) -> None:
        self.assertFalse(is_context("<environment_context></environment_context> what is this?"))

    def test_question_about_the_instructions_file_is_a_humans(self) -> None:
        self.assertFalse(is_context("# AGENTS.md instructions are wrong, fix them"))

    def test_other_tags_are_a_humans(self) -> None:
        self.assertFalse(is_context("<div>why?</div>"))

    def test_empty_text_is_no_context(self) -> None:
        self.assertFalse(is_context(""))
