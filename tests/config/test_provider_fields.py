"""The fields of a provider's entry that only some types have, and what they fall back to."""

from __future__ import annotations

from pathlib import Path

from bridge.config.load import load
from bridge.config.settings import ConfigErrors, ProviderSettings
from tests.support.cases import BridgeTestCase


class FieldTests(BridgeTestCase):
    def load(self, entry: str, everywhere: str = "") -> ProviderSettings:
        path = Path(self.mktemp())
        path.write_text(f"aibridge:\n{everywhere}  providers:\n    - {{{entry}}}\n")
        return load(path, {}, {}).providers[0]

    def problem(self, entry: str) -> str:
        with self.assertRaises(ConfigErrors) as caught:
            self.load(entry)
        return "\n".join(caught.exception.problems)

    def test_left_out_they_have_the_safe_values(self) -> None:
        openai = self.load("name: openai, type: openai")

        self.assertEqual(openai.base_url, "https://api.openai.com/v1")
        self.assertEqual((openai.key_header, openai.organization, openai.project), ("", "", ""))
        self.assertEqual((openai.stored_objects, openai.forward_scope_headers), ("own", False))
        self.assertTrue(openai.include_usage)

    def test_an_entry_overrides_what_holds_everywhere(self) -> None:
        everywhere = "  stored_objects: off\n  forward_scope_headers: true\n"

        kept = self.load("name: openai, type: openai", everywhere)
        own = self.load(
            "name: openai, type: openai, stored_objects: all, forward_scope_headers: false",
            everywhere,
        )

        self.assertEqual((kept.stored_objects, kept.forward_scope_headers), ("off", True))
        self.assertEqual((own.stored_objects, own.forward_scope_headers), ("all", False))

    def test_a_header_that_is_no_place_for_a_key_is_refused(self) -> None:
        found = self.problem("name: openai, type: openai, key_header: cookie")

        self.assertIn("providers[0].key_header: must be authorization, x-api-key or api-key", found)

    def test_an_account_where_there_is_none_is_refused(self) -> None:
        found = self.problem("name: anthropic, type: anthropic, organization: org-1, project: p")

        self.assertIn("providers[0].organization: has no meaning for a provider of the type", found)
        self.assertIn("providers[0].project: has no meaning", found)

    def test_an_account_that_is_two_words_is_refused(self) -> None:
        found = self.problem('name: openai, type: openai, organization: "a b"')

        self.assertIn("providers[0].organization: must be one word of printable ASCII", found)

    def test_a_header_name_that_is_none_is_refused(self) -> None:
        path = Path(self.mktemp())
        path.write_text("aibridge:\n  deny_headers: [x-a, 'x b']\n")

        with self.assertRaises(ConfigErrors) as caught:
            load(path, {}, {})

        self.assertIn("aibridge.deny_headers: 'x b' is not the name of a header",
                      caught.exception.problems[0])  # fmt: skip
