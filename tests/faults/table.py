"""The matrix as text: a simple table of reStructuredText."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.fault import Seen

HEADINGS = ("fault", "mode", "dialect", "client", "record", "usage", "metrics", "breaker")

LEGEND = """\
What was seen of each fault of a provider, with each kind of answer and in each API.

client   status, body, and how it ended: clean as HTTP says, or cut
record   end state, kind of error and status in the interception's record; partial: not all was read
usage    how good the recorded token counts are
metrics  samples of ends_total, legs_total, upstream_responses_total, token_usages_total and
         partially_observed_total after one request
breaker  whether the fault counts as failure or as success; two failures open it, and a third
         request is refused
"""

Row = Sequence[str]


def row_of(fault: str, mode: str, dialect: str, seen: Seen) -> Row:
    """Return one line of the table."""
    return (
        fault,
        mode,
        dialect,
        seen.client,
        seen.record,
        seen.usage,
        seen.metrics,
        seen.breaker,
    )


def table(rows: Sequence[Row]) -> str:
    """Return `rows` under their headings."""
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (HEADINGS, *rows)]
    return "\n".join((rule, lines[0], rule, *lines[1:], rule))
