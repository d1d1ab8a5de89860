"""Where a request comes from, when proxies stand between us and the client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import islice

from bridge.web.arrivals import RequestHead

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_MAX_PROXIES = 32
_LOCAL = "local"
"""What a peer is called whose connection came through a socket of this machine."""


class ClientAddresses:
    """Reads X-Forwarded-For as far as those who wrote it are trusted."""

    def __init__(self, *, behind_proxy: bool, trusted: Sequence[Network] = ()) -> None:
        """Believe proxies.

        Args:
            behind_proxy: whoever connects to us is a proxy; ignored when `trusted` names some.
            trusted: the addresses of proxies, each of which appends whom it saw.
        """
        self._behind_proxy = behind_proxy
        self._trusted = tuple(trusted)

    def of(self, head: RequestHead) -> str:
        """Return the address of the client, as well as it can be known.

        A proxy appends whom it saw, to the line or in one of its own; what stands before the first
        address that is no trusted proxy's, anybody can have written. What is no address ends the
        search as well: the last one that a trusted proxy named is all that is known then.
        """
        peer = _address(head.peer)
        found = head.peer if peer is None else str(peer)
        if self._trusted:
            believed = found == _LOCAL or self._is_trusted(peer)
        else:
            believed = self._behind_proxy
        for address in islice(_listed(head), _MAX_PROXIES) if believed else ():
            if address is None:
                break
            found = str(address)
            if not self._is_trusted(address):
                break
        return found

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _listed(head: RequestHead) -> Iterator[Address | None]:
    """Yield what X-Forwarded-For lists, the last first; None for what is no address."""
    lines = [value for name, value in head.headers if name == b"x-forwarded-for"]
    for each in reversed(b",".join(lines).split(b",") if lines else ()):
        yield _address(each.strip().decode("latin-1"))


def _address(text: str) -> Address | None:
    """Return the address in `text`, which may have a port; a mapped IPv4 address is that one."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # some proxies write the port too
        host = text.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])  # the name of an interface can be any text
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
