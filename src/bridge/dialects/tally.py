"""Token counts of one answer as its provider tells them: cumulative, the last non-null one wins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

_MAX_COUNT = 2**63 - 1
# The column is a bigint.
_MAX_UNKNOWN = 32
_MAX_NAME = 64


class Tally:
    """What a provider has said about usage so far; inner names are dotted (`details.cached`)."""

    def __init__(
        self,
        *,
        counts: Collection[str],
        extra: Mapping[str, str],
        texts: Collection[str],
        whole: str = "",
        cached: Sequence[Sequence[str]] = (),
    ) -> None:
        """Start with nothing said.

        Args:
            counts: names of the counts that have columns of their own.
            extra: names of further counts that we know, and what a record calls them.
            texts: names of what else is worth keeping, such as the service tier.
            whole: name of the input's count where that holds what the cache read and wrote, too.
            cached: names of what the cache read, and of what it wrote, as `told` takes them.
        """
        self._counts = counts
        self._extra = extra
        self._texts = texts
        self._whole = whole
        self._cached = cached
        self._said: dict[str, int] = {}
        self._said_texts: dict[str, str] = {}
        self._unknown = 0
        self.seen = False
        """Whether the provider gave any count that we know."""
        self._odd = False
        """Whether something had a type that we cannot count with."""

    @property
    def odd(self) -> bool:
        """Whether something cannot be counted with: its type, or more in the cache than in all."""
        return self._odd or self.uncached < 0

    @property
    def uncached(self) -> int:
        """The whole input without what the cache read and wrote; below 0 when that is more."""
        return self.told(self._whole) - sum(self.told(*names) for names in self._cached)

    def take(self, usage: object) -> None:
        """Take a `usage` object, whole or partial; None is nothing."""
        if usage is None:
            return
        if not isinstance(usage, dict):
            self._odd = True
            return
        for name, value in usage.items():
            if isinstance(value, dict):
                for inner, count in value.items():
                    self._take_one(f"{name}.{inner}", count)
            else:
                self._take_one(name, value)

    def told(self, *names: str) -> int:
        """Return the last count of the first of `names` that was told at all; 0 for none."""
        for name in names:
            if name in self._said:
                return self._said[name]
        return 0

    def extra(self) -> Mapping[str, int]:
        """Return the further counts that were told, by the names that records use."""
        return {ours: self._said[name] for name, ours in self._extra.items() if name in self._said}

    def metadata(self) -> Mapping[str, object]:
        """Return the texts, and the counts that we do not know."""
        unknown = {
            name: count
            for name, count in self._said.items()
            if name not in self._counts and name not in self._extra
        }
        return {**self._said_texts, **unknown}

    def _take_one(self, name: str, value: object) -> None:
        known = name in self._counts or name in self._extra
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
            if known or self._has_room_for(name):
                self._said[name] = value
                self.seen = self.seen or known
        elif name in self._texts and isinstance(value, str):
            self._said_texts[name] = value[:_MAX_NAME]
        elif known and value is not None:
            self._odd = True

    def _has_room_for(self, name: str) -> bool:
        if name in self._said:
            return True
        if len(name) > _MAX_NAME or self._unknown >= _MAX_UNKNOWN:
            return False
        self._unknown += 1
        return True
