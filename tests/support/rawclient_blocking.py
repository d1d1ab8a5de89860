"""The raw HTTP/1.1 client without a reactor, for tests and tools that talk to a real process."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from types import TracebackType

from tests.support.rawclient import OPEN, RawResponse, ResponseReader

_READ_BYTES = 256 * 1024


class BlockingClient:
    """One connection; every wait is at most `timeout` seconds, then TimeoutError."""

    def __init__(self, port: int, *, timeout: float = 10.0, receive_buffer: int = 0) -> None:
        """Connect to a loopback port.

        Args:
            port: where to.
            timeout: seconds for each single wait.
            receive_buffer: bytes that the kernel may hold unread; 0 is its default.
        """
        self.reader = ResponseReader()
        self.gone: str | None = None
        self._taken = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(timeout)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes of a request as they are."""
        self._socket.sendall(data)

    def response(self) -> RawResponse:
        """Return the next answer once it has ended, well or badly."""
        wanted = self._taken
        self._taken += 1
        seen = self.reader.responses
        self._until(lambda: len(seen) > wanted and seen[wanted].end != OPEN)
        assert len(seen) > wanted, f"no answer; {self.gone}; {self.reader.left!r}"
        return seen[wanted]

    def begun(self, marker: bytes = b"") -> RawResponse:
        """Return the answer under way once its body holds `marker`."""
        wanted = self._taken
        seen = self.reader.responses
        self._until(lambda: len(seen) > wanted and marker in seen[wanted].body)
        assert len(seen) > wanted, f"no answer; {self.gone}; {self.reader.left!r}"
        return seen[wanted]

    def ended(self) -> str:
        """Read until the connection ends; return "closed" or "reset"."""
        self._until(lambda: False)
        assert self.gone is not None
        return self.gone

    def close(self) -> None:
        """Close with FIN."""
        self._socket.close()

    def reset(self) -> None:
        """Close with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _until(self, met: Callable[[], bool]) -> None:
        while not met() and self.gone is None:
            try:
                data = self._socket.recv(_READ_BYTES)
            except (ConnectionResetError, BrokenPipeError):
                self.gone = "reset"
                self.reader.closed(cleanly=False)
                return
            if data:
                self.reader.feed(data)
            else:
                self.gone = "closed"
                self.reader.closed(cleanly=True)
