"""Whose address is recorded, when anybody can write X-Forwarded-For and only some are believed."""

from __future__ import annotations

from ipaddress import ip_network

from bridge.web.addresses import ClientAddresses
from bridge.web.arrivals import RequestHead
from tests.support.cases import BridgeTestCase

PROXY = "192.0.2.1"
INNER = ("192.0.2.0/24", "10.0.0.0/8", "2001:db8:aaaa::/48")


def head(peer: str, *lines: bytes) -> RequestHead:
    """Return a request from `peer` with these lines of X-Forwarded-For."""
    return RequestHead(
        method=b"GET",
        target=b"/",
        headers=[
            (b"user-agent", b"curl"),
            *((b"x-forwarded-for", line) for line in lines),
            (b"x-real-ip", b"6.6.6.6"),
        ],
        length=0,
        peer=peer,
    )


class NobodyBelievedTests(BridgeTestCase):
    def test_whoever_connects_is_the_client(self) -> None:
        """Without a proxy the header is the client's own invention."""
        addresses = ClientAddresses(behind_proxy=False)

        self.assertEqual(addresses.of(head(PROXY, b"198.51.100.7")), PROXY)

    def test_a_program_of_this_machine_is_local(self) -> None:
        addresses = ClientAddresses(behind_proxy=False)

        self.assertEqual(addresses.of(head("local", b"198.51.100.7")), "local")

    def test_an_ipv4_client_of_a_listener_for_both_is_recorded_as_ipv4(self) -> None:
        """One client has one address, whichever listener it came by."""
        addresses = ClientAddresses(behind_proxy=False)

        self.assertEqual(addresses.of(head("::ffff:198.51.100.7")), "198.51.100.7")


class BehindProxyTests(BridgeTestCase):
    def source(self, *lines: bytes, peer: str = PROXY) -> str:
        return ClientAddresses(behind_proxy=True).of(head(peer, *lines))

    def test_what_the_proxy_appended_counts(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7"), "198.51.100.7")

    def test_what_stood_before_does_not(self) -> None:
        self.assertEqual(self.source(b"6.6.6.6, 198.51.100.7"), "198.51.100.7")

    def test_a_line_of_its_own_counts_like_an_appended_word(self) -> None:
        self.assertEqual(self.source(b"6.6.6.6", b"198.51.100.7"), "198.51.100.7")

    def test_nothing_appended_leaves_the_connection(self) -> None:
        self.assertEqual(self.source(), PROXY)

    def test_an_empty_line_leaves_the_connection(self) -> None:
        self.assertEqual(self.source(b""), PROXY)

    def test_an_empty_last_word_leaves_the_connection(self) -> None:
        """What stands before it, the client may have written."""
        self.assertEqual(self.source(b"6.6.6.6, "), PROXY)

    def test_what_is_no_address_is_not_recorded_as_one(self) -> None:
        self.assertEqual(self.source(b"6.6.6.6, unknown"), PROXY)

    def test_bytes_that_are_no_text_are_not_recorded(self) -> None:
        self.assertEqual(self.source(b"\xff\xfe\x1b[31m"), PROXY)

    def test_an_ipv6_client(self) -> None:
        self.assertEqual(self.source(b"2001:DB8::0:7"), "2001:db8::7")

    def test_a_port_is_left_out(self) -> None:
        """Some vendors' load balancers write it."""
        self.assertEqual(self.source(b"198.51.100.7:51234"), "198.51.100.7")

    def test_an_ipv6_client_with_a_port(self) -> None:
        self.assertEqual(self.source(b"[2001:db8::7]:51234"), "2001:db8::7")

    def test_the_name_of_an_interface_is_left_out(self) -> None:
        """It could be any text."""
        self.assertEqual(self.source(b"fe80::7%<script>"), "fe80::7")

    def test_a_mapped_client_is_recorded_as_ipv4(self) -> None:
        self.assertEqual(self.source(b"::ffff:198.51.100.7"), "198.51.100.7")

    def test_a_proxy_on_this_machine(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7", peer="local"), "198.51.100.7")


class TrustedProxiesTests(BridgeTestCase):
    def source(
        self,
        *lines: bytes,
        peer: str = PROXY,
        trusted: tuple[str, ...] = INNER,
        behind: bool = False,
    ) -> str:
        networks = [ip_network(each) for each in trusted]
        return ClientAddresses(behind_proxy=behind, trusted=networks).of(head(peer, *lines))

    def test_a_trusted_proxy_is_believed(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7"), "198.51.100.7")

    def test_a_stranger_is_not(self) -> None:
        self.assertEqual(self.source(b"6.6.6.6", peer="203.0.113.9"), "203.0.113.9")

    def test_a_stranger_is_not_believed_behind_a_proxy_either(self) -> None:
        """Naming proxies is narrower than saying that there is one."""
        self.assertEqual(self.source(b"6.6.6.6", peer="203.0.113.9", behind=True), "203.0.113.9")

    def test_a_chain_of_trusted_proxies_is_followed(self) -> None:
        line = b"6.6.6.6, 198.51.100.7, 10.0.0.2, 10.0.0.1"

        self.assertEqual(self.source(line), "198.51.100.7")

    def test_a_chain_over_several_lines_is_followed(self) -> None:
        lines = (b"6.6.6.6", b"198.51.100.7, 10.0.0.2", b"10.0.0.1")

        self.assertEqual(self.source(*lines), "198.51.100.7")

    def test_a_chain_that_a_stranger_begins_ends_with_him(self) -> None:
        """He wrote the trusted addresses himself."""
        line = b"198.51.100.7, 10.0.0.2, 203.0.113.9, 10.0.0.1"

        self.assertEqual(self.source(line), "203.0.113.9")

    def test_a_client_in_a_trusted_network_is_the_first_of_the_chain(self) -> None:
        self.assertEqual(self.source(b"10.7.7.7, 10.0.0.1"), "10.7.7.7")

    def test_what_is_no_address_ends_the_chain_at_the_proxy_that_wrote_it(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7, unknown, 10.0.0.1"), "10.0.0.1")

    def test_nothing_written_leaves_the_proxy(self) -> None:
        self.assertEqual(self.source(), PROXY)

    def test_an_ipv6_proxy(self) -> None:
        found = self.source(b"2001:db8:bbbb::7, 2001:db8:aaaa::2", peer="2001:db8:aaaa::1")

        self.assertEqual(found, "2001:db8:bbbb::7")

    def test_an_ipv6_proxy_outside_is_a_stranger(self) -> None:
        self.assertEqual(self.source(b"6.6.6.6", peer="2001:db8:bbbb::1"), "2001:db8:bbbb::1")

    def test_a_mapped_proxy_is_known_by_its_ipv4_address(self) -> None:
        """A listener for both versions sees it so."""
        self.assertEqual(self.source(b"198.51.100.7", peer=f"::ffff:{PROXY}"), "198.51.100.7")

    def test_a_mapped_proxy_in_the_chain(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7, ::ffff:10.0.0.1"), "198.51.100.7")

    def test_a_proxy_on_this_machine_is_trusted(self) -> None:
        """Who can open the socket is up to its directory."""
        self.assertEqual(self.source(b"198.51.100.7", peer="local"), "198.51.100.7")

    def test_the_word_local_in_the_header_is_trusted_by_nobody(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7, local"), PROXY)

    def test_a_single_address_is_a_network_of_one(self) -> None:
        self.assertEqual(self.source(b"198.51.100.7", trusted=(PROXY,)), "198.51.100.7")

    def test_a_chain_without_end_is_not_followed_to_it(self) -> None:
        """A request's header must not cost more than its worth."""
        line = b"198.51.100.7" + b", 10.0.0.1" * 5000

        self.assertEqual(self.source(line), "10.0.0.1")
