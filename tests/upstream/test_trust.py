"""Whom the bridge trusts: the system's authorities, a company's own, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred

from bridge.domain.errors import UpstreamTimedOut, UpstreamUnreachable
from bridge.upstream.client import UpstreamClient
from bridge.upstream.trust import certificates_in
from tests.support.cases import BridgeTestCase
from tests.support.certificates import Authority, Issued, self_signed
from tests.support.fakes import CONNECT, Close, Hold, Reset, Send, Step, Wait, answer, unused_port
from tests.support.proxies import NetworkCase, outgoing

UNREACHABLE = "The provider cannot be reached, or broke off before it answered."


class CertificatesInTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.temporary_directory() / "ca.pem"
        self.authority = Authority.root("The First")

    def names(self, content: bytes) -> list[str]:
        self.path.write_bytes(content)
        return [str(each.get_subject().CN) for each in certificates_in(self.path)]

    def refusal(self, content: bytes) -> str:
        self.path.write_bytes(content)
        return str(self.assertRaises(ValueError, certificates_in, self.path))

    def test_one_certificate(self) -> None:
        self.assertEqual(self.names(self.authority.certificate_pem), ["The First"])

    def test_several_with_remarks_between_them(self) -> None:
        """As bundles have them."""
        second = Authority.root("The Second")
        bundle = b"# First\n%b\n# Second\n%b" % (
            self.authority.certificate_pem,
            second.certificate_pem,
        )

        self.assertEqual(self.names(bundle), ["The First", "The Second"])

    def test_lines_may_end_as_on_windows(self) -> None:
        content = self.authority.certificate_pem.replace(b"\n", b"\r\n")

        self.assertEqual(self.names(content), ["The First"])

    def test_a_key_beside_a_certificate_is_passed_over(self) -> None:
        both = self.authority.key_pem + self.authority.certificate_pem

        self.assertEqual(self.names(both), ["The First"])

    def test_a_file_that_is_missing(self) -> None:
        refusal = str(self.assertRaises(ValueError, certificates_in, self.path))

        self.assertEqual(
            refusal,
            f"names the file {self.path}, which cannot be read: No such file or directory",
        )

    def test_a_directory(self) -> None:
        refusal = str(self.assertRaises(ValueError, certificates_in, self.path.parent))

        self.assertIn("which cannot be read: Is a directory", refusal)

    def test_an_empty_file(self) -> None:
        self.assertEqual(
            self.refusal(b""), f"names the file {self.path}, which holds no certificate (PEM)"
        )

    def test_a_key_alone(self) -> None:
        refusal = self.refusal(self.authority.key_pem)

        self.assertIn("holds no certificate (PEM)", refusal)
        self.assertNotIn("PRIVATE", refusal)

    def test_a_damaged_certificate(self) -> None:
        self.assertEqual(
            self.refusal(damaged(self.authority)),
            f"names the file {self.path}, in which a certificate is damaged",
        )

    def test_a_file_that_was_cut_off(self) -> None:
        self.assertIn("is damaged", self.refusal(self.authority.certificate_pem[:200]))

    def test_one_of_several_is_damaged(self) -> None:
        content = self.authority.certificate_pem + damaged(self.authority)

        self.assertIn("is damaged", self.refusal(content))

    def test_der_is_not_pem(self) -> None:
        self.assertIn("holds no certificate (PEM)", self.refusal(b"\x30\x82\x01\x0a\x02\x82"))


class TrustTests(NetworkCase):
    async def client_of(
        self, issued: Issued, *trusting: Issued, host: str = "localhost"
    ) -> UpstreamClient:
        """Start an upstream that shows `issued`, and return a client of it."""
        await self.serve([Send(answer(b"{}"))], issued)
        return self.new_client(f"https://{host}:{self.upstream.port}", trusting=trusting)

    async def assert_distrusted(self, client: UpstreamClient) -> str:
        """The client is told nothing, the provider nothing at all; return what the log says."""
        message, reason = await self.refused(client, UpstreamUnreachable)

        self.assertEqual(message, UNREACHABLE)
        self.assertEqual(self.upstream.requests, [])
        await self.upstream.left()
        return reason

    async def test_an_authority_that_is_named_is_trusted(self) -> None:
        authority = Authority.root()
        client = await self.client_of(authority.issue("localhost"), authority)

        self.assertEqual(await self.ask(client), b"{}")
        assert self.listening is not None
        self.assertEqual(self.listening.server_names, [b"localhost"])

    async def test_an_authority_that_nobody_named_is_not(self) -> None:
        client = await self.client_of(Authority.root().issue("localhost"))

        reason = await self.assert_distrusted(client)

        self.assertIn(
            "The certificate shown by localhost is issued by nobody that is trusted (ca_file)",
            reason,
        )

    async def test_another_authority_of_the_same_name_is_not(self) -> None:
        client = await self.client_of(Authority.root().issue("localhost"), Authority.root())

        self.assertIn("nobody that is trusted", await self.assert_distrusted(client))

    async def test_a_certificate_that_nobody_vouches_for_is_not(self) -> None:
        client = await self.client_of(self_signed("localhost"))

        self.assertIn("nobody that is trusted", await self.assert_distrusted(client))

    async def test_a_certificate_that_is_named_itself_is(self) -> None:
        issued = self_signed("localhost")

        self.assertEqual(await self.ask(await self.client_of(issued, issued)), b"{}")

    async def test_an_authority_below_a_trusted_root_is(self) -> None:
        root = Authority.root()
        client = await self.client_of(root.intermediate().issue("localhost"), root)

        self.assertEqual(await self.ask(client), b"{}")

    async def test_an_authority_whose_root_is_not_at_hand_is_when_named(self) -> None:
        """Companies give out what issues their certificates, and keep the root."""
        issuer = Authority.root().intermediate()
        client = await self.client_of(issuer.issue("localhost"), issuer)

        self.assertEqual(await self.ask(client), b"{}")

    async def test_a_certificate_for_another_host_is_not(self) -> None:
        authority = Authority.root()
        client = await self.client_of(authority.issue("elsewhere.example"), authority)

        reason = await self.assert_distrusted(client)

        self.assertIn("The certificate shown by localhost is for another host.", reason)

    async def test_a_certificate_for_a_name_is_none_for_its_address(self) -> None:
        authority = Authority.root()
        client = await self.client_of(authority.issue("localhost"), authority, host="127.0.0.1")

        self.assertIn("is for another host.", await self.assert_distrusted(client))

    async def test_a_certificate_for_an_address(self) -> None:
        authority = Authority.root()
        client = await self.client_of(authority.issue("127.0.0.1"), authority, host="127.0.0.1")

        self.assertEqual(await self.ask(client), b"{}")

    async def test_a_certificate_that_has_expired_is_not(self) -> None:
        authority = Authority.root()
        client = await self.client_of(authority.issue("localhost", expired=True), authority)

        reason = await self.assert_distrusted(client)

        self.assertIn("The certificate shown by localhost has expired.", reason)

    async def test_the_systems_authorities_stay_trusted(self) -> None:
        """Those that OpenSSL finds, wherever it is told to look."""
        system, own = Authority.root("The System's"), Authority.root()
        self.let_the_system_trust(system)

        by_system = await self.ask(await self.client_of(system.issue("localhost"), own))
        by_own = await self.ask(await self.client_of(own.issue("localhost"), own))

        self.assertEqual((by_system, by_own), (b"{}", b"{}"))

    async def test_a_connection_is_kept(self) -> None:
        """One handshake serves many requests."""
        authority = Authority.root()
        client = await self.client_of(authority.issue("localhost"), authority)

        for _ in range(3):
            await self.ask(client)

        self.assertEqual([each.connection for each in self.upstream.requests], [0, 0, 0])

    async def test_every_new_connection_trusts_the_same(self) -> None:
        authority = Authority.root()
        await self.serve(
            [Send(answer(b"{}", headers=[(b"Connection", b"close")])), Close()],
            authority.issue("localhost"),
        )
        client = self.new_client(f"https://localhost:{self.upstream.port}", trusting=[authority])

        for _ in range(3):
            await self.ask(client)

        self.assertEqual([each.connection for each in self.upstream.requests], [0, 1, 2])

    def let_the_system_trust(self, authority: Authority) -> None:
        """Have OpenSSL look for the system's authorities in a file that holds `authority`."""
        path = Path(self.mktemp())
        path.write_bytes(authority.certificate_pem)
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(path)

        def put_back() -> None:
            if before is None:
                del os.environ["SSL_CERT_FILE"]
            else:
                os.environ["SSL_CERT_FILE"] = before

        self.addCleanup(put_back)


class HandshakeTests(NetworkCase):
    async def reason(self, *steps: Step) -> str:
        """Return why no handshake came about with who does this when somebody connects."""
        await self.serve(steps, begin=CONNECT)
        client = self.new_client(f"https://localhost:{self.upstream.port}")

        message, reason = await self.refused(client, UpstreamUnreachable)

        self.assertEqual(message, UNREACHABLE)
        await self.upstream.left()
        return reason

    async def test_an_upstream_that_does_not_speak_tls(self) -> None:
        reason = await self.reason(Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))

        self.assertIn("The TLS handshake with localhost failed: ", reason)

    async def test_an_upstream_that_closes(self) -> None:
        reason = await self.reason(Close())

        self.assertIn("The connection to localhost was closed within the TLS handshake.", reason)

    async def test_an_upstream_that_resets(self) -> None:
        reason = await self.reason(Reset())

        self.assertIn("The connection to localhost was closed within the TLS handshake.", reason)

    async def test_an_upstream_that_is_not_there(self) -> None:
        client = self.new_client(f"https://localhost:{unused_port()}")

        _, reason = await self.refused(client, UpstreamUnreachable)

        self.assertIn("ConnectionRefused", reason)

    async def test_an_upstream_with_nothing_in_common(self) -> None:
        """What it says in its alert is for the operator."""
        authority = Authority.root()
        await self.serve([Send(answer(b"{}"))], authority.issue("localhost"))
        assert self.listening is not None
        self.listening.options.getContext().set_max_proto_version(SSL.TLS1_1_VERSION)
        client = self.new_client(f"https://localhost:{self.upstream.port}", trusting=[authority])

        _, reason = await self.refused(client, UpstreamUnreachable)

        self.assertIn("The TLS handshake with localhost failed: ", reason)

    async def test_a_client_that_leaves_within_it(self) -> None:
        await self.serve([Hold()], begin=CONNECT)
        client = self.new_client(f"https://localhost:{self.upstream.port}")
        sending = Deferred.fromCoroutine(client.send(outgoing()))
        await self.upstream.requested()

        sending.cancel()

        with self.assertRaises(CancelledError):
            await sending
        await self.upstream.left()


class SilentHandshakeTests(NetworkCase):
    connect_seconds = 0.2

    async def assert_timed_out(self, *steps: Step) -> None:
        """The limit for connections fires, says its name, and the connection is closed."""
        await self.serve(steps, begin=CONNECT)
        client = self.new_client(f"https://localhost:{self.upstream.port}")

        message, _ = await self.refused(client, UpstreamTimedOut)

        self.assertEqual(message, "No connection to the provider within 200ms (limits.connect).")
        await self.upstream.left()

    async def test_a_handshake_that_nobody_answers(self) -> None:
        await self.assert_timed_out(Hold())

    async def test_a_handshake_that_stops_in_the_middle(self) -> None:
        await self.assert_timed_out(Send(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"), Hold())

    async def test_the_limit_ends_with_the_handshake(self) -> None:
        """A provider may think about its answer for longer."""
        authority = Authority.root()
        steps: list[Step] = [Wait(self.connect_seconds * 1.5), Send(answer(b"{}"))]
        await self.serve(steps, authority.issue("localhost"))
        client = self.new_client(f"https://localhost:{self.upstream.port}", trusting=[authority])

        self.assertEqual(await self.ask(client), b"{}")


def damaged(authority: Authority) -> bytes:
    """Return a certificate of which a line was lost in copying."""
    lines = authority.certificate_pem.splitlines(keepends=True)
    return b"".join(lines[:2] + lines[3:])
