"""Proxies, authorities and addresses: by which names they are set, and what is refused."""

from __future__ import annotations

import json
from ipaddress import ip_network

from bridge.config import options
from tests.cli.running import CommandCase
from tests.config.support import ConfigCase
from tests.support.certificates import Authority

PROXY = "http://proxy.example:3128"
OTHER = "http://other.example:8080"


class OddProxyTests(ConfigCase):
    """Addresses that are nearly right are refused before the start, without their password."""

    def assert_refused(self, address: str) -> None:
        (problem,) = self.problems(environ={"HTTPS_PROXY": address})

        self.assertIn("https_proxy: must be a proxy's address", problem)
        self.assertNotIn("secret", problem)

    def test_a_port_that_is_none(self) -> None:
        self.assert_refused("http://user:secret@proxy.example:99999")
        self.assert_refused("http://user:secret@proxy.example:abc")

    def test_an_unescaped_character_in_the_password(self) -> None:
        self.assert_refused("http://user:secret#1@proxy.example:3128")
        self.assert_refused("http://user:secret?1@proxy.example:3128")

    def test_half_a_bracket(self) -> None:
        self.assert_refused("http://[::1")


class HttpsProxyTests(ConfigCase):
    def proxy(self, text: str | None = None, flag: str | None = None, **environ: str) -> str:
        flags = {"https-proxy": flag} if flag is not None else {}
        return self.load(text, flags=flags, environ=environ)[options.HTTPS_PROXY].reveal()

    def refusal(self, address: str) -> str:
        """Return the one problem that there is with an address."""
        (problem,) = self.problems(environ={"HTTPS_PROXY": address})
        return problem

    def test_there_is_none_unless_somebody_says_so(self) -> None:
        self.assertEqual(self.proxy(), "")

    def test_in_the_file(self) -> None:
        self.assertEqual(self.proxy(f"https_proxy: {PROXY}"), PROXY)

    def test_by_the_variable_that_everybody_knows(self) -> None:
        self.assertEqual(self.proxy(HTTPS_PROXY=PROXY), PROXY)

    def test_by_the_same_in_lower_case(self) -> None:
        """As curl has it."""
        self.assertEqual(self.proxy(https_proxy=PROXY), PROXY)

    def test_by_our_own_variable(self) -> None:
        self.assertEqual(self.proxy(AIBRIDGE_HTTPS_PROXY=PROXY), PROXY)

    def test_by_a_flag(self) -> None:
        self.assertEqual(self.proxy(flag=PROXY), PROXY)

    def test_without_a_scheme(self) -> None:
        self.assertEqual(self.proxy(HTTPS_PROXY="proxy.example:3128"), "proxy.example:3128")

    def test_our_own_variable_wins_over_everybodys(self) -> None:
        found = self.proxy(AIBRIDGE_HTTPS_PROXY=PROXY, HTTPS_PROXY=OTHER, https_proxy=OTHER)

        self.assertEqual(found, PROXY)

    def test_the_file_wins_over_everybodys_variable(self) -> None:
        """What a shell happens to have is not meant for us in the first place."""
        self.assertEqual(self.proxy(f"https_proxy: {PROXY}", HTTPS_PROXY=OTHER), PROXY)

    def test_the_flag_wins_over_all(self) -> None:
        found = self.proxy(f"https_proxy: {OTHER}", flag=PROXY, AIBRIDGE_HTTPS_PROXY=OTHER)

        self.assertEqual(found, PROXY)

    def test_the_file_can_turn_off_what_the_shell_has(self) -> None:
        self.assertEqual(self.proxy('https_proxy: ""', HTTPS_PROXY=PROXY), "")

    def test_a_proxy_for_http_is_none_for_us(self) -> None:
        self.assertEqual(self.proxy(HTTP_PROXY=PROXY, http_proxy=PROXY), "")

    def test_tls_to_the_proxy_itself_is_not_spoken(self) -> None:
        self.assertIn(
            'https_proxy: only http:// proxies can be used; https_proxy: "" ',
            self.refusal("https://proxy.example:3128"),
        )

    def test_another_kind_of_proxy_is_refused(self) -> None:
        self.assertIn("only http:// proxies", self.refusal("socks5://proxy.example:1080"))

    def test_another_kind_in_the_environment_does_no_harm_where_it_is_overruled(self) -> None:
        """The sentence of the refusal says how."""
        kinds = {"HTTPS_PROXY": "socks5://a.example:1080", "https_proxy": "https://b.example"}

        self.assertEqual(self.proxy('https_proxy: ""', **kinds), "")
        self.assertEqual(self.proxy(AIBRIDGE_HTTPS_PROXY="", **kinds), "")
        self.assertEqual(self.proxy(flag="", **kinds), "")
        self.assertEqual(self.proxy(flag=PROXY, **kinds), PROXY)

    def test_the_second_of_everybodys_variables_does_no_harm_beside_the_first(self) -> None:
        self.assertEqual(self.proxy(HTTPS_PROXY=PROXY, https_proxy="socks5://b.example"), PROXY)

    def test_a_scheme_in_capitals_is_the_same(self) -> None:
        self.assertEqual(self.proxy(HTTPS_PROXY="HTTP://a.example:1"), "HTTP://a.example:1")

    def test_a_path_is_refused(self) -> None:
        self.assertIn("must be a proxy's address", self.refusal(f"{PROXY}/proxy.pac"))

    def test_nothing_but_a_scheme_is_refused(self) -> None:
        self.assertIn("must be a proxy's address", self.refusal("http://"))

    def test_what_is_refused_says_where_it_came_from(self) -> None:
        self.assertTrue(self.refusal("http://").endswith("(environment HTTPS_PROXY)"))

    def test_a_password_in_what_is_refused_is_not_repeated(self) -> None:
        refusal = self.refusal("socks5://ada:hunter2@proxy.example:1080")

        self.assertNotIn("hunter2", refusal)

    def test_a_list_is_no_address(self) -> None:
        self.assert_problem(
            "https_proxy: must be a proxy address, not a list", self.problems("https_proxy: [a]")
        )

    def test_a_password_in_a_flag_is_warned_of(self) -> None:
        """Every user of the machine can see it."""
        warnings = self.warnings(flags={"https-proxy": "http://ada:hunter2@proxy.example:3128"})

        self.assertIn("https_proxy: every user of this machine can see a flag", warnings)
        self.assertNotIn("hunter2", warnings)

    def test_a_flag_without_a_password_is_not(self) -> None:
        self.assertEqual(self.warnings(flags={"https-proxy": PROXY}), "")


class NoProxyTests(ConfigCase):
    def named(
        self, text: str | None = None, flag: str | None = None, **environ: str
    ) -> tuple[str, ...]:
        flags = {"no-proxy": flag} if flag is not None else {}
        return self.load(text, flags=flags, environ=environ)[options.NO_PROXY]

    def test_in_the_file_as_a_list(self) -> None:
        self.assertEqual(
            self.named("no_proxy: [localhost, .example.com, 10.0.0.0/8]"),
            ("localhost", ".example.com", "10.0.0.0/8"),
        )

    def test_in_the_file_as_a_text(self) -> None:
        self.assertEqual(self.named("no_proxy: localhost, a.example"), ("localhost", "a.example"))

    def test_by_the_variable_that_everybody_knows(self) -> None:
        self.assertEqual(self.named(NO_PROXY="localhost,.a.example"), ("localhost", ".a.example"))

    def test_by_the_same_in_lower_case(self) -> None:
        self.assertEqual(self.named(no_proxy="localhost"), ("localhost",))

    def test_by_our_own_variable(self) -> None:
        self.assertEqual(self.named(AIBRIDGE_NO_PROXY="a", NO_PROXY="b"), ("a",))

    def test_by_a_flag(self) -> None:
        self.assertEqual(self.named(flag="localhost,127.0.0.1"), ("localhost", "127.0.0.1"))

    def test_everything(self) -> None:
        self.assertEqual(self.named(NO_PROXY="*"), ("*",))

    def test_every_form_of_the_page_is_taken(self) -> None:
        words = (
            "localhost", ".example.com", "*.example.com", "a_b.example.", "a.example:443",
            "10.0.0.0/8", "10.0.0.1/8", "127.0.0.1", "10.0.0.1:80",
            "::1", "[::1]", "[fd00::1]:8443", "fd00::/8",
        )  # fmt: skip

        self.assertEqual(self.named(flag=",".join(words)), words)

    def test_what_names_nothing_is_refused(self) -> None:
        """It would be reached through the proxy, and nobody would know why."""
        for word in ("http://foo", "10.0.0.0/99", "a.example/8", "10.0.0.300", "<local>", "a:b"):
            (problem,) = self.problems(flags={"no-proxy": f"localhost,{word}"})

            self.assertTrue(problem.startswith(f"no_proxy: {word} is no host"), problem)

    def test_a_password_in_what_is_refused_is_not_repeated(self) -> None:
        (problem,) = self.problems("no_proxy: 'http://ada:hunter2@a.example'")

        self.assertNotIn("hunter2", problem)

    def test_in_everybodys_variable_it_is_only_warned_of(self) -> None:
        """That is not for us alone; without a proxy it says nothing at all."""
        environ = {"NO_PROXY": "localhost http://foo"}

        self.assertEqual(self.warnings(environ=environ), "")
        self.assertIn(
            "no_proxy: http://foo is no host",
            self.warnings(environ={**environ, "HTTPS_PROXY": PROXY}),
        )

    def test_numbers_are_no_hosts(self) -> None:
        self.assert_problem(
            "no_proxy: must be a list of texts", self.problems("no_proxy: [localhost, 10]")
        )


class CaFileTests(ConfigCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority.root()
        self.path = self.directory / "ca.pem"
        self.path.write_bytes(self.authority.certificate_pem)

    def problem(self, content: bytes) -> str:
        self.path.write_bytes(content)
        (problem,) = self.problems(f"ca_file: {self.path}")
        return problem

    def test_in_the_file(self) -> None:
        found = self.load(f"ca_file: {self.path}")[options.CA_FILE]

        self.assertEqual(found, str(self.path))

    def test_by_a_variable(self) -> None:
        found = self.load(environ={"AIBRIDGE_CA_FILE": str(self.path)})[options.CA_FILE]

        self.assertEqual(found, str(self.path))

    def test_by_a_flag(self) -> None:
        found = self.load(flags={"ca-file": str(self.path)})[options.CA_FILE]

        self.assertEqual(found, str(self.path))

    def test_a_missing_file(self) -> None:
        self.path.unlink()

        self.assert_problem(
            "ca_file: names the file ca.pem, which cannot be read: No such file or directory",
            self.problems(f"ca_file: {self.path}"),
        )

    def test_an_empty_file(self) -> None:
        self.assertTrue(
            self.problem(b"").startswith(
                "ca_file: names the file ca.pem, which holds no certificate (PEM)"
            )
        )

    def test_a_damaged_file(self) -> None:
        self.assertTrue(
            self.problem(self.authority.certificate_pem[:200]).startswith(
                "ca_file: names the file ca.pem, in which a certificate is damaged"
            )
        )

    def test_a_key_alone(self) -> None:
        self.assertTrue(
            self.problem(self.authority.key_pem).startswith(
                "ca_file: names the file ca.pem, which holds no certificate (PEM)"
            )
        )


class TrustedProxiesTests(ConfigCase):
    def test_in_the_file_as_a_list(self) -> None:
        found = self.load("trusted_proxies: [10.0.0.0/8, '2001:db8::1']")[options.TRUSTED_PROXIES]

        self.assertEqual(found, (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128")))

    def test_by_a_variable(self) -> None:
        found = self.load(environ={"AIBRIDGE_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2"})

        self.assertEqual(
            found[options.TRUSTED_PROXIES], (ip_network("10.0.0.1"), ip_network("10.0.0.2"))
        )

    def test_by_a_flag(self) -> None:
        found = self.load(flags={"trusted-proxies": "10.0.0.1/8"})[options.TRUSTED_PROXIES]

        self.assertEqual(found, (ip_network("10.0.0.0/8"),))

    def test_a_name_is_no_address(self) -> None:
        self.assert_problem(
            "trusted_proxies: 'proxy.example' is not an IP address or network",
            self.problems("trusted_proxies: [10.0.0.1, proxy.example]"),
        )


class ListeningTests(ConfigCase):
    def test_tls_for_other_machines_needs_no_proxy_in_front(self) -> None:
        """It is what `behind_proxy` would otherwise have to promise."""
        key, certificate = Authority.root().issue("bridge.example").write(self.directory)

        warnings = self.warnings(f"listen: 'ssl:4443:privateKey={key}:certKey={certificate}'")

        self.assertEqual(warnings, "")


class ShownTests(CommandCase):
    ENVIRON = {  # noqa: RUF012 - never changed
        "HTTPS_PROXY": "http://ada:hunter2@proxy.example:3128",
        "NO_PROXY": "localhost,.example.com",
    }

    def test_the_proxys_password_is_masked(self) -> None:
        shown = self.call("config", "show", environ=self.ENVIRON).output

        self.assertRegex(
            shown, r"https_proxy +http://\*\*\*@proxy\.example:3128 +environment HTTPS_PROXY\n"
        )
        self.assertNotIn("hunter2", shown)

    def test_it_is_masked_for_programs_too(self) -> None:
        shown = self.call("config", "show", "--json", environ=self.ENVIRON).stdout

        found = json.loads(shown)["options"]
        self.assertEqual(found["https_proxy"]["value"], "http://***@proxy.example:3128")
        self.assertEqual(found["no_proxy"]["value"], ["localhost", ".example.com"])
        self.assertNotIn("hunter2", shown)

    def test_a_ca_file_that_cannot_be_used_ends_with_2(self) -> None:
        answer = self.call("config", "check", environ={"AIBRIDGE_CA_FILE": "/nowhere/ca.pem"})

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("ca_file: names the file /nowhere/ca.pem, which cannot be", answer.stderr)

    def test_a_proxy_that_cannot_be_used_ends_with_2(self) -> None:
        environ = {"HTTPS_PROXY": "https://ada:hunter2@proxy.example"}

        answer = self.call("config", "check", environ=environ)

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("https_proxy: only http:// proxies can be used", answer.stderr)
        self.assertNotIn("hunter2", answer.output)
