"""Tables that fit, align, and cannot repaint the terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.tables import Layout, table_lines
from tests.support.cases import BridgeTestCase


def _columns(line: str) -> int:
    """Return how many columns of a terminal a line takes."""
    seen = [each for each in line if not unicodedata.combining(each)]
    return len(seen) + sum(unicodedata.east_asian_width(each) in ("W", "F") for each in seen)


class TableTests(BridgeTestCase):
    def test_columns_are_aligned(self) -> None:
        """Each as wide as its widest value, without spaces at the end of a line."""
        lines = table_lines(("A", "LONGER"), [("value", "x"), ("y", "")], width=None)

        self.assertEqual(lines, ["A      LONGER", "value  x", "y"])

    def test_a_value_cannot_repaint_the_terminal(self) -> None:
        """Escape sequences, line ends and overrides are shown, not done."""
        lines = table_lines(("A",), [("\x1b[2J\n\u202egnp.exe",)], width=None)

        self.assertEqual(lines, ["A", r"\x1b[2J\n\u202egnp.exe"])

    def test_wide_characters_take_two_cells(self) -> None:
        """Columns stay aligned behind them."""
        lines = table_lines(("A", "B"), [("日本", "x"), ("abcd", "y")], width=None)

        self.assertEqual(lines, ["A     B", "日本  x", "abcd  y"])

    def test_the_widest_column_gives_way(self) -> None:
        """Short ones stay whole."""
        lines = table_lines(("ID", "TEXT"), [("12345678", "x" * 50)], width=30)

        self.assertEqual(lines[1], "12345678  " + "x" * 19 + "…")

    def test_two_wide_columns_give_way_together(self) -> None:
        """Neither vanishes."""
        lines = table_lines(("A", "B"), [("a" * 50, "b" * 50)], width=42)

        self.assertEqual(lines[1], "a" * 19 + "…  " + "b" * 19 + "…")

    def test_a_narrow_terminal_still_shows_something(self) -> None:
        """Beyond a point lines wrap rather than say nothing."""
        lines = table_lines(("A", "B"), [("a" * 50, "b" * 50)], width=5)

        self.assertEqual(lines[1], "aaaaa…  bbbbb…")

    def test_a_wide_character_is_not_cut_in_two(self) -> None:
        """It is left out where only half would fit."""
        lines = table_lines(("A",), [("日" * 10,)], width=8)

        self.assertEqual(lines[1], "日日日…")

    def test_what_is_kept_is_never_cut(self) -> None:
        """Others give way, and when they have nothing left the line is longer."""
        rows = [("12345678", "x" * 50)]

        some = table_lines(("ID", "TEXT"), rows, width=16, layout=Layout(kept=("ID",)))
        none = table_lines(("ID", "TEXT"), rows, width=10, layout=Layout(kept=("ID", "TEXT")))

        self.assertEqual(some[1], "12345678  xxxxx…")
        self.assertEqual(none[1], "12345678  " + "x" * 50)

    def test_columns_go_to_a_second_line_before_others_are_cut(self) -> None:
        """Only where they find no room beside them."""
        rows = [("completed", "x" * 50, "ada")]
        layout = Layout(kept=("STATUS",), folded=("PROMPT",))
        headings = ("STATUS", "PROMPT", "USER")

        narrow = table_lines(headings, rows, width=20, layout=layout)
        wide = table_lines(headings, rows, width=40, layout=layout)

        self.assertEqual(
            narrow, ["STATUS     USER", "  PROMPT", "completed  ada", "  " + "x" * 17 + "…"]
        )
        self.assertEqual(wide[1], "completed  " + "x" * 22 + "…  ada")

    def test_the_least_important_columns_are_left_out_first(self) -> None:
        """As few as will do."""
        rows = [("1234567890", "12", "34")]
        layout = Layout(kept=("ID", "A", "B"), dropped=("B", "A"))
        headings = ("ID", "A", "B")

        self.assertEqual(
            [table_lines(headings, rows, width=each, layout=layout)[1] for each in (18, 17, 13)],
            ["1234567890  12  34", "1234567890  12", "1234567890"],
        )

    def test_where_it_is_no_terminal_nothing_gives_way(self) -> None:
        """A program reads it."""
        rows = [("x" * 500, "y" * 500)]
        layout = Layout(folded=("B",), dropped=("A",))

        lines = table_lines(("A", "B"), rows, width=None, layout=layout)

        self.assertEqual(lines[1], "x" * 500 + "  " + "y" * 500)

    @given(
        st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=5),
        st.integers(min_value=20, max_value=120),
    )
    def test_no_line_is_wider_than_the_terminal(
        self, rows: list[tuple[str, str]], width: int
    ) -> None:
        """Whatever somebody calls their model."""
        for line in table_lines(("FIRST", "SECOND"), rows, width=width):
            self.assertTrue(line.replace("\u3000", " ").isprintable() or line.strip())
            self.assertLessEqual(_columns(line), width)
