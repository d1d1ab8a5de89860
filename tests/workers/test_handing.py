"""Tests for what workers do with sockets: opened, inherited, and handed to each other."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from bridge.policy.shared_limits import SharedLimits, Total, size_for
from bridge.workers.handing import Receiving, Sharing, pairs
from bridge.workers.sockets import Adopting, Choice, Opened, Opening, as_adopted
from tests.support.certificates import Authority

WORKERS = 2
SECONDS = 10.0


class Named(Protocol):
    """Says which worker it belongs to."""

    transport: Any
    factory: Any
    gone = False

    def connectionMade(self) -> None:
        self.factory.made.append(self)
        self.transport.write(self.factory.name)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone = True


class Worker:
    """One worker's side, in this process."""

    def __init__(self, n: int, memory: bytearray, ends: Any) -> None:
        self.number = n
        self.factory: Any = Factory.forProtocol(Named)
        self.factory.name = b"worker %d" % n
        self.factory.made = []
        self.shared = SharedLimits(memory, processes=WORKERS, me=n)
        self.shared.set_total(Total.CONNECTIONS, 0)
        self.ends = ends

    def serve(self, opened: Opened, description: str) -> Any:
        """Accept, hand over and take."""
        own = opened.sockets[self.number]
        adopting = Adopting(reactor, fd=os.dup(own.fileno()), family=int(own.family))
        found: list[Any] = []
        serverFromString(adopting, description).listen(self.factory).addCallback(found.append)
        (port,) = found
        ways = {n: send for n, (_, send) in enumerate(self.ends) if n != self.number}
        port.socket = Sharing(port.socket, address=0, me=self.number, ways=ways, shared=self.shared)
        self.receiving = Receiving(
            self.ends[self.number][0],
            ports=[(int(own.family), port.factory)],
            shared=self.shared,
            reactor=reactor,
        )
        reactor.addReader(self.receiving)  # type: ignore[attr-defined]
        return port

    def count(self) -> None:
        self.shared.set_total(Total.CONNECTIONS, len(self.factory.made))


class HandingTests(TestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        memory = bytearray(size_for(WORKERS))
        ends = pairs(WORKERS)
        self.workers = [Worker(n, memory, ends) for n in range(WORKERS)]
        for pair in ends:
            for end in pair:
                self.addCleanup(end.close)

    def open(self, description: str) -> Opened:
        found: list[Any] = []
        opening = Opening(reactor, processes=WORKERS)
        serverFromString(opening, description).listen(Factory()).addBoth(found.append)
        opened = found[0]
        if not isinstance(opened, Opened):
            opened.raiseException()
        return opened

    def serve(self, opened: Opened, description: str) -> None:
        for worker in self.workers:
            port = worker.serve(opened, description)
            self.addCleanup(port.stopListening)
            self.addCleanup(reactor.removeReader, worker.receiving)  # type: ignore[attr-defined]
        opened.close()

    async def ask(self, address: Any, family: int = socket.AF_INET) -> bytes:
        """Connect, and return what is said; the connection stays."""
        client = socket.socket(family)
        self.addCleanup(client.close)
        client.settimeout(SECONDS)
        await deferToThread(client.connect, address)
        said: bytes = await deferToThread(client.recv, 100)
        for worker in self.workers:
            worker.count()
        return said

    async def test_connections_are_spread_evenly_whatever_the_kernel_does(self) -> None:
        opened = self.open("tcp:0:interface=127.0.0.1")
        address = opened.sockets[0].getsockname()
        self.serve(opened, "tcp:0:interface=127.0.0.1")

        for _ in range(20):
            await self.ask(address)

        shares = [len(each.factory.made) for each in self.workers]
        self.assertEqual(sum(shares), 20)
        self.assertLessEqual(max(shares), 11)
        self.tidy()

    async def test_who_takes_none_gets_none(self) -> None:
        opened = self.open("tcp:0:interface=127.0.0.1")
        address = opened.sockets[0].getsockname()
        first, second = self.workers
        choice = Choice([opened.sockets[0]], first.shared)
        second.shared.set_total(Total.CONNECTIONS, float("inf"))
        choice.look()
        second.count = lambda: None  # type: ignore[method-assign]
        self.serve(opened, "tcp:0:interface=127.0.0.1")

        said = [await self.ask(address) for _ in range(12)]

        self.assertEqual(said, [b"worker 0"] * 12)
        self.tidy()

    async def test_all_accept_on_the_same_unix_socket(self) -> None:
        path = self.mktemp()
        description = f"unix:{path}:mode=600"
        opened = self.open(description)
        self.assertFalse(opened.apart)
        for worker in self.workers:
            port = worker.serve(opened, description)
            self.addCleanup(port.stopListening)
            self.addCleanup(reactor.removeReader, worker.receiving)  # type: ignore[attr-defined]

        for _ in range(6):
            await self.ask(path, socket.AF_UNIX)

        self.assertEqual(min(len(each.factory.made) for each in self.workers), 2)
        self.assertEqual(mode_of(path), 0o600)
        opened.close()
        self.assertEqual(mode_of(path), 0)
        self.tidy()

    def test_an_address_that_somebody_else_has_is_noticed(self) -> None:
        opened = self.open("tcp:0:interface=127.0.0.1")
        self.addCleanup(opened.close)
        port = opened.getHost().port

        with self.assertRaises(OSError):
            self.open(f"tcp:{port}:interface=127.0.0.1")

    async def test_tls_is_spoken_by_the_worker_that_gets_the_connection(self) -> None:
        issued = Authority.root().issue("localhost")
        directory = self.directory
        key, certificate = issued.write(directory)
        description = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
        opened = self.open(description)
        address = opened.sockets[0].getsockname()
        self.serve(opened, description)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def said() -> bytes:
            with (
                socket.create_connection(address, SECONDS) as plain,
                context.wrap_socket(plain) as client,
            ):
                return client.recv(100)

        heard = set()
        for _ in range(8):
            heard.add(await deferToThread(said))
            for worker in self.workers:
                worker.count()

        self.assertEqual(heard, {b"worker 0", b"worker 1"})
        self.tidy()

    def test_what_the_parent_inherited_a_worker_does_not_look_for(self) -> None:
        self.assertEqual(as_adopted("tcp:1"), "tcp:1")
        self.assertEqual(as_adopted("systemd:domain=INET:index=0"), "tcp:0")
        self.assertEqual(as_adopted("haproxy:systemd:domain=INET:index=0"), "haproxy:tcp:0")

    def tidy(self) -> None:
        """Close what the workers have accepted."""
        for worker in self.workers:
            for each in worker.factory.made:
                if not each.gone:
                    each.transport.abortConnection()


def mode_of(path: str) -> int:
    """Return the permissions of a file; 0 when it is not there."""
    try:
        return Path(path).stat().st_mode & 0o777
    except FileNotFoundError:
        return 0
