"""Plain tables for people: escaped, aligned, and no wider than the terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from bridge.telemetry.escape import printable

_GAP = "  "
_NARROWEST = 6
"""Columns are not cut below this many cells; the line wraps instead."""
_COMFORTABLE = 16
"""So many cells of a column that may be cut are wanted, before others have to go."""
_CUT = "…"
_INDENT = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What becomes of columns, named by their headings, where a terminal is too narrow for all."""

    kept: Sequence[str] = ()
    """Are never cut, because a part of a time, a state or an id is no use."""
    folded: Sequence[str] = ()
    """Go to a second line below the others."""
    dropped: Sequence[str] = ()
    """Are left out when that is not enough, the first one first."""


CUT_ANYWHERE = Layout()


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    empty: str = "Nothing found.",
    layout: Layout = CUT_ANYWHERE,
) -> None:
    """Print the rows under their headings; on a terminal lines are as long as it is wide.

    Args:
        headings: one for each column.
        rows: texts, each with a value for every column; control characters and the like are shown
            as escapes.
        empty: printed to stderr instead of a table without rows.
        layout: what becomes of columns on a narrow terminal.
    """
    found = list(rows)
    if not found:
        click.echo(empty, err=True)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(headings, found, width=width, layout=layout):
        click.echo(line)


def print_facts(heading: tuple[str, str], facts: Iterable[tuple[str, str]]) -> None:
    """Print names and what is known by them; nothing is cut, the terminal wraps what is long."""
    for line in table_lines(heading, list(facts), width=None):
        click.echo(line)


def table_lines(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    layout: Layout = CUT_ANYWHERE,
) -> list[str]:
    """Return the lines of a table.

    Args:
        headings: one for each column.
        rows: texts.
        width: cells of the terminal; columns are folded, dropped and cut, the widest first, until
            a line fits. None leaves everything as it is, a row a line.
        layout: which columns are what.
    """
    lines = [[printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(_cells(cell) for cell in column) for column in zip(*lines, strict=True)]
    columns = range(len(widths))
    if width is None:
        return [_line(line, columns, widths) for line in lines]
    kept = [heading in layout.kept for heading in headings]
    first, second = list(columns), []
    if layout.folded and _wanted(first, widths, kept) > width:
        second = [each for each in columns if headings[each] in layout.folded]
        first = [each for each in columns if each not in second]
    for heading in layout.dropped:
        if heading in headings and _wanted(first, widths, kept) > width:
            first = [each for each in first if headings[each] != heading]
    _narrow(widths, [each for each in first if not kept[each]], width - _length(first, widths))
    room = width - len(_INDENT)
    _narrow(widths, [each for each in second if not kept[each]], room - _length(second, widths))
    found = []
    for line in lines:
        found.append(_line(line, first, widths))
        if second:
            found.append(_INDENT + _line(line, second, widths))
    return found


def _wanted(columns: Sequence[int], widths: Sequence[int], kept: Sequence[bool]) -> int:
    """Return how long a line has to be so that enough can be seen of each column."""
    return _length(
        columns,
        [
            each if keep else min(each, _COMFORTABLE)
            for each, keep in zip(widths, kept, strict=True)
        ],
    )


def _length(columns: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[each] for each in columns) + len(_GAP) * max(0, len(columns) - 1)


def _narrow(widths: list[int], columns: Sequence[int], spare: int) -> None:
    """Take cells from the widest of the columns until no line is too long by `-spare`."""
    while spare < 0 and columns:
        widest = max(widths[each] for each in columns)
        if widest <= _NARROWEST:
            return
        as_wide = [each for each in columns if widths[each] == widest]
        next_widest = max(
            (widths[each] for each in columns if widths[each] < widest), default=_NARROWEST
        )
        step = min(-spare, widest - max(next_widest, _NARROWEST))
        taken = max(1, step // len(as_wide))
        widths[as_wide[0]] -= taken
        spare += taken


def _line(cells: Sequence[str], columns: Iterable[int], widths: Sequence[int]) -> str:
    fitted = [(cut_to(cells[each], widths[each]), widths[each]) for each in columns]
    padded = [cell + " " * (width - _cells(cell)) for cell, width in fitted]
    return _GAP.join(padded).rstrip()


def cut_to(text: str, width: int) -> str:
    """Return `text`, or as much of its beginning as fits before a mark that it was cut."""
    if _cells(text) <= width:
        return text
    kept = ""
    room = width - 1
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept += character
    return kept + _CUT


def _cells(text: str) -> int:
    """Return how many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_cell_width(character) for character in text)


def _cell_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
