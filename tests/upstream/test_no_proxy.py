"""What a proxy is for: how its address is read, and each way to name what is reached without it."""

from __future__ import annotations

from bridge.upstream.proxy import Proxy
from tests.support.cases import BridgeTestCase


class NoProxyTests(BridgeTestCase):
    def passes(self, word: str, host: str, port: int = 443) -> bool:
        """Say whether `host` is reached without the proxy, when NO_PROXY is `word`."""
        return not Proxy(url="http://proxy:3128", bypass=word.split(",")).is_for(host, port)

    def test_nothing_named_reaches_everything_by_the_proxy(self) -> None:
        self.assertFalse(self.passes("", "example.com"))

    def test_a_host(self) -> None:
        self.assertTrue(self.passes("example.com", "example.com"))

    def test_a_host_and_what_is_below_it(self) -> None:
        self.assertTrue(self.passes("example.com", "api.eu.example.com"))

    def test_a_host_that_only_ends_alike_is_another(self) -> None:
        self.assertFalse(self.passes("example.com", "badexample.com"))

    def test_a_host_that_only_begins_alike_is_another(self) -> None:
        self.assertFalse(self.passes("example.com", "example.com.evil.example"))

    def test_a_host_above_is_another(self) -> None:
        self.assertFalse(self.passes("api.example.com", "example.com"))

    def test_a_domain_with_a_dot(self) -> None:
        self.assertTrue(self.passes(".example.com", "api.example.com"))

    def test_a_domain_with_a_dot_does_not_end_within_a_name(self) -> None:
        self.assertFalse(self.passes(".example.com", "badexample.com"))

    def test_a_domain_with_a_star(self) -> None:
        self.assertTrue(self.passes("*.example.com", "api.example.com"))

    def test_a_domain_with_a_star_does_not_end_within_a_name(self) -> None:
        self.assertFalse(self.passes("*.example.com", "badexample.com"))

    def test_a_host_with_its_port(self) -> None:
        self.assertTrue(self.passes("example.com:8443", "example.com", 8443))

    def test_a_host_with_another_port(self) -> None:
        self.assertFalse(self.passes("example.com:8443", "example.com", 443))

    def test_an_address(self) -> None:
        self.assertTrue(self.passes("10.1.2.3", "10.1.2.3"))

    def test_another_address(self) -> None:
        self.assertFalse(self.passes("10.1.2.3", "10.1.2.30"))

    def test_an_address_with_its_port(self) -> None:
        self.assertTrue(self.passes("10.1.2.3:8443", "10.1.2.3", 8443))

    def test_an_address_does_not_end_like_a_domain(self) -> None:
        self.assertFalse(self.passes(".2.3", "10.1.2.3"))

    def test_a_network(self) -> None:
        self.assertTrue(self.passes("10.0.0.0/8", "10.255.0.1"))

    def test_an_address_outside_a_network(self) -> None:
        self.assertFalse(self.passes("10.0.0.0/8", "11.0.0.1"))

    def test_a_network_is_not_about_names(self) -> None:
        """Whoever needs the proxy cannot look them up."""
        self.assertFalse(self.passes("0.0.0.0/0", "example.com"))

    def test_an_ipv6_address(self) -> None:
        self.assertTrue(self.passes("2001:DB8:0::1", "2001:db8::1"))

    def test_an_ipv6_address_in_brackets(self) -> None:
        self.assertTrue(self.passes("[2001:db8::1]", "2001:db8::1"))

    def test_an_ipv6_address_in_brackets_with_its_port(self) -> None:
        self.assertTrue(self.passes("[2001:db8::1]:8443", "2001:db8::1", 8443))

    def test_an_ipv6_address_in_brackets_with_another_port(self) -> None:
        self.assertFalse(self.passes("[2001:db8::1]:8443", "2001:db8::1", 443))

    def test_the_end_of_an_ipv6_address_is_no_port(self) -> None:
        self.assertFalse(self.passes("2001:db8::443", "2001:db8::", 443))

    def test_an_ipv6_network(self) -> None:
        self.assertTrue(self.passes("2001:db8::/32", "2001:db8:1::1"))

    def test_an_address_outside_an_ipv6_network(self) -> None:
        self.assertFalse(self.passes("2001:db8::/32", "2001:db9::1"))

    def test_a_star_is_everything(self) -> None:
        self.assertTrue(self.passes("*", "example.com"))

    def test_a_star_is_every_address_too(self) -> None:
        self.assertTrue(self.passes("*", "2001:db8::1"))

    def test_upper_case_in_the_list(self) -> None:
        self.assertTrue(self.passes("EXAMPLE.com", "example.com"))

    def test_upper_case_in_the_host(self) -> None:
        self.assertTrue(self.passes("example.com", "API.Example.COM"))

    def test_a_dot_at_the_end_of_the_host(self) -> None:
        self.assertTrue(self.passes("example.com", "example.com."))

    def test_a_dot_at_the_end_in_the_list(self) -> None:
        self.assertTrue(self.passes("example.com.", "example.com"))

    def test_spaces_beside_commas(self) -> None:
        self.assertTrue(self.passes(" localhost , example.com ", "example.com"))

    def test_spaces_instead_of_commas(self) -> None:
        self.assertTrue(self.passes("localhost example.com", "example.com"))

    def test_a_lone_dot_is_nothing(self) -> None:
        self.assertFalse(self.passes(".", "example.com"))

    def test_nonsense_is_nothing(self) -> None:
        self.assertFalse(self.passes("10.0.0.0/99,:,:443,[,://", "example.com"))


class AddressTests(BridgeTestCase):
    def proxy(self, url: str) -> tuple[str, int]:
        found = Proxy(url=url, bypass=())
        return found.host, found.port

    def test_a_url(self) -> None:
        self.assertEqual(self.proxy("http://proxy.example:3128/"), ("proxy.example", 3128))

    def test_a_host_and_port_alone(self) -> None:
        self.assertEqual(self.proxy("proxy.example:3128"), ("proxy.example", 3128))

    def test_a_url_without_a_port_means_that_of_http(self) -> None:
        self.assertEqual(self.proxy("http://proxy.example"), ("proxy.example", 80))

    def test_an_ipv6_address(self) -> None:
        self.assertEqual(self.proxy("http://[2001:db8::1]:3128"), ("2001:db8::1", 3128))

    def test_a_user_is_no_host(self) -> None:
        self.assertEqual(self.proxy("http://ada:pw@proxy.example:3128")[0], "proxy.example")

    def test_what_is_no_address_is_refused_without_repeating_it(self) -> None:
        for url in (
            "",
            "http://",
            "https://proxy.example:3128",
            "socks5://proxy.example:1080",
            "http://proxy.example:0",
            "http://proxy.example:99999",
            "http://proxy.example:hunter2",
            "http://[2001:db8::1:3128",
            "http://proxy.example:3128/path",
            "http://ada:hunter2/@proxy.example:3128",
            "http://ada:hunter2#@proxy.example:3128",
            "http://ada:hunter2?@proxy.example:3128",
            "http://proxy.example\x00:3128",
        ):
            error = self.assertRaises(ValueError, self.proxy, url)

            self.assertTrue(str(error).startswith("must be a proxy's address"), url)
            self.assertNotIn("hunter2", str(error))
