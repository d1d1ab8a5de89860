"""Whether every request of the load has its record in Postgres, and how soon."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg2

from benchmarks.servers import Bridge
from tests.support.bridge_process import eventually

LIMIT_SECONDS = 5.0
_PATIENCE_SECONDS = 60.0
_COUNT = "SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a look after a load found."""

    expected: int
    found: int
    seconds: float
    """From the end of the load until all were there, or until patience ended."""

    @property
    def missing(self) -> int:
        """How many never came."""
        return self.expected - self.found

    @property
    def in_time(self) -> bool:
        """Whether all were there within the limit."""
        return self.missing == 0 and self.seconds <= LIMIT_SECONDS


class Records:
    """The rows of one bridge, counted directly in its embedded database."""

    def __init__(self, bridge: Bridge) -> None:
        self._address = bridge.process.database_address()
        self._expected = self.count()

    def expect(self, more: int) -> None:
        """Say that the load was answered so many times."""
        self._expected += more

    def count(self) -> int:
        """Return the number of interceptions that are stored with their end."""
        connection = psycopg2.connect(self._address)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(_COUNT)
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    def arrival(self) -> Arrival:
        """Wait until every record is there, for longer than allowed, to tell late from lost."""
        began = time.monotonic()
        found = self.count()

        def complete() -> bool:
            nonlocal found
            found = self.count()
            return found >= self._expected

        try:
            eventually(complete, seconds=_PATIENCE_SECONDS, what="the records", pause_seconds=0.1)
        except AssertionError:
            pass  # what is missing is in the result
        return Arrival(expected=self._expected, found=found, seconds=time.monotonic() - began)
