"""Bars as SVG: the median of each server, with a line from the least value to the largest."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_WIDTH = 760
_LABELS = 190
_VALUES = 90
_BAR = 16
_STEP = 24
_TITLE = 34
_TEXT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Some bars."""

    title: str
    bars: Sequence[tuple[str, Sequence[float]]]
    """Names, and the values of every repetition."""
    limit: float | None = None
    """What none should be beyond."""


def write_chart(path: Path, charts: Sequence[Chart], caption: str) -> None:
    """Write charts below each other to a file."""
    parts: list[str] = []
    top = 0
    for chart in charts:
        parts += _drawn(chart, top)
        top += _TITLE + _STEP * len(chart.bars) + 10
    parts.append(f'<text x="8" y="{top + 14}" {_TEXT} fill="#555">{escape(caption)}</text>')
    height = top + 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    )
    path.write_text("\n".join((head, *parts, "</svg>")) + "\n")


def _drawn(chart: Chart, top: int) -> list[str]:
    largest = max([chart.limit or 0.0, *(max(values) for _, values in chart.bars)]) or 1.0
    scale = (_WIDTH - _LABELS - _VALUES) / largest

    def across(value: float) -> float:
        return round(_LABELS + max(value, 0.0) * scale, 1)

    parts = [f'<text x="8" y="{top + 20}" {_TEXT} font-weight="bold">{escape(chart.title)}</text>']
    for n, (name, values) in enumerate(chart.bars):
        y = top + _TITLE + n * _STEP
        middle = y + _BAR / 2
        median = statistics.median(values)
        end = across(median)
        low, high = across(min(values)), across(max(values))
        width = round(end - _LABELS, 1)
        bar = f'x="{_LABELS}" y="{y}" width="{width}" height="{_BAR}"'
        line = f'x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"'
        parts += [
            f'<text x="8" y="{y + 13}" {_TEXT}>{escape(name)}</text>',
            f'<rect {bar} fill="#4a7fb5"/>',
            f'<line {line} stroke="#222" stroke-width="2"/>',
            f'<text x="{max(high, end) + 6}" y="{y + 13}" {_TEXT}>{median:.2f}</text>',
        ]
    if chart.limit is not None:
        x = across(chart.limit)
        bottom = top + _TITLE + len(chart.bars) * _STEP
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{top + _TITLE - 6}" y2="{bottom}" stroke="#c0392b" '
            'stroke-dasharray="4 3"/>'
        )
    return parts
