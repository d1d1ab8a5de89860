"""Tests for bridge.store.filters: what people may write into a search box."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from bridge.store.filters import Filter, InvalidFilter, filter_from, page_id, parse
from tests.support.cases import BridgeTestCase

ME = UUID("01890000-0000-7000-8000-00000000000a")


class Filters(BridgeTestCase):
    """Searches, understood and refused."""

    def problems(self, q: str) -> dict[str, str]:
        """Return what is wrong with `q`, by field."""
        error = self.assertRaises(InvalidFilter, parse, q)
        return {each.field: each.detail for each in error.validations}

    def test_an_empty_search_finds_all_that_was_intercepted(self) -> None:
        self.assertEqual(parse("  "), Filter())
        self.assertEqual(parse("").kind, "intercepted")

    def test_every_key_is_understood(self) -> None:
        found = parse(
            "initiator:alice provider:openai provider_name:broker model:gpt-5 "
            'client:"Claude Code" session_id:s1 status:lost kind:passthrough '
            'started_after:"2026-01-01T00:00:00Z" started_before:"2026-01-02T01:00:00.5+01:00"'
        )

        self.assertEqual(
            found,
            Filter(
                initiator_name="alice",
                provider="openai",
                provider_name="broker",
                model="gpt-5",
                client="Claude Code",
                session_id="s1",
                status="lost",
                kind="passthrough",
                started_after=datetime(2026, 1, 1, tzinfo=UTC),
                started_before=datetime(2026, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC),
            ),
        )

    def test_bare_words_and_ids_and_me_name_the_initiator(self) -> None:
        self.assertEqual(parse("alice").initiator_name, "alice")
        self.assertEqual(parse("model:m alice smith").initiator_name, "alice smith")
        self.assertEqual(parse(str(ME)).initiator_id, ME)
        self.assertEqual(parse("initiator:me", me=ME).initiator_id, ME)
        self.assertEqual(filter_from({"initiator": "me"}, me=ME).initiator_id, ME)

    def test_keys_may_be_written_in_capitals_and_values_keep_theirs(self) -> None:
        self.assertEqual(parse("MODEL:Claude").model, "Claude")

    def test_a_value_in_quotes_may_hold_spaces_and_colons(self) -> None:
        self.assertEqual(parse('model:"a b:c"').model, "a b:c")

    def test_colons_in_the_wrong_places_are_refused(self) -> None:
        self.assertIn("begin or end", self.problems(":a")["q"])
        self.assertIn("begin or end", self.problems("model:")["q"])
        self.assertIn("double quotes", self.problems("started_after:2026-01-01T00:00:00Z")["q"])

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        found = self.problems('colour:red status:good started_after:yesterday initiator:me "x" x:')

        self.assertEqual(set(found), {"colour", "status", "started_after", "initiator", "q"})

    def test_a_key_given_twice_is_refused(self) -> None:
        self.assertEqual(self.problems("model:a model:b"), {"model": "given more than once"})
        self.assertIn("bare words", self.problems("initiator:a b")["initiator"])

    def test_an_open_quote_is_refused(self) -> None:
        self.assertEqual(self.problems('model:"a'), {"q": 'a " is never closed'})

    def test_times_must_be_whole_real_and_in_order(self) -> None:
        for text in ("2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"):
            self.assertIn("RFC 3339", self.problems(f'started_after:"{text}"')["started_after"])
        both = 'started_after:"2026-01-01T00:00:00Z" started_before:"2026-01-01T00:00:00Z"'
        self.assertIn("later", self.problems(both)["started_before"])

    def test_nul_and_novels_are_refused(self) -> None:
        self.assertEqual(set(self.problems("model:a\0b")), {"model"})
        self.assertEqual(set(self.problems("model:a\ud800")), {"model"})
        self.assertEqual(set(self.problems("a" * 5000)), {"q"})

    def test_a_page_begins_only_after_an_id_that_could_be_one_of_ours(self) -> None:
        self.assertEqual(page_id(str(ME)), ME)
        for text in (
            "x",
            "",
            str(UUID(int=0)),
            str(UUID(int=2**128 - 1)),
            "f" * 12 + "7" + "f" * 19,
        ):
            self.assertRaises(InvalidFilter, page_id, text)
