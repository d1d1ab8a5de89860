"""Charts: numbers by day as the shapes of an SVG; how they look is the style sheet's business."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 22, 10, 24
_STEPS = (1, 1.2, 2, 4, 6, 8, 10, 12, 20)
_MOST_LABELS = 6
_TICKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values of one kind, one for each day; None where there is none."""

    name: str
    values: Sequence[int | None]
    colour: int
    """From 1 to 6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle."""

    colour: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A day: where the mouse finds what it says."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a template draws, in a box of WIDTH by HEIGHT."""

    title: str
    names: Sequence[tuple[int, str]]
    """(colour, name)."""
    bars: Sequence[Bar]
    lines: Sequence[tuple[int, str]]
    """(colour, points)."""
    dots: Sequence[tuple[int, float, float]]
    """(colour, x, y): of lines, where a day stands alone."""
    ticks: Sequence[tuple[float, str]]
    """(y, text)."""
    labels: Sequence[tuple[float, str]]
    """(x, text)."""
    columns: Sequence[Column]
    empty: bool

    @property
    def width(self) -> int:
        """Of the box."""
        return WIDTH

    @property
    def height(self) -> int:
        """Of the box."""
        return HEIGHT

    @property
    def left(self) -> int:
        """Where the plot begins."""
        return _LEFT

    @property
    def right(self) -> int:
        """Where the plot ends."""
        return WIDTH - _RIGHT

    @property
    def top(self) -> int:
        """Where the plot begins."""
        return _TOP

    @property
    def bottom(self) -> int:
        """Where the plot ends."""
        return HEIGHT - _BOTTOM


def stacked(
    title: str, days: Sequence[date], series: Sequence[Series], shown: Callable[[int], str]
) -> Chart:
    """Return a chart of bars on one another; `shown` makes a text of a value."""
    tallest = max(
        (sum(each.values[n] or 0 for each in series) for n in range(len(days))), default=0
    )
    scale = _Scale(tallest, len(days))
    bars = []
    for n in range(len(days)):
        below = 0
        for each in series:
            value = each.values[n] or 0
            if value:
                y, bottom = scale.y(below + value), scale.y(below)
                bars.append(
                    Bar(
                        colour=each.colour,
                        x=round(scale.x(n) + scale.step * 0.12, 2),
                        y=y,
                        width=round(scale.step * 0.76, 2),
                        height=round(bottom - y, 2),
                    )
                )
            below += value
    return _chart(title, days, series, shown, scale, bars=bars)


def lines(
    title: str, days: Sequence[date], series: Sequence[Series], shown: Callable[[int], str]
) -> Chart:
    """Return a chart of lines, broken where there is no value."""
    tallest = max((value for each in series for value in each.values if value), default=0)
    scale = _Scale(tallest, len(days))
    drawn: list[tuple[int, str]] = []
    dots: list[tuple[int, float, float]] = []
    for each in series:
        piece: list[tuple[float, float]] = []
        for n, value in enumerate([*each.values, None]):
            if value is not None:
                piece.append((round(scale.x(n) + scale.step / 2, 2), scale.y(value)))
                continue
            if len(piece) == 1:
                dots.append((each.colour, *piece[0]))
            elif piece:
                drawn.append((each.colour, " ".join(f"{x},{y}" for x, y in piece)))
            piece = []
    return _chart(title, days, series, shown, scale, drawn=drawn, dots=dots)


class _Scale:
    """From values and days to places in the box."""

    def __init__(self, tallest: int, days: int) -> None:
        self.top = _round_up(tallest)
        self.step = (WIDTH - _LEFT - _RIGHT) / max(days, 1)

    def x(self, n: int) -> float:
        return round(_LEFT + n * self.step, 2)

    def y(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / self.top, 2)


def _round_up(value: int) -> int:
    """Return the next number of which a quarter is a round number too."""
    if value <= _TICKS:
        return _TICKS
    magnitude: int = 10 ** (len(str(value)) - 1)
    return next(
        top for step in _STEPS if (top := int(step * magnitude)) >= value and top % _TICKS == 0
    )


def _chart(
    title: str,
    days: Sequence[date],
    series: Sequence[Series],
    shown: Callable[[int], str],
    scale: _Scale,
    *,
    bars: Sequence[Bar] = (),
    drawn: Sequence[tuple[int, str]] = (),
    dots: Sequence[tuple[int, float, float]] = (),
) -> Chart:
    quarter = scale.top // _TICKS
    every = max(1, -(-len(days) // _MOST_LABELS))
    return Chart(
        title=title,
        names=[(each.colour, each.name) for each in series],
        bars=bars,
        lines=drawn,
        dots=dots,
        ticks=[(scale.y(n * quarter), shown(n * quarter)) for n in range(_TICKS + 1)],
        labels=[
            (round(scale.x(n) + scale.step / 2, 2), f"{day.day} {day:%b}")
            for n, day in enumerate(days)
            if (len(days) - 1 - n) % every == 0
        ],
        columns=[
            Column(x=scale.x(n), width=round(scale.step, 2), title=_told(day, n, series, shown))
            for n, day in enumerate(days)
        ],
        empty=not any(value for each in series for value in each.values),
    )


def _told(day: date, n: int, series: Sequence[Series], shown: Callable[[int], str]) -> str:
    """Return what is said of the n-th day."""
    said = [day.isoformat()]
    for each in series:
        value = each.values[n]
        said.append(f"{each.name}: {shown(value) if value is not None else 'none'}")
    return "\n".join(said)
