"""What a stranger wrote cannot steer the reader's terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.telemetry.escape import printable
from tests.support.cases import BridgeTestCase

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class PrintableTests(BridgeTestCase):
    def test_ordinary_text_stays_as_it_is(self) -> None:
        """Letters of any script, marks, emoji and spaces are readable already."""
        text = "Grüße, 世界, naïve e\u0301 🎉 a\u00a0b C:\\dir"

        self.assertEqual(printable(text), text)

    def test_ansi_sequence_is_shown_not_obeyed(self) -> None:
        """A colour or a cursor movement is visible as text."""
        self.assertEqual(printable("a\x1b[2Jb\x9b31m"), "a\\x1b[2Jb\\x9b31m")

    def test_line_breaks_stay_in_the_line(self) -> None:
        """No value can begin a line of its own."""
        self.assertEqual(printable("a\nb\r\n\tc\u2028d"), "a\\nb\\r\\n\\tc\\u2028d")

    def test_bidi_characters_are_named(self) -> None:
        """Text cannot be made to read in another order."""
        self.assertEqual(printable(_BIDI), "".join(f"\\u{ord(c):04x}" for c in _BIDI))

    def test_lone_surrogates_and_invisible_tags_are_named(self) -> None:
        """What cannot be encoded or seen is spelled out."""
        self.assertEqual(printable("\ud800\U000e0041\ufeff"), "\\ud800\\U000e0041\\ufeff")

    @given(st.text(alphabet=st.characters(codec=None), max_size=200))
    def test_any_text_becomes_one_visible_line(self, text: str) -> None:
        """Whatever goes in, only visible characters and spaces come out, once for all."""
        shown = printable(text)

        shown.encode("utf-8")
        self.assertEqual(len(shown.splitlines() or [""]), 1)
        self.assertFalse([c for c in shown if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in _BIDI])
        self.assertEqual(printable(shown), shown)
