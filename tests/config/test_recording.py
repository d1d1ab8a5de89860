"""What is recorded can be said for everybody, a provider and a role, and is checked."""

from __future__ import annotations

from pathlib import Path

from bridge.config.load import load
from bridge.config.settings import ConfigErrors, Settings
from bridge.domain.identity import Role
from bridge.privacy import held_credentials, level_rules, redaction_from
from bridge.recording.recorder import Levels
from tests.support.cases import BridgeTestCase

_PROVIDERS = """
aibridge:
  providers:
    - name: anthropic
      key: sk-ant-of-the-organisation
    - name: openai
      type: openai
      keys: [first-key-of-openai, second-key-of-openai]
"""


class RecordingOptionsTests(BridgeTestCase):
    def settings(self, text: str, **environ: str) -> Settings:
        path = Path(self.mktemp())
        path.write_text(text)
        return load(path, {}, environ)

    def test_everything_is_recorded_when_nothing_is_said(self) -> None:
        """The default, but for what tools give back; and secrets are taken out."""
        settings = self.settings("{}")

        self.assertEqual(level_rules(settings).everywhere, Levels(tool_results=False))
        self.assertEqual(set(level_rules(settings).by_role.values()), {Levels()})
        self.assertIsNotNone(redaction_from(settings))

    def test_established_option_turns_all_content_off_and_warns(self) -> None:
        """Under its own name, with a word to whoever may not have meant it."""
        settings = self.settings("{}", CODER_AIBRIDGE_DISABLE_CONTENT_RECORDING="true")

        self.assertEqual(
            level_rules(settings).everywhere,
            Levels(prompts=False, tool_inputs=False, thoughts=False, tool_results=False),
        )
        self.assertIn("recorded nowhere", " ".join(settings.warnings))

    def test_all_three_off_warn_too_and_one_does_not(self) -> None:
        """Only when nothing at all is left."""
        all_off = self.settings("record: {prompts: off, tool_inputs: off, thoughts: off}")
        one_off = self.settings("record: {prompts: off}")

        self.assertIn("recorded nowhere", " ".join(all_off.warnings))
        self.assertNotIn("recorded nowhere", " ".join(one_off.warnings))

    def test_provider_and_role_have_levels_of_their_own(self) -> None:
        """A group beside the provider's other fields, and one for each role."""
        settings = self.settings(
            """
aibridge:
  record_by_role: {auditor: {prompts: off}}
  providers:
    - {name: anthropic, key: k-k-k-k-k, record: {thoughts: off, prompts: full}}
"""
        )

        rules = level_rules(settings)
        self.assertEqual(rules.by_provider["anthropic"], Levels(thoughts=False))
        self.assertEqual(rules.by_role[Role.AUDITOR], Levels(prompts=False))
        self.assertEqual(rules.by_role[Role.MEMBER], Levels())

    def test_stand_in_is_as_strict_as_who_it_stands_in_for_or_stricter(self) -> None:
        """What may go to a provider of which nothing is recorded is not recorded."""
        settings = self.settings(
            """
aibridge:
  providers:
    - {name: one, type: openai, key: k-k-k-k-k, fallback: two}
    - {name: two, type: openai, key: k-k-k-k-k, record: {prompts: off}}
"""
        )

        self.assertFalse(level_rules(settings).by_provider["one"].prompts)

    def test_wrong_levels_stop_the_start(self) -> None:
        """Unknown contents and words are named with their place."""
        with self.assertRaises(ConfigErrors) as caught:
            self.settings(
                """
aibridge:
  record_by_role: {member: {prompts: half}}
  providers:
    - {name: anthropic, record: {prompt: off, thoughts: some}}
"""
            )

        said = " ".join(caught.exception.problems)
        self.assertIn("record_by_role.member.prompts: must be full or off", said)
        self.assertIn("providers[0].record.prompt: is not an option", said)
        self.assertIn("providers[0].record.thoughts: must be full or off", said)

    def test_all_keys_of_the_organisation_are_held(self) -> None:
        """Each of them is looked for in what providers answer."""
        self.assertEqual(
            set(held_credentials(self.settings(_PROVIDERS))) - {""},
            {"sk-ant-of-the-organisation", "first-key-of-openai", "second-key-of-openai"},
        )

    def test_patterns_are_checked_at_the_start(self) -> None:
        """One that RE2 does not know is refused with its name."""
        settings = self.settings("aibridge: {redact_patterns: ['badge=B-(\\d{6})']}")
        redaction = redaction_from(settings)

        self.assertIsNotNone(redaction)
        with self.assertRaises(ConfigErrors) as caught:
            self.settings("aibridge: {redact_patterns: ['badge=(?<=x)y']}")
        self.assertIn("badge is no regular expression", " ".join(caught.exception.problems))

    def test_redaction_can_be_turned_off(self) -> None:
        """Who must keep every word can."""
        self.assertIsNone(redaction_from(self.settings("aibridge: {redact_secrets: false}")))
