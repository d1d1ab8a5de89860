"""Where a request comes from, when proxies stand between us and the client."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from bridge.web.arrivals import RequestHead

Network = IPv4Network | IPv6Network
_MAX_ADDRESS = 64


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
        address that is no trusted proxy's, anybody can have written.
        """
        if self._trusted:
            if not self._is_trusted(head.peer):
                return head.peer
        elif not self._behind_proxy:
            return head.peer
        lines = [value for name, value in head.headers if name == b"x-forwarded-for"]
        listed = [each.strip() for each in b",".join(lines).decode("latin-1").split(",")]
        for each in reversed(listed):
            if not each:
                break
            if not (self._trusted and self._is_trusted(each)):
                return each[:_MAX_ADDRESS]
        return head.peer

    def _is_trusted(self, address: str) -> bool:
        if address == "local":
            return True  # a socket of this machine
        try:
            found = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._trusted)
