"""What endpoint descriptions say about who can connect."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet.endpoints import _SystemdParser
from twisted.python.systemd import ListenFDs

from bridge.config.listening import Listener, is_loopback, listener_from
from tests.support.cases import BridgeTestCase
from tests.support.certificates import self_signed


class ListenerTests(BridgeTestCase):
    def assert_listener(self, description: str, **expected: object) -> Listener:
        found = listener_from(description)
        self.assertEqual({name: getattr(found, name) for name in expected}, expected)
        return found

    def refusal(self, description: str) -> str:
        return str(self.assertRaises(ValueError, listener_from, description))

    def test_a_port_of_all_addresses(self) -> None:
        """Everybody can connect."""
        self.assert_listener("tcp:4001", kind="tcp", port=4001, interface="", local=False)

    def test_a_port_of_loopback(self) -> None:
        """Only this machine can."""
        self.assert_listener("tcp:4001:interface=127.0.0.1", port=4001, local=True, tls=False)

    def test_a_port_by_keyword(self) -> None:
        """Twisted takes it so too."""
        self.assert_listener("tcp:port=4001", port=4001)

    def test_escaped_colons(self) -> None:
        """Addresses of version 6 have them."""
        self.assert_listener(r"tcp6:4001:interface=\:\:1", interface="::1", local=True)

    def test_a_socket_file(self) -> None:
        """It has no port."""
        self.assert_listener("unix:/run/bridge.sock", port=None, local=True)

    def test_the_proxy_protocol_is_looked_through(self) -> None:
        """What it wraps is what listens."""
        self.assert_listener("haproxy:tcp:4001", kind="tcp", port=4001, local=False)

    def test_an_unknown_kind_is_refused(self) -> None:
        """With an example."""
        self.assertIn("write for example tcp:4001", self.refusal("http:4001"))

    def test_a_port_alone_is_refused(self) -> None:
        """A number is no description."""
        self.assertIn("is not a Twisted endpoint description", self.refusal("4001"))

    def test_nothing_is_refused(self) -> None:
        """Nor is nothing."""
        self.assertIn("is not a Twisted endpoint description", self.refusal(""))

    def test_a_mistyped_keyword_is_refused(self) -> None:
        """It would listen on all addresses otherwise."""
        self.assertIn("interfce", self.refusal("tcp:4001:interfce=127.0.0.1"))

    def test_a_key_of_another_certificate_is_refused(self) -> None:
        """In a sentence, before the start."""
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "other").mkdir()
        certificate, _ = self_signed("localhost").write(directory)
        _, key = self_signed("localhost").write(directory / "other")

        said = self.refusal(f"ssl:4001:privateKey={key}:certKey={certificate}")

        self.assertIn("that do not belong together", said)

    def test_a_port_out_of_range_is_refused(self) -> None:
        """Before the start."""
        self.assertIn("ports end at 65535", self.refusal("tcp:70000"))

    def test_a_certificate_that_is_missing_is_refused(self) -> None:
        """With its name."""
        self.assertIn("/nowhere/key.pem", self.refusal("ssl:443:privateKey=/nowhere/key.pem"))

    def test_a_certificate_that_is_none_is_refused(self) -> None:
        """Before the start, in a sentence."""
        path = self.temporary_directory() / "key.pem"
        path.write_text("nonsense", "utf-8")

        self.assertIn("PEM", self.refusal(f"ssl:443:privateKey={path}"))


class InheritedTests(BridgeTestCase):
    """Sockets that somebody else has opened are looked at, where they are."""

    def open(self, host: str) -> int:
        opened = socket.create_server((host, 0))
        self.addCleanup(opened.close)
        return opened.fileno()

    def listener(self, *descriptors: int, index: int = 0) -> Listener:
        """Return what is read where systemd has handed over `descriptors`."""
        names = tuple(f"socket {each}" for each in descriptors)
        self.patch(_SystemdParser, "_sddaemon", ListenFDs(descriptors, names))
        return listener_from(f"systemd:domain=INET:index={index}")

    def test_for_this_machine_only(self) -> None:
        self.assertTrue(self.listener(self.open("127.0.0.1")).local)

    def test_for_all(self) -> None:
        self.assertFalse(self.listener(self.open("0.0.0.0")).local)

    def test_each_by_its_number(self) -> None:
        both = (self.open("0.0.0.0"), self.open("127.0.0.1"))
        self.assertFalse(self.listener(*both).local)
        self.assertTrue(self.listener(*both, index=1).local)

    def test_one_that_was_not_handed_over(self) -> None:
        """As in `aibridge config check`: whoever has it looks at it."""
        self.assertTrue(self.listener().local)
        self.assertTrue(listener_from("systemd:domain=INET:index=x").local)


class LoopbackTests(BridgeTestCase):
    def test_loopback_by_name_and_address(self) -> None:
        """All of 127/8 and ::1."""
        names = ("localhost", "LOCALHOST.", "127.0.0.1", "127.8.8.8", "::1", "[::1]", "a.localhost")

        self.assertEqual([name for name in names if not is_loopback(name)], [])

    def test_others_are_not(self) -> None:
        """However alike they look."""
        names = ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "127.1")

        self.assertEqual([name for name in names if is_loopback(name)], [])
