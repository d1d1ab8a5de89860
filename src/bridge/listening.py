"""Closing a port without dropping who is just connecting."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

INHERITED_KINDS = ("systemd:", "fd:")
"""Beginnings of descriptions of sockets that somebody else has opened, and keeps when we end."""
HANDSHAKE_SECONDS = 0.1
"""For clients whose connection the kernel is just making; twice a long way round the world."""
_TURNS = 6
"""Twisted accepts some twenty connections more in each turn than in the one before."""
_SO_ATTACH_FILTER, _SO_ATTACH_REUSEPORT_CBPF = 26, 51
# Linux's, which Python's socket module does not name.
_LOAD_BYTE, _LOAD_HALF, _RETURN = 0x30, 0x28, 0x06
_SHIFT_RIGHT, _MODULO, _JUMP, _JUMP_IF_BIT, _JUMP_IF_EQUAL = 0x74, 0x94, 0x05, 0x45, 0x15
_FLAGS_OFFSET, _SYN = 13, 0x02
_NETWORK_HEADER = -0x100000
_HEADER_BYTES_4, _HEADER_BYTES_6 = 20, 40
_NO_SYN = (
    (_LOAD_BYTE, 0, 0, _FLAGS_OFFSET),
    (_JUMP_IF_BIT, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, -1),
)
"""Drops a TCP segment that begins a connection, and nothing else."""

Instructions = tuple[tuple[int, int, int, int], ...]


def is_inherited(description: str) -> bool:
    """Return whether whoever started us has opened what an endpoint description names."""
    return description.removeprefix("haproxy:").startswith(INHERITED_KINDS)


async def close_port(port: IListeningPort, reactor: Any, *, shut_out: bool = True) -> None:
    """Stop listening, and serve the connections that the kernel has made until now.

    A socket takes those that nobody has accepted with it when it is closed. Twisted's ports do not
    look for any, and are closed only a turn of the reactor after they have been asked to, so under
    load some would be lost: here they are looked for, and the socket is closed in the same moment.
    Before, on Linux, nobody new is let in for HANDSHAKE_SECONDS, so that none is being made then;
    who comes meanwhile is not answered, knocks again a second later, and is refused.

    Args:
        port: Twisted's.
        reactor: gives the time.
        shut_out: false when other processes have the socket, too, and go on with it.
    """
    if IReadDescriptor.providedBy(port):
        listening = getattr(port, "socket", None)
        if not shut_out or (listening is not None and let_nobody_in(listening)):
            await deferLater(reactor, HANDSHAKE_SECONDS)
        for _ in range(_TURNS):
            port.doRead()
        port.connectionLost(Failure(ConnectionDone()))
        return
    stopping = port.stopListening()
    if isinstance(stopping, Deferred):
        await stopping


def let_nobody_in(listening: socket.socket) -> bool:
    """Have the kernel ignore who begins to connect; whether that is so now."""
    return _attach(listening, _SO_ATTACH_FILTER, _NO_SYN)


def take_turns(listening: socket.socket, chosen: Sequence[int]) -> bool:
    """Have the kernel give new connections to some of a group of sockets; whether that is so now.

    Which of them gets a connection is decided by the client's port, half of it: Linux gives a
    client every other port for its connections to one address.

    Args:
        listening: any one of the sockets of an address (SO_REUSEPORT).
        chosen: numbers of those that are to get connections, in the order of their opening.
    """
    choice: list[tuple[int, int, int, int]] = []
    for n, number in enumerate(chosen):
        choice += [(_JUMP_IF_EQUAL, 0, 1, n), (_RETURN, 0, 0, number)]
    by_port = (
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
        (_SHIFT_RIGHT, 0, 0, 4),
        (_JUMP_IF_EQUAL, 0, 2, 4),
        (_LOAD_HALF, 0, 0, _NETWORK_HEADER + _HEADER_BYTES_4),
        (_JUMP, 0, 0, 1),
        (_LOAD_HALF, 0, 0, _NETWORK_HEADER + _HEADER_BYTES_6),
        (_SHIFT_RIGHT, 0, 0, 1),
        (_MODULO, 0, 0, len(chosen)),
        *choice,
        (_RETURN, 0, 0, chosen[0]),
    )
    return _attach(listening, _SO_ATTACH_REUSEPORT_CBPF, by_port)


def _attach(listening: socket.socket, option: int, instructions: Instructions) -> bool:
    """Give the kernel a program (classic BPF) for a TCP socket; false where there is no such."""
    if sys.platform != "linux" or listening.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    code = b"".join(
        struct.pack("HBBI", operation, if_true, if_false, value & 0xFFFFFFFF)
        for operation, if_true, if_false, value in instructions
    )
    memory = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HL", len(instructions), ctypes.addressof(memory))
    try:
        listening.setsockopt(socket.SOL_SOCKET, option, program)
    except OSError:
        return False
    return True
