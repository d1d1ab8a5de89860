"""Settings that would let credentials travel unprotected are refused, unless meant."""

from __future__ import annotations

import socket

from twisted.internet.endpoints import _SystemdParser
from twisted.python.systemd import ListenFDs

from tests.config.support import ConfigCase

REMOTE = "postgresql://bridge:pw@db.example/aibridge"
ONLY_ANTHROPIC = "aibridge: {providers: [{name: anthropic, type: anthropic, base_url: '%s'%s}]}"


class ListeningTests(ConfigCase):
    def test_listening_to_all_without_tls_is_refused(self) -> None:
        """Tokens would be readable on the way."""
        self.assert_problem("listen: tcp:4001 can be reached", self.problems("listen: tcp:4001"))

    def test_listening_on_an_address_without_tls_is_refused(self) -> None:
        """An address of the network is no better than all."""
        self.assert_problem(
            "listen: tcp:4001:interface=10.0.0.1 can be",
            self.problems("listen: tcp:4001:interface=10.0.0.1"),
        )

    def test_one_of_several_is_enough_to_be_refused(self) -> None:
        """Each endpoint is looked at."""
        problems = self.problems("listen: ['tcp:1:interface=127.0.0.1', 'tcp6:2']")

        self.assert_problem("listen: tcp6:2 can be reached", problems)
        self.assertEqual(len(problems), 1)

    def test_a_socket_of_systemd_is_looked_at(self) -> None:
        """It is open to anybody."""
        opened = socket.create_server(("0.0.0.0", 0))
        self.addCleanup(opened.close)
        self.patch(_SystemdParser, "_sddaemon", ListenFDs([opened.fileno()], ("aibridge",)))
        self.assert_problem(
            "listen: systemd:domain=INET:index=0 can be",
            self.problems("listen: systemd:domain=INET:index=0"),
        )

    def test_behind_a_proxy_it_is_allowed(self) -> None:
        """The proxy speaks TLS."""
        self.assertEqual(self.warnings("{listen: 'tcp:4001', behind_proxy: true}"), "")

    def test_insecure_allows_it_with_a_warning(self) -> None:
        """Who means it can; the log says so at every start."""
        self.assertIn(
            "allowed by insecure: listen: tcp:4001",
            self.warnings("{listen: 'tcp:4001', insecure: true}"),
        )

    def test_a_unix_socket_is_allowed(self) -> None:
        """It does not leave the machine."""
        self.assertEqual(self.warnings("listen: unix:/run/aibridge.sock"), "")

    def test_loopback_of_version_6_is_allowed(self) -> None:
        """So does ::1."""
        self.assertEqual(self.warnings(r"listen: 'tcp6:4001:interface=\:\:1'"), "")


class DemoTests(ConfigCase):
    PROVIDERS = "aibridge: {providers: [{name: demo, type: demo}]}"

    def test_a_demo_that_others_can_reach_is_refused(self) -> None:
        """It is for one's own machine; a proxy in front does not change that."""
        problems = self.problems(f"listen: tcp:4001\nbehind_proxy: true\n{self.PROVIDERS}")

        self.assert_problem("aibridge.providers[0]: is of the type demo", problems)
        self.assertEqual(len(problems), 1)

    def test_a_demo_on_loopback_is_allowed(self) -> None:
        """That is what it is for."""
        self.assertEqual(self.warnings(self.PROVIDERS), "")


class BaseUrlTests(ConfigCase):
    def test_plain_http_with_a_key_is_refused(self) -> None:
        """The organisation's key would be readable on the way."""
        problems = self.problems(ONLY_ANTHROPIC % ("http://broker.example", ", key: k"))

        self.assert_problem("aibridge.providers[0].base_url: would carry", problems)

    def test_plain_http_without_a_key_is_allowed(self) -> None:
        """A model server in the same rack may need none."""
        self.load(ONLY_ANTHROPIC % ("http://broker.example", ""))

    def test_plain_http_to_this_machine_is_allowed(self) -> None:
        """Loopback is not on the way of anybody."""
        self.load(ONLY_ANTHROPIC % ("http://127.0.0.1:8080", ", key: k"))

    def test_plain_http_to_localhost_is_allowed(self) -> None:
        """By name too."""
        self.load(ONLY_ANTHROPIC % ("http://localhost:8080", ", key: k"))

    def test_a_name_that_begins_like_loopback_is_refused(self) -> None:
        """localhost.example is somebody else's machine."""
        problems = self.problems(ONLY_ANTHROPIC % ("http://127.0.0.1.example", ", key: k"))

        self.assert_problem("aibridge.providers[0].base_url: would carry", problems)

    def test_a_password_in_the_address_is_refused(self) -> None:
        """Addresses are shown in many places."""
        problems = self.problems(ONLY_ANTHROPIC % ("https://user:pw@broker.example", ""))

        self.assert_problem("aibridge.providers[0].base_url: holds a user name", problems)

    def test_an_established_option_is_looked_at_too(self) -> None:
        """A provider by environment alone is no exception."""
        problems = self.problems(
            environ={
                "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": "http://broker.example",
                "CODER_AIBRIDGE_ANTHROPIC_KEY": "k",
            }
        )

        self.assert_problem("aibridge.anthropic_base_url: would carry", problems)

    def test_insecure_allows_plain_http_with_a_warning(self) -> None:
        """Who means it can."""
        text = "insecure: true\n" + ONLY_ANTHROPIC % ("http://broker.example", ", key: k")

        self.assertIn("would carry the provider's key", self.warnings(text))


class DatabaseTests(ConfigCase):
    def refused(self, address: str, environ: dict[str, str] | None = None) -> list[str]:
        return self.problems(environ={"AIBRIDGE_DATABASE": address, **(environ or {})})

    def allowed(self, address: str, environ: dict[str, str] | None = None) -> None:
        self.load(environ={"AIBRIDGE_DATABASE": address, **(environ or {})})

    def test_a_remote_database_without_tls_is_refused(self) -> None:
        """Every prompt would be readable on the way."""
        self.assert_problem("database: is on another machine", self.refused(REMOTE))

    def test_preferring_tls_is_not_enough(self) -> None:
        """`prefer` gives way to whoever is in the middle."""
        self.assert_problem("database: is on", self.refused(f"{REMOTE}?sslmode=prefer"))

    def test_a_second_host_that_is_remote_is_refused(self) -> None:
        """All hosts are looked at."""
        address = "postgresql://u@localhost,db.example/x"

        self.assert_problem("database: is on", self.refused(address))

    def test_a_host_in_the_query_is_looked_at(self) -> None:
        """It counts more than the one in front, so it is the one to look at."""
        address = "postgresql://u@localhost/x?host=db.example"

        self.assert_problem("database: is on", self.refused(address))

    def test_a_numeric_host_in_the_query_is_looked_at(self) -> None:
        """hostaddr is where the connection goes."""
        address = "postgresql://u@localhost/x?hostaddr=10.0.0.1"

        self.assert_problem("database: is on", self.refused(address))

    def test_a_host_from_the_environment_is_looked_at(self) -> None:
        """PostgreSQL's library takes it from there."""
        self.assert_problem(
            "database: is on", self.refused("postgresql:///x", {"PGHOST": "db.example"})
        )

    def test_requiring_tls_is_allowed(self) -> None:
        """As managed databases do it."""
        self.allowed(f"{REMOTE}?sslmode=require")

    def test_requiring_tls_by_environment_is_allowed(self) -> None:
        """PostgreSQL's own variable counts."""
        self.allowed(REMOTE, {"PGSSLMODE": "verify-full"})

    def test_a_local_socket_is_allowed(self) -> None:
        """It does not leave the machine."""
        self.allowed("postgresql://%2Fvar%2Frun%2Fpostgresql/x")

    def test_no_host_is_allowed(self) -> None:
        """It is the local socket."""
        self.allowed("postgresql:///x")

    def test_loopback_is_allowed(self) -> None:
        """It does not leave the machine."""
        self.allowed("postgresql://u:p@127.0.0.1:5433/x")

    def test_an_unreadable_address_is_refused_without_repeating_it(self) -> None:
        """A % in a password has to be escaped; the password is not shown."""
        problems = self.refused("postgresql://u:hunter2%zz@localhost/x")

        self.assert_problem("database: is not an address that PostgreSQL understands", problems)
        self.assertNotIn("hunter2", problems[0])
