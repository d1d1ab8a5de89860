"""What was seen of a process over a long time, and whether it grew."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BYTES_PER_10_000 = 1_000_000
"""The resident memory may grow by less than that in 10 000 requests."""
WARM_UP = 0.25
"""The first part of the samples, in which pools and caches fill."""
_SLACK = 10
"""Things that may be more at the end than at the beginning, because the load is never the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the process."""

    seconds: float
    requests: int
    """That were over by then."""
    rss_bytes: int
    file_descriptors: int
    deferreds: int
    delayed_calls: int
    connections: int
    """From clients and to upstreams."""
    objects: int
    """Of Python's, as its garbage collector counts; to look at when memory grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How it changed after the warm-up."""

    requests: int
    samples: int
    rss_first_bytes: int
    rss_last_bytes: int
    rss_bytes_per_10_000: float
    """Slope of the line through all samples."""
    grown: dict[str, tuple[float, float]]
    """Of what there was more at the end: medians of the first and of the last third."""

    @property
    def flat(self) -> bool:
        """Whether nothing grew."""
        return self.rss_bytes_per_10_000 < MOST_BYTES_PER_10_000 and not self.grown

    def __str__(self) -> str:
        sizes = f"{self.rss_first_bytes / 1e6:.1f} MB to {self.rss_last_bytes / 1e6:.1f} MB"
        grown = ", ".join(
            f"{name} {first:g} to {last:g}" for name, (first, last) in self.grown.items()
        )
        return (
            f"{'flat' if self.flat else 'GREW'}: {self.requests} requests after the warm-up, RSS "
            f"{sizes}, {self.rss_bytes_per_10_000 / 1e6:+.2f} MB for 10 000 requests; "
            f"{grown or 'file descriptors, Deferreds, delayed calls and connections flat'}"
        )


def verdict(samples: Sequence[Sample]) -> Verdict:
    """Judge samples, of which there must be a dozen."""
    warm = samples[int(len(samples) * WARM_UP) :]
    slope = statistics.linear_regression(
        [each.requests for each in warm], [each.rss_bytes for each in warm]
    ).slope
    third = len(warm) // 3
    grown = {}
    for name in ("file_descriptors", "deferreds", "delayed_calls", "connections"):
        first = statistics.median(getattr(each, name) for each in warm[:third])
        last = statistics.median(getattr(each, name) for each in warm[-third:])
        if last > first * 1.1 + _SLACK:
            grown[name] = (first, last)
    return Verdict(
        requests=warm[-1].requests - warm[0].requests,
        samples=len(warm),
        rss_first_bytes=warm[0].rss_bytes,
        rss_last_bytes=warm[-1].rss_bytes,
        rss_bytes_per_10_000=slope * 10_000,
        grown=grown,
    )
