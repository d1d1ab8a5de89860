"""What one process has counted, in a form that goes to another, which adds it to its own."""

from __future__ import annotations

import msgspec

LabelSet = tuple[str, ...]


class FamilyCounts(msgspec.Struct, frozen=True, array_like=True):
    """One metric's numbers."""

    name: str
    """As declared in the catalogue, without the prefix."""
    cells: list[tuple[LabelSet, float]]
    distributions: list[tuple[LabelSet, list[int], float]]
    """Label set, how often each bucket (the last is for what is greater), and the sum."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """All of a process at one moment."""

    families: list[FamilyCounts]
    inflight: list[tuple[LabelSet, float]]
    """What is under way, by provider, model and route."""
    streams: list[tuple[LabelSet, float]]
    """Streams under way, by provider."""
