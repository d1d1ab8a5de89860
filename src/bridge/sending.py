"""Sending: what is to be sent leaves at once where nothing waits before it.

Twisted puts every write into a buffer, asks the reactor for a turn, and sends in that: for an event
of a stream that is two changes of the poll set and one more turn than the `send` itself needs.
Private parts touched: a TCP transport's buffers, looked at and never changed.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection


class Sender:
    """Writes to one transport; any transport will do, plain TCP is sent to at once."""

    __slots__ = ("_at_once", "_transport")

    def __init__(self, transport: Any) -> None:
        """Write to `transport`, a connected one."""
        self._transport = transport
        # TLS has buffers of its own, and must be asked.
        self._at_once = isinstance(transport, Connection) and not transport.TLS

    def send(self, data: bytes) -> None:
        """Send `data` after everything that was written before it."""
        transport = self._transport
        if (
            self._at_once
            and not transport.dataBuffer
            and not transport._tempDataBuffer  # noqa: SLF001 - see above
            and transport.connected
            and not transport.disconnecting
        ):
            sent = transport.writeSomeData(data)
            if sent == len(data):
                return
            if isinstance(sent, int):
                data = data[sent:]
            # Anything else is a lost connection, which the transport finds again by itself.
        transport.write(data)
