"""The demo upstream's own process: `python -m bridge.demo`.

It takes its secret from the environment variable AIBRIDGE_DEMO_SECRET, listens on an ephemeral
loopback port or, with `--fd N`, on the listening socket that it inherited as N, prints the port as
one line on stdout, and exits when stdin closes: it never outlives whoever started it.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure

from bridge.demo.server import DemoServer

SECRET_VARIABLE = "AIBRIDGE_DEMO_SECRET"  # noqa: S105  # the variable's name
_BACKLOG = 1024


def main() -> None:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(prog="python -m bridge.demo", description=__doc__)
    parser.add_argument("--fd", type=int, default=None, help="an inherited listening socket")
    descriptor = parser.parse_args().fd
    secret = os.environ.pop(SECRET_VARIABLE, "")
    if not secret:
        parser.error(f"{SECRET_VARIABLE} must be set")
    from twisted.internet import reactor as installed

    reactor: Any = installed
    server = DemoServer(secret=secret, clock=reactor)
    if descriptor is None:
        port = reactor.listenTCP(0, server.factory, backlog=_BACKLOG, interface="127.0.0.1")
    else:
        port = reactor.adoptStreamPort(descriptor, socket.AF_INET, server.factory)
        os.close(descriptor)  # adopting made a copy
        # A terminal's Ctrl-C reaches the whole group; who started us still has answers to finish.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    StandardIO(_UntilClosed(reactor))
    reactor.run()


class _UntilClosed(Protocol):
    """Waits for the end of stdin."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's signature
        if self._reactor.running:
            self._reactor.stop()


if __name__ == "__main__":
    main()
