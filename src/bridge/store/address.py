"""Where the database is: the parts of `postgresql://…`, shown without its password."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from bridge.deferreds import limited
from bridge.store.errors import StoreError, StoreUnavailable

LOOK_UP_SECONDS = 10.0

_DEFAULTS: Mapping[str, str] = {
    "application_name": "aibridge",
    "client_encoding": "UTF8",
    # A server that vanished without a word is noticed within about a minute.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


class Address:
    """An address and credential; its text form is `user@host:port/database`."""

    def __init__(self, dsn: str) -> None:
        """Read `dsn`.

        Raises:
            StoreError: it is no address.
        """
        try:
            given = parse_dsn(dsn)
        except psycopg2.Error:
            # The driver's message quotes what it could not read, which may be the password.
            raise StoreError("The address of the database cannot be read.") from None
        self._parameters: dict[str, str] = {**_DEFAULTS, **given}

    def __str__(self) -> str:
        parameters = self._parameters
        user = parameters.get("user", "")
        port = parameters.get("port", "")
        host = parameters.get("host") or parameters.get("hostaddr") or "the local socket"
        if host.startswith("/"):
            host = "the local socket"
        place = f"{host}:{port}" if port and not host.startswith("the ") else host
        return f"{user}{'@' if user else ''}{place}/{parameters.get('dbname', user)}"

    async def resolved(self, reactor: Any) -> dict[str, str]:
        """Return the driver's parameters, host names looked up; libpq would block the reactor.

        Raises:
            StoreUnavailable: a name is not known.
        """
        parameters = dict(self._parameters)
        names = parameters.get("host", "").split(",")
        if "hostaddr" in parameters or not any(_is_name(name) for name in names):
            return parameters
        ports = parameters.get("port", "").split(",")
        if len(ports) == 1:
            ports *= len(names)
        hosts: list[tuple[str, str, str]] = []
        for name, port in zip(names, ports, strict=False):
            found = await _look_up(name, reactor) if _is_name(name) else [_literal(name)]
            hosts += [(name, numeric, port) for numeric in found]
        if not hosts:
            raise StoreUnavailable(f"The database host {','.join(names)} is not known.")
        parameters["host"] = ",".join(host for host, _, _ in hosts)
        parameters["hostaddr"] = ",".join(numeric for _, numeric, _ in hosts)
        if any(ports):
            parameters["port"] = ",".join(port for _, _, port in hosts)
        return parameters


@implementer(IResolutionReceiver)
class _Collected:
    """Gathers the addresses of one name."""

    def __init__(self) -> None:
        self.finished: Deferred[list[str]] = Deferred()
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803
        """Nothing to keep: a look-up has its own limit."""

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802
        """Keep an address once."""
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self._found:
            self._found.append(address.host)

    def resolutionComplete(self) -> None:  # noqa: N802
        """Hand them over."""
        self.finished.callback(self._found)


async def _look_up(name: str, reactor: Any) -> list[str]:
    collected = _Collected()
    reactor.nameResolver.resolveHostName(collected, name)

    def too_slow() -> Exception:
        return StoreUnavailable(f"The address of {name} was not found in time.")

    return await limited(collected.finished, LOOK_UP_SECONDS, reactor, too_slow)


def _is_name(host: str) -> bool:
    return bool(host) and not host.startswith(("/", "@")) and not _literal(host)


def _literal(host: str) -> str:
    """Return `host` if it is a numeric address, else nothing."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    return host
