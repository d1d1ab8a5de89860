"""A server that only greets: as an old PostgreSQL, or not at all."""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.protocol import Factory, Protocol

_ENCRYPTION_REQUESTS = {80877103, 80877104}


class Greeting(Protocol):
    """Lets everybody in, says which version it is, and answers nothing else."""

    version: str | None = None

    def connectionMade(self) -> None:
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        if self.version is None:
            return
        self._received += data
        while len(self._received) >= 8:
            length, code = struct.unpack("!II", self._received[:8])
            if len(self._received) < length:
                return
            self._received = self._received[length:]
            self.transport.write(b"N" if code in _ENCRYPTION_REQUESTS else self._greeting())

    def _greeting(self) -> bytes:
        parameters = {
            "server_version": str(self.version),
            "client_encoding": "UTF8",
            "DateStyle": "ISO, MDY",
            "standard_conforming_strings": "on",
        }
        parts = [_message(b"R", struct.pack("!I", 0))]
        parts += [
            _message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items()
        ]
        return b"".join([*parts, _message(b"K", struct.pack("!II", 1, 2)), _message(b"Z", b"I")])


def old_server(reactor: Any, version: str | None) -> Any:
    """Listen on a free port of 127.0.0.1; None says nothing to anybody. Returns the port."""
    factory = Factory()

    def build() -> Greeting:
        greeting = Greeting()
        greeting.version = version
        return greeting

    factory.buildProtocol = lambda _: build()  # type: ignore[method-assign]
    return reactor.listenTCP(0, factory, interface="127.0.0.1")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
