"""Kept: the newest of what the demo stores for its clients, within a number and a size."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by id; the oldest go when there are too many or they are too big together."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        """Keep up to `most` values of up to `most_bytes` in all."""
        self._most = most
        self._room = most_bytes
        self._values: dict[str, tuple[T, int]] = {}

    def put(self, key: str, value: T, size_bytes: int) -> None:
        """Keep `value`, in place of what had its id."""
        self.remove(key)
        self._values[key] = (value, size_bytes)
        self._room -= size_bytes
        while self._values and (len(self._values) > self._most or self._room < 0):
            self.remove(next(iter(self._values)))

    def get(self, key: str) -> T | None:
        """Return what has this id."""
        return self._values.get(key, (None, 0))[0]

    def remove(self, key: str) -> bool:
        """Forget what has this id, and return whether it was there."""
        _, size_bytes = self._values.get(key, (None, 0))
        self._room += size_bytes
        return self._values.pop(key, None) is not None
