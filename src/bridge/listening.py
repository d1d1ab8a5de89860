"""Closing a port without dropping who is just connecting."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

HANDSHAKE_SECONDS = 0.1
"""For clients whose connection the kernel is just making; twice a long way round the world."""
_TURNS = 6
"""Twisted accepts some twenty connections more in each turn than in the one before."""
_SO_ATTACH_FILTER = 26
# Linux's, which Python's socket module does not name.
_LOAD_BYTE, _JUMP_IF_BIT, _RETURN = 0x30, 0x45, 0x06
_FLAGS_OFFSET, _SYN = 13, 0x02
_NO_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (_LOAD_BYTE, 0, 0, _FLAGS_OFFSET),
        (_JUMP_IF_BIT, 0, 1, _SYN),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
)
"""A filter (classic BPF) that drops a TCP segment which begins a connection, and nothing else."""


async def close_port(port: IListeningPort, reactor: Any) -> None:
    """Stop listening, and serve the connections that the kernel has made until now.

    A socket takes those that nobody has accepted with it when it is closed. Twisted's ports do not
    look for any, and are closed only a turn of the reactor after they have been asked to, so under
    load some would be lost: here they are looked for, and the socket is closed in the same moment.
    Before, on Linux, nobody new is let in for HANDSHAKE_SECONDS, so that none is being made then;
    who comes meanwhile is not answered, knocks again a second later, and is refused.
    """
    if IReadDescriptor.providedBy(port):
        if _let_nobody_in(getattr(port, "socket", None)):
            await deferLater(reactor, HANDSHAKE_SECONDS)
        for _ in range(_TURNS):
            port.doRead()
        port.connectionLost(Failure(ConnectionDone()))
        return
    stopping = port.stopListening()
    if isinstance(stopping, Deferred):
        await stopping


def _let_nobody_in(listening: Any) -> bool:
    """Have the kernel ignore who begins to connect; whether that is so now."""
    if sys.platform != "linux" or not isinstance(listening, socket.socket):
        return False
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    instructions = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    program = struct.pack("HL", len(_NO_SYN) // 8, ctypes.addressof(instructions))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False  # a kernel that has no filters; the moment between two calls remains
    return True
