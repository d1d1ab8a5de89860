"""Tests for bridge.store.search_words: what people write is what is looked for."""

from __future__ import annotations

from bridge.domain.errors import InvalidRequest
from bridge.store.reads_search import fragments
from bridge.store.search_words import MAX_LENGTH, MAX_WORDS, Part, parse_words, plain
from tests.support.cases import BridgeTestCase


class Reading(BridgeTestCase):
    def test_words_are_joined_by_and(self) -> None:
        self.assertEqual(parse_words("one  two").tsquery, "(('one') & ('two'))")

    def test_alternatives_phrases_and_what_must_not_be_there(self) -> None:
        found = parse_words('a "b c" -d OR -"e f" g')

        self.assertEqual(
            found.tsquery,
            "(('a') & ('b' <-> 'c') & !('d')) | (!('e' <-> 'f') & ('g'))",
        )

    def test_what_punctuation_divides_is_a_phrase(self) -> None:
        self.assertEqual(
            parse_words("src/bridge/store.py").tsquery,
            "(('src' <-> 'bridge' <-> 'store' <-> 'py'))",
        )

    def test_a_star_finds_beginnings(self) -> None:
        self.assertEqual(
            parse_words("deploy* src/brid*").tsquery, "(('deploy':*) & ('src' <-> 'brid':*))"
        )

    def test_parts_are_weights(self) -> None:
        found = parse_words("a b*", parts=(Part.PROMPT, Part.TOOL))

        self.assertEqual(found.tsquery, "(('a':AC) & ('b':*AC))")

    def test_characters_that_are_words(self) -> None:
        found = parse_words("修复bug")

        self.assertEqual(found.tsquery, "(('修' <-> '复' <-> 'bug'))")

    def test_an_or_without_two_sides_is_left_out(self) -> None:
        self.assertEqual(parse_words("OR a OR or").tsquery, "(('a'))")

    def test_a_quote_that_is_never_closed_reaches_to_the_end(self) -> None:
        self.assertEqual(parse_words('"a b').tsquery, "(('a' <-> 'b'))")

    def test_nothing_that_means_something_to_the_server_gets_through(self) -> None:
        for text in ("a & b", "it's", "a'); --", "x\\'y", "a:*", "!a", "a <-> b", "(a | b)"):
            query = parse_words(text).tsquery
            for word in query.split("'")[1::2]:
                self.assertTrue(word.isalnum(), query)

    def test_what_cannot_be_looked_for_is_said(self) -> None:
        for text, reason in (
            ("", "nothing"),
            ("  !? ", "nothing"),
            ('""', "nothing"),
            ("-a", "only says"),
            ("a OR -b", "only says"),
            ("a\0b", "NUL"),
            ("a\ud800", "text"),
            ("a" * (MAX_LENGTH + 1), "longer"),
            ("a " * (MAX_WORDS + 1), "more than"),
        ):
            with self.assertRaises(InvalidRequest) as raised:
                parse_words(text)
            (problem,) = raised.exception.validations
            self.assertEqual(problem.field, "q")
            self.assertIn(reason, problem.detail)


class Showing(BridgeTestCase):
    def shown(self, text: str, words: str, *, json: bool = False) -> list[str]:
        found = fragments(text, parse_words(words), json=json)
        self.assertEqual("".join(each.text for each in found), text)
        return [each.text for each in found if each.match]

    def test_whole_words_whatever_their_case(self) -> None:
        self.assertEqual(
            self.shown("Deploy to deployment, DEPLOY!", "deploy"), ["Deploy", "DEPLOY"]
        )

    def test_phrases_with_what_divides_them(self) -> None:
        self.assertEqual(self.shown("in src/bridge/x.py", '"bridge x"'), ["bridge/x"])

    def test_beginnings(self) -> None:
        self.assertEqual(self.shown("deployment of it", "depl*"), ["deployment"])

    def test_escapes_in_json_divide_words(self) -> None:
        self.assertEqual(self.shown(r'{"a":"x\nnew \\new"}', "new", json=True), ["new", "new"])

    def test_characters_that_are_words(self) -> None:
        self.assertEqual(self.shown("请修复这个bug吧", "修复"), ["修复"])

    def test_what_must_not_be_there_is_not_shown(self) -> None:
        self.assertEqual(self.shown("one two", "one -three"), ["one"])

    def test_every_character_keeps_its_place(self) -> None:
        text = "a-b…c «d»\n"

        self.assertEqual(plain(text), "a b c  d  ")
