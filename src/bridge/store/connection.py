"""One connection to the server; the only place that knows psycopg2, txpostgres and their errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg2
import psycopg2.extensions
import psycopg2.extras
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure
from txpostgres import txpostgres

from bridge.deferreds import shielded
from bridge.store.address import Address
from bridge.store.errors import (
    ServerTooOld,
    StoreError,
    StoreUnavailable,
    WrongPassword,
)

Parameters = Sequence[Any] | Mapping[str, Any] | None

OLDEST_SERVER = 14
CONNECT_SECONDS = 10.0
"""A connection, authentication included, is made within this."""
GRACE_SECONDS = 5.0
"""The server ends a slow statement itself; one that says nothing for this much longer is gone."""

# Compiling one of our short statements takes longer than running it, by up to half a second.
SETTINGS = """
SELECT set_config('statement_timeout', %s, false), set_config('timezone', 'UTC', false),
       set_config('idle_in_transaction_session_timeout', '300s', false),
       set_config('jit', 'off', false)
"""
_UUID_TYPE, _UUIDS_TYPE = 2950, 2951
_NOT_READY = frozenset({"42501", "42P01", "42703", "42883", "3F000", "3D000"})
"""Rights, tables, columns or functions that are missing: a matter of set-up, not of the data."""
_REFUSED_CLASSES = frozenset({"0A", "21", "22", "23", "42", "44", "54", "P0"})
"""Classes of SQLSTATE in which the same statement with the same data will never succeed."""
_WRONG_PASSWORD = (
    "password authentication failed",
    "no password supplied",
    "authentication failed",
)
_LEAVE = frozenset({"25006", "57P01", "57P02", "57P03"})
"""Read only after a failover, or going down: another connection may reach a better server."""
_MISCONFIGURED = ("does not exist", "no pg_hba.conf entry", "not permitted to log in")


class Connection:
    """An open connection; owned by who opened it, and closed by `close`."""

    def __init__(self, *, wire: _Wire, reactor: Any, lost: Callable[[Connection], None]) -> None:
        """Keep what `open_connection` made."""
        self._wire = wire
        self._reactor = reactor
        self._lost = lost
        self._open = True
        self._silent = False
        wire.on_lost = self._went_away

    @property
    def usable(self) -> bool:
        """Whether a transaction can begin on it."""
        return (
            self._open
            and not self._wire.closed
            and self._wire.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        )

    @property
    def server_version(self) -> int:
        """As the server counts: 180004 is 18.4."""
        return int(self._wire.server_version)

    async def execute(self, sql: str, params: Parameters = None, *, seconds: float) -> Any:
        """Run one statement, and return the driver's cursor.

        Args:
            sql: one statement; several only without `params`.
            params: its values.
            seconds: how long the server lets it run; 0 has no limit.

        Raises:
            StoreUnavailable: the connection is gone, or the server is.
            StoreError: the server refuses it.
        """
        timer = None
        if seconds:
            timer = self._reactor.callLater(seconds + GRACE_SECONDS, self._give_up)
        try:
            cursor = self._wire.cursor()
            await cursor.execute(sql, params)
        except (psycopg2.Error, ConnectionClosed, ValueError) as e:
            if getattr(e, "pgcode", None) in _LEAVE:
                self.close()
            if self._silent:
                raise StoreUnavailable(
                    f"The database did not answer within the limit of {seconds:.0f} s."
                ) from e
            raise refusal(e) from e
        except CancelledError as e:
            # Nobody cancels a driver's Deferred: it is its word for the server ending a statement.
            raise StoreUnavailable(
                f"The database ended a statement, which took longer than {seconds:g} s or was "
                "cancelled."
            ) from e
        except (txpostgres.AlreadyPolling, txpostgres.UnexpectedPollResult) as e:
            self.close()
            raise StoreUnavailable("The connection to the database got out of step.") from e
        finally:
            if timer is not None and timer.active():
                timer.cancel()
        return cursor

    def notify(self, notified: Callable[[str], object]) -> None:
        """Call `notified` with the channel of every notification from now on."""
        self._wire.addNotifyObserver(lambda notification: notified(notification.channel))

    def close(self) -> None:
        """Hang up; what is running on it fails with StoreUnavailable."""
        if self._open:
            self._open = False
            self._wire.close()

    def _give_up(self) -> None:
        self._silent = True
        self.close()

    def _went_away(self) -> None:
        if self._open:
            self.close()
            self._lost(self)


class Cursor:
    """What a transaction speaks to the server with; useless after it."""

    def __init__(self, *, connection: Connection, seconds: float) -> None:
        """Keep the connection, and the limit of each statement."""
        self._connection = connection
        self._seconds = seconds
        self._last: Any = None

    @property
    def rowcount(self) -> int:
        """Rows that the last statement touched or gave."""
        return int(self._last.rowcount)

    @property
    def status(self) -> str:
        """The server's word for the last statement, e.g. `INSERT 0 1`."""
        return str(self._last.statusmessage)

    async def execute(self, sql: str, params: Parameters = None) -> None:
        """Run one statement; values only as `params`.

        Raises:
            StoreUnavailable: the connection is gone, or the server is.
            StoreError: the server refuses it.
        """
        self._last = await self._connection.execute(sql, params, seconds=self._seconds)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement; none if it is of a kind that has none."""
        if self._last.description is None:
            return []
        return cast("list[tuple[Any, ...]]", self._last.fetchall())


async def open_connection(
    address: Address,
    *,
    reactor: Any,
    statement_seconds: float,
    lost: Callable[[Connection], None],
) -> Connection:
    """Connect; cancelling it hangs up.

    Args:
        address: where, and as whom.
        reactor: reads and writes.
        statement_seconds: how long the server lets one statement run.
        lost: called when the connection ends without having been closed by us.

    Raises:
        StoreUnavailable: nobody answers, or not now.
        WrongPassword: the server does not let this user in.
        ServerTooOld: it is older than PostgreSQL 14.
        StoreError: the address is wrong in another way.
    """
    parameters = await address.resolved(reactor)
    wire = _Wire(reactor=reactor)
    timer = reactor.callLater(CONNECT_SECONDS, wire.give_up)
    try:
        await wire.opened(parameters)
    except (psycopg2.Error, ConnectionClosed) as e:
        wire.give_up()
        raise connect_error(e, address) from e
    finally:
        if timer.active():
            timer.cancel()
    connection = Connection(wire=wire, reactor=reactor, lost=lost)
    ready = False
    try:
        if connection.server_version < OLDEST_SERVER * 10_000:
            raise ServerTooOld(
                f"The database server at {address} is PostgreSQL "
                f"{connection.server_version // 10_000}; {OLDEST_SERVER} or later is needed."
            )
        _read_quickly(wire.pollable())
        milliseconds = str(round(statement_seconds * 1000))
        settings = connection.execute(SETTINGS, (milliseconds,), seconds=CONNECT_SECONDS)
        await shielded(Deferred.fromCoroutine(settings))
        ready = True
    finally:
        if not ready:
            connection.close()
    return connection


def _read_quickly(connection: object) -> None:
    """Have ids and JSON read in a fraction of the time: most of a row is read in reading them."""
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    identifiers = psycopg2.extensions.new_type(
        (_UUID_TYPE,), "UUID", lambda text, _: None if text is None else _identifier(text)
    )
    arrays = psycopg2.extensions.new_array_type((_UUIDS_TYPE,), "UUID[]", identifiers)
    for kind in (identifiers, arrays):
        psycopg2.extensions.register_type(kind, connection)
    psycopg2.extras.register_default_jsonb(connection, loads=_value)


# What belongs to an interception has its id, in row after row.
@lru_cache(maxsize=8192)
def _identifier(text: str) -> UUID:
    return UUID(text)


def _value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)  # a number beyond all measure


class _Wire(txpostgres.Connection):  # type: ignore[misc]  # txpostgres has no types
    """A connection that tells its end, where the original only has the reactor log a traceback."""

    on_lost: Callable[[], None] | None = None

    def doRead(self) -> None:
        try:
            super().doRead()
        except (psycopg2.Error, ValueError):
            # The latter from the reactor, which is to read on from a socket that is closed by now.
            self._tell()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self._tell()

    def opened(self, parameters: Mapping[str, str]) -> Deferred[None]:
        """Connect; the original must not be cancelled."""
        waiting: Deferred[None] = Deferred(lambda _: self.give_up())

        def settle(result: object) -> None:
            if not waiting.called:
                waiting.callback(result if isinstance(result, Failure) else None)

        self.connect(**parameters).addBoth(settle)
        return waiting

    def close(self) -> None:
        # The original forgets those that wait for an answer, and the reactor would take the next
        # socket with the same number for theirs.
        for cursor in self._cursors:
            self.reactor.removeReader(cursor)
            self.reactor.removeWriter(cursor)
        super().close()

    def give_up(self) -> None:
        """Close what may never have been opened."""
        if self._connection is not None:
            self.close()

    def _tell(self) -> None:
        if self.on_lost is not None:
            self.on_lost()


def refusal(error: Exception) -> StoreError:
    """Return our error for what the driver raised while a statement ran."""
    if isinstance(error, ConnectionClosed):
        return StoreUnavailable("The connection to the database was lost.")
    if isinstance(error, ValueError):
        return StoreError(f"The database cannot hold a value: {error}")
    sqlstate = cast("str | None", getattr(error, "pgcode", None))
    sentence = _first_line(error)
    if sqlstate is None:
        # Raised before anything was sent: a value that the driver cannot write down.
        unsent = isinstance(
            error, psycopg2.ProgrammingError | psycopg2.DataError | psycopg2.NotSupportedError
        )
        return StoreError(sentence) if unsent else StoreUnavailable(sentence)
    if sqlstate[:2] in _REFUSED_CLASSES and sqlstate not in _NOT_READY:
        return StoreError(f"{sentence} ({sqlstate})")
    return StoreUnavailable(f"{sentence} ({sqlstate})")


def connect_error(error: Exception, address: Address) -> StoreError:
    """Return our error for a connection that did not come about; libpq names no SQLSTATE here."""
    if isinstance(error, ConnectionClosed):
        return StoreUnavailable(
            f"The database at {address} did not answer within {CONNECT_SECONDS:.0f} s."
        )
    reason = _first_line(error)
    if any(each in reason for each in _WRONG_PASSWORD):
        return WrongPassword(
            f"The database at {address} refused the user or the password; check `database`."
        )
    if any(each in reason for each in _MISCONFIGURED):
        return StoreError(f"The database at {address} cannot be used: {reason}")
    return StoreUnavailable(f"The database at {address} cannot be reached: {reason}")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
