"""A second connection to a provider takes up the TLS session of the first, and checks no less."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from tests.support.certificates import Authority, Issued
from tests.support.proxies import NetworkCase

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


class TlsServer:
    """Answers one request on each connection, and notes which took up a session.

    Python's, because Twisted's servers give out no sessions.
    """

    def __init__(self, issued: Issued) -> None:
        self.resumed: list[bool] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with TemporaryDirectory() as directory:
            key, certificate = issued.write(Path(directory))
            self._context.load_cert_chain(certificate, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            with (
                contextlib.suppress(OSError),
                self._context.wrap_socket(plain, server_side=True) as secured,
            ):
                self.resumed.append(bool(secured.session_reused))
                secured.recv(65536)
                secured.sendall(_ANSWER)


class ResumingTests(NetworkCase):
    """Needs real TCP and a real handshake."""

    keepalive_seconds = 0.0

    def start_server(self, *hosts: str) -> TlsServer:
        self.authority = Authority.root()
        server = TlsServer(self.authority.issue(*hosts))
        self.addCleanup(server.stop)
        return server

    async def test_later_connections_take_up_the_session(self) -> None:
        server = self.start_server("localhost")
        client = self.new_client(f"https://localhost:{server.port}", trusting=[self.authority])

        for _ in range(3):
            self.assertEqual(await self.ask(client), b"{}")

        self.assertEqual(server.resumed, [False, True, True])

    async def test_each_client_has_sessions_of_its_own(self) -> None:
        server = self.start_server("localhost")
        for _ in range(2):
            origin = f"https://localhost:{server.port}"
            await self.ask(self.new_client(origin, trusting=[self.authority]))

        self.assertEqual(server.resumed, [False, False])
