"""What an endpoint description says about who can reach it, and whether TLS protects it."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.error import VerifyError

_PIECE = re.compile(r"((?:\\.|[^:\\])*)(?::|$)", re.DOTALL)
_LOCAL_KINDS = frozenset({"unix"})
_TLS_KINDS = frozenset({"ssl", "tls", "le", "lets", "txsni"})
_INHERITED_KINDS = frozenset({"systemd", "fd"})
"""Their sockets were opened by somebody else, and can be looked at only where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One place where clients can connect."""

    kind: str
    """`tcp`, `tcp6`, `ssl`, `unix`, …"""
    port: int | None
    """None where there is none, as for `unix`."""
    interface: str
    """The address it is bound to; "" for all."""
    local: bool
    """Whether only programs of this machine can connect."""
    tls: bool

    @property
    def _version_6(self) -> bool:
        return self.kind == "tcp6" or ":" in self.interface

    def takes_place_of(self, other: Listener) -> bool:
        """Say whether both cannot be listened on at the same time."""
        if not self.port or self.port != other.port or self._version_6 != other._version_6:
            return False
        wide = {"", "0.0.0.0", "::"}  # noqa: S104  (compared with, not bound to)
        return self.interface == other.interface or not wide.isdisjoint(
            {self.interface, other.interface}
        )


def listener_from(description: str) -> Listener:
    """Return what a Twisted endpoint description says.

    Raises:
        ValueError: it is not one, or it names a certificate that cannot be used.
    """
    pieces = _pieces(description)
    while pieces and pieces[0] == "haproxy":
        pieces = pieces[1:]
    if not pieces or not pieces[0]:
        msg = "is not a Twisted endpoint description; write for example tcp:4001"
        raise ValueError(msg)
    kind = pieces[0].lower()
    if kind not in _INHERITED_KINDS:
        _refuse_malformed(description)
    keywords = dict(piece.split("=", 1) for piece in pieces[1:] if "=" in piece)
    positional = [piece for piece in pieces[1:] if "=" not in piece]
    number = keywords.get("port", positional[0] if positional else "")
    port = int(number) if number.isdecimal() else None
    if port is not None and port > 65535:
        msg = f"names the port {port}; ports end at 65535"
        raise ValueError(msg)
    interface = keywords.get("interface", "")
    return Listener(
        kind=kind,
        port=port,
        interface=interface,
        local=kind in _LOCAL_KINDS
        or is_loopback(interface)
        or (kind in _INHERITED_KINDS and _inherited_locally(":".join(pieces))),
        tls=kind in _TLS_KINDS,
    )


def is_loopback(host: str) -> bool:
    """Say whether `host`, a name or an address, is this machine and no other can reach it."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _inherited_locally(description: str) -> bool:
    """Return whether an inherited socket is of this machine only.

    Only the process that was given it can look; to all others (those of the command line, and the
    workers) it is nothing to worry about.
    """
    try:
        endpoint = serverFromString(None, description)
        descriptor = endpoint.fileno if isinstance(endpoint, AdoptedStreamServerEndpoint) else -1
        with socket.socket(fileno=os.dup(descriptor)) as inherited:
            name = inherited.getsockname()
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return True  # nobody gave it to this process, or the description names none
    return not isinstance(name, tuple) or is_loopback(name[0])


def _pieces(description: str) -> list[str]:
    """Return the parts between unescaped colons, without their escapes."""
    pieces: list[str] = []
    for found in _PIECE.finditer(description):
        pieces.append(re.sub(r"\\(.)", r"\1", found[1]))
        if found.end() == len(description) and not found[0].endswith(":"):
            break
    return pieces


def _refuse_malformed(description: str) -> None:
    """Let Twisted read the description; it binds nothing until asked to listen."""
    try:
        serverFromString(None, description)
    except FileNotFoundError as e:
        msg = f"names the file {e.filename}, which does not exist"
        raise ValueError(msg) from e
    except PermissionError:
        return  # the bridge may run as somebody who can read the key
    except OSError as e:
        msg = f"names a file that cannot be read: {e.strerror or type(e).__name__}"
        raise ValueError(msg) from e
    except (SSL.Error, crypto.Error, VerifyError) as e:
        msg = "names a certificate or key that is not in PEM form, or that do not belong together"
        raise ValueError(msg) from e
    except (ValueError, TypeError, IndexError) as e:
        msg = f"is not a Twisted endpoint description ({e}); write for example tcp:4001"
        raise ValueError(msg) from e
