"""Plain tables for people: escaped, aligned, and no wider than the terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence

import click

from bridge.telemetry.escape import printable

_GAP = "  "
_NARROWEST = 6
"""Columns are not cut below this many cells; the line wraps instead."""
_CUT = "…"


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str = "Nothing found."
) -> None:
    """Print the rows under their headings; on a terminal no line is longer than it is wide.

    Args:
        headings: one for each column.
        rows: texts, each with a value for every column; control characters and the like are shown
            as escapes.
        empty: printed to stderr instead of a table without rows.
    """
    found = list(rows)
    if not found:
        click.echo(empty, err=True)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(headings, found, width=width):
        click.echo(line)


def table_lines(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None
) -> list[str]:
    """Return the lines of a table.

    Args:
        headings: one for each column.
        rows: texts.
        width: cells of the terminal; values are cut, the widest column first, until a line fits.
            None cuts nothing.
    """
    lines = [[printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(_cells(cell) for cell in column) for column in zip(*lines, strict=True)]
    if width is not None:
        _narrow(widths, width - len(_GAP) * (len(widths) - 1))
    return [_line(line, widths) for line in lines]


def _narrow(widths: list[int], room: int) -> None:
    """Take cells from the widest columns until all fit."""
    while sum(widths) > room:
        widest = max(widths)
        if widest <= _NARROWEST:
            return
        position = widths.index(widest)
        others = [each for each in widths if each < widest]
        step = min(sum(widths) - room, widest - max([*others, _NARROWEST]))
        widths[position] -= max(1, step // widths.count(widest))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [cut_to(cell, width) for cell, width in zip(cells, widths, strict=True)]
    padded = [
        cell + " " * (width - _cells(cell)) for cell, width in zip(fitted, widths, strict=True)
    ]
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
