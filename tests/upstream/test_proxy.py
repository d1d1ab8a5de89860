"""Providers behind a company's proxy: what it sees, what it must not, and each way to fail."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from bridge.domain.errors import UpstreamTimedOut, UpstreamUnreachable
from bridge.upstream.client import Response
from tests.support.certificates import Authority
from tests.support.fakes import (
    CONNECT,
    LAST_CHUNK,
    Close,
    Hold,
    Reset,
    Send,
    Step,
    answer,
    chunk,
    stream_head,
    unused_port,
)
from tests.support.proxies import OPENED, NetworkCase, outgoing, read

HOST = "api.provider.example"
ORIGIN = f"https://{HOST}:8443"
"""Nobody can look it up: only the proxy knows the way."""
UNREACHABLE = "The provider cannot be reached, or broke off before it answered."


class TunnelTests(NetworkCase):
    async def start(self, *steps: Step, origin: str = ORIGIN, host: str = HOST) -> None:
        """Start an upstream called `host`, a proxy in front of it, and a client."""
        authority = Authority.root()
        await self.serve(steps or [Send(answer(b"{}"))], authority.issue(host))
        self.proxy = await self.start_proxy()
        self.client = self.new_client(origin, trusting=[authority], proxy=self.proxy.url)

    async def test_a_request_arrives_as_it_is_without_a_proxy(self) -> None:
        await self.start()

        body = await self.ask(
            self.client, content=b"a prompt", headers=[(b"authorization", b"Bearer a-key")]
        )

        (received,) = self.upstream.requests
        self.assertEqual(body, b"{}")
        self.assertEqual(received.line, b"POST /v1/x HTTP/1.1")
        self.assertEqual(received.body, b"a prompt")
        self.assertEqual(received.header(b"host"), b"api.provider.example:8443")
        self.assertEqual(received.header(b"authorization"), b"Bearer a-key")

    async def test_the_proxy_is_told_where_to_and_nothing_else(self) -> None:
        await self.start()

        await self.ask(
            self.client, content=b"a prompt", headers=[(b"authorization", b"Bearer a-key")]
        )

        host = b"api.provider.example:8443"
        self.assertEqual(self.proxy.asked, [b"CONNECT %b HTTP/1.1\r\nHost: %b" % (host, host)])
        self.assertTrue(self.proxy.sent)
        readable = [each for each in (b"a prompt", b"a-key", b"/v1/x") if each in self.proxy.sent]
        self.assertEqual(readable, [])

    async def test_tls_names_the_provider_and_not_the_proxy(self) -> None:
        await self.start()

        await self.ask(self.client)

        assert self.listening is not None
        self.assertEqual(self.listening.server_names, [HOST.encode()])

    async def test_a_stream_comes_in_pieces(self) -> None:
        """Each of them before the next is sent."""
        pieces = [b"event: one\n\n", b"event: two\n\n", b"event: three\n\n"]
        steps: list[Step] = [Send(stream_head())]
        for each in pieces:
            steps += [Send(chunk(each)), Hold()]
        await self.start(*steps, Send(LAST_CHUNK))

        reading = read(await self.client.send(outgoing()))
        for each in pieces:
            await reading.until(each)
            self.upstream.release()

        self.assertEqual(await reading.whole, b"".join(pieces))

    async def test_a_large_body_comes_through_in_both_directions(self) -> None:
        large = bytes(range(256)) * 2048
        await self.start(Send(answer(large)))

        body = await self.ask(self.client, content=large)

        self.assertEqual(body, large)
        self.assertEqual(self.upstream.requests[0].body, large)

    async def test_a_tunnel_is_kept_for_the_next_request(self) -> None:
        await self.start()

        await self.ask(self.client)
        await self.ask(self.client)

        self.assertEqual([each.connection for each in self.upstream.requests], [0, 0])
        self.assertEqual(len(self.proxy.asked), 1)

    async def test_requests_at_a_time_have_a_tunnel_each(self) -> None:
        await self.start(Hold(), Send(answer(b"{}")))

        sending = [Deferred.fromCoroutine(self.ask(self.client)) for _ in range(3)]
        await self.upstream.requested(3)
        await deferLater(reactor, 0)  # the third holds a turn later
        self.upstream.release()
        for each in sending:
            await each

        self.assertEqual(len(self.proxy.asked), 3)

    async def test_a_kept_tunnel_that_is_dead_is_replaced(self) -> None:
        await self.start()
        self.upstream.script = lambda received: (
            [Reset()] if len(self.upstream.requests) == 2 else [Send(answer(b"{}"))]
        )

        await self.ask(self.client)
        await self.ask(self.client)

        self.assertEqual([each.connection for each in self.upstream.requests], [0, 0, 1])
        self.assertEqual(len(self.proxy.asked), 2)

    async def test_a_client_that_is_closed_closes_its_tunnels(self) -> None:
        await self.start()
        await self.ask(self.client)

        await self.client.close()

        await self.proxy.until(lambda: self.proxy.closed == 1)

    async def test_the_provider_closing_closes_the_tunnel(self) -> None:
        await self.start(Send(answer(b"{}", headers=[(b"Connection", b"close")])), Close())

        await self.ask(self.client)

        await self.proxy.until(lambda: self.proxy.closed == 1)

    async def test_an_ipv6_address_is_asked_for_in_brackets(self) -> None:
        await self.start(origin="https://[2001:db8::1]:8443", host="2001:db8::1")

        await self.ask(self.client)

        self.assertTrue(self.proxy.asked[0].startswith(b"CONNECT [2001:db8::1]:8443 HTTP/1.1"))

    async def test_the_port_of_https_is_written_out(self) -> None:
        """Proxies refuse a CONNECT without one."""
        await self.start(origin=f"https://{HOST}")

        await self.ask(self.client)

        self.assertTrue(self.proxy.asked[0].startswith(b"CONNECT api.provider.example:443 HTTP"))
        self.assertEqual(self.upstream.requests[0].header(b"host"), HOST.encode())

    async def test_a_proxy_may_say_more_than_200(self) -> None:
        await self.start()
        self.proxy.opened = b"HTTP/1.0 299 As you like\r\nVia: 1.1 a\r\nContent-Length: 9\r\n\r\n"

        self.assertEqual(await self.ask(self.client), b"{}")

    async def test_the_certificate_is_looked_at_inside_the_tunnel(self) -> None:
        """A proxy that puts itself in between is noticed."""
        await self.start()
        stranger = self.new_client(ORIGIN, proxy=self.proxy.url)

        _, reason = await self.refused(stranger, UpstreamUnreachable)

        self.assertIn("The certificate shown by api.provider.example", reason)
        self.assertEqual(self.upstream.requests, [])

    async def test_what_is_named_in_no_proxy_is_reached_without_it(self) -> None:
        authority = Authority.root()
        await self.serve([Send(answer(b"direct"))], authority.issue("localhost"))
        proxy = await self.start_proxy()
        client = self.new_client(
            f"https://localhost:{self.upstream.port}",
            trusting=[authority],
            proxy=proxy.url,
            bypass=["localhost"],
        )

        body = await self.ask(client)

        self.assertEqual(body, b"direct")
        self.assertEqual(proxy.asked, [])

    async def test_plain_http_is_spoken_without_it(self) -> None:
        """HTTPS_PROXY is for https; a model server on the next machine is reached directly."""
        await self.serve([Send(answer(b"plain"))])
        proxy = await self.start_proxy()

        body = await self.ask(self.new_client(self.upstream.url, proxy=proxy.url))

        self.assertEqual(body, b"plain")
        self.assertEqual(proxy.asked, [])


class AuthorizationTests(NetworkCase):
    async def asked(self, account: str) -> bytes:
        """Return the CONNECT of a client whose proxy has this `user:password@` before its host."""
        authority = Authority.root()
        await self.serve([Send(answer(b"{}"))], authority.issue(HOST))
        proxy = await self.start_proxy()
        url = proxy.url.replace("://", f"://{account}")
        await self.ask(self.new_client(ORIGIN, trusting=[authority], proxy=url))
        return proxy.asked[0].split(b"\r\n", 2)[-1]

    async def test_user_and_password_are_decoded_and_sent(self) -> None:
        sent = await self.asked("us%40er:p%3A%2Fw%C3%A9@")

        account = b64encode("us@er:p:/wé".encode())
        self.assertEqual(sent, b"Proxy-Authorization: Basic " + account)

    async def test_a_user_without_a_password(self) -> None:
        sent = await self.asked("ada@")

        self.assertEqual(sent, b"Proxy-Authorization: Basic " + b64encode(b"ada:"))

    async def test_nothing_is_sent_to_a_proxy_that_wants_nothing(self) -> None:
        self.assertNotIn(b"Authorization", await self.asked(""))

    async def test_the_provider_does_not_get_it(self) -> None:
        await self.asked("ada:hunter2@")

        (received,) = self.upstream.requests
        self.assertNotIn(b"proxy-", received.head.lower())

    async def test_nothing_logged_shows_it(self) -> None:
        """Nor does the reason of a failure, which is logged."""
        proxy = await self.start_bad_proxy([Send(b"HTTP/1.1 407 Who are you?\r\n\r\n")])
        url = proxy.url.replace("://", "://ada:hunter2@")

        with capture_logs() as entries, capturedLogs() as events:
            said = await self.refused(self.new_client(ORIGIN, proxy=url), UpstreamUnreachable)

        everything = repr((said, entries, [*map(formatEvent, events)], events))
        self.assertNotIn("hunter2", everything)
        self.assertNotIn(b64encode(b"ada:hunter2").decode(), everything)


class BadProxyTests(NetworkCase):
    async def refusal(self, *steps: Step, **options: Any) -> str:
        """Return the reason for the log; the client is told that there is no way, and no more."""
        proxy = await self.start_bad_proxy(steps, **options)

        message, reason = await self.refused(
            self.new_client(ORIGIN, proxy=proxy.url), UpstreamUnreachable
        )

        self.assertEqual(message, UNREACHABLE)
        await proxy.left()
        return reason

    async def test_a_proxy_that_wants_to_know_who_we_are(self) -> None:
        reason = await self.refusal(
            Send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nNo.")
        )

        self.assertEqual(reason, "ProxyRefused('The proxy answered 407 to CONNECT.')")

    async def test_a_proxy_that_forbids_the_host(self) -> None:
        reason = await self.refusal(Send(b"HTTP/1.1 403 Forbidden\r\n\r\n<html>"))

        self.assertIn("The proxy answered 403 to CONNECT.", reason)

    async def test_a_proxy_that_does_not_reach_the_host(self) -> None:
        reason = await self.refusal(Send(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), Close())

        self.assertIn("The proxy answered 502 to CONNECT.", reason)

    async def test_a_status_that_is_none(self) -> None:
        reason = await self.refusal(Send(b"HTTP/1.1 \x1b[2J\r\n\r\n"))

        self.assertIn("The proxy answered something that is no status to CONNECT.", reason)

    async def test_a_proxy_that_closes_at_once(self) -> None:
        reason = await self.refusal(Close(), begin=CONNECT)

        self.assertIn("The proxy closed the connection before it answered CONNECT.", reason)

    async def test_a_proxy_that_resets_instead_of_answering(self) -> None:
        reason = await self.refusal(Reset())

        self.assertIn("The proxy closed the connection before it answered CONNECT.", reason)

    async def test_a_proxy_that_closes_within_its_answer(self) -> None:
        reason = await self.refusal(Send(b"HTTP/1.1 200 Conn"), Close())

        self.assertIn("The proxy closed the connection before it answered CONNECT.", reason)

    async def test_what_is_no_proxy_is_noticed_at_once(self) -> None:
        """It need not end a header for that."""
        reason = await self.refusal(Send(b"SSH-2.0-OpenSSH_9.2\r\n"), Hold(), begin=CONNECT)

        self.assertIn("What answers at the proxy's address is no HTTP proxy.", reason)

    async def test_an_answer_without_end_is_not_kept(self) -> None:
        endless = b"HTTP/1.1 200 OK\r\n" + b"X-More: of the same\r\n" * 2000
        reason = await self.refusal(Send(endless, cuts=range(1000, 40_000, 1000)), Hold())

        self.assertIn("The proxy's answer to CONNECT has no end.", reason)

    async def test_bytes_behind_its_answer_are_not_taken_for_the_providers(self) -> None:
        reason = await self.refusal(Send(OPENED + b"\x15\x03\x01"), Hold())

        self.assertIn("The proxy sent bytes of its own into the tunnel.", reason)

    async def test_a_proxy_that_hangs_up_on_tls(self) -> None:
        reason = await self.refusal(Send(OPENED), Close())

        self.assertIn("was closed within the TLS handshake.", reason)

    async def test_what_is_not_tls_in_the_tunnel(self) -> None:
        await self.serve([Hold(), Send(b"HTTP/1.1 400 Bad Request\r\n\r\n")], begin=CONNECT)
        proxy = await self.start_proxy()
        client = self.new_client(ORIGIN, proxy=proxy.url)
        refused = Deferred.fromCoroutine(self.refused(client, UpstreamUnreachable))
        await proxy.until(lambda: bool(proxy.sent))

        self.upstream.release()

        _, reason = await refused
        self.assertIn("The TLS handshake with api.provider.example failed: ", reason)
        await proxy.until(lambda: proxy.closed == 1)

    async def test_a_proxy_that_is_not_there(self) -> None:
        client = self.new_client(ORIGIN, proxy=f"http://127.0.0.1:{unused_port()}")

        message, reason = await self.refused(client, UpstreamUnreachable)

        self.assertEqual(message, UNREACHABLE)
        self.assertIn("The proxy cannot be reached: ", reason)


class SilentProxyTests(NetworkCase):
    connect_seconds = 0.2

    async def assert_timed_out(self, *steps: Step, **options: Any) -> None:
        """The limit for connections fires, says its name, and the connection is closed."""
        proxy = await self.start_bad_proxy(steps, **options)

        message, _ = await self.refused(self.new_client(ORIGIN, proxy=proxy.url), UpstreamTimedOut)

        self.assertEqual(message, "No connection to the provider within 200ms (limits.connect).")
        await proxy.left()

    async def test_a_proxy_that_never_answers(self) -> None:
        await self.assert_timed_out(Hold())

    async def test_a_proxy_that_stops_within_its_answer(self) -> None:
        await self.assert_timed_out(Send(b"HTTP/1.1 200 Conn"), Hold())

    async def test_a_tunnel_in_which_nobody_speaks_tls(self) -> None:
        await self.assert_timed_out(Send(OPENED), Hold())


class LeavingTests(NetworkCase):
    """A client that leaves takes the connection with it."""

    def sending(self, proxy: str) -> Deferred[Response]:
        return Deferred.fromCoroutine(self.new_client(ORIGIN, proxy=proxy).send(outgoing()))

    async def assert_cancelled(self, sending: Deferred[Response]) -> None:
        sending.cancel()

        with self.assertRaises(CancelledError):
            await sending

    async def test_while_the_proxy_is_asked(self) -> None:
        proxy = await self.start_bad_proxy([Hold()])
        sending = self.sending(proxy.url)
        await proxy.requested()

        await self.assert_cancelled(sending)

        await proxy.left()

    async def test_within_the_handshake(self) -> None:
        await self.serve([Hold()], begin=CONNECT)
        proxy = await self.start_proxy()
        sending = self.sending(proxy.url)
        await proxy.until(lambda: bool(proxy.sent))

        await self.assert_cancelled(sending)

        await proxy.until(lambda: proxy.closed == 1)
