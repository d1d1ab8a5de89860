"""The nasty upstream and the raw client do to each other what they promise."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.support.fakes import (
    CONNECT,
    LAST_CHUNK,
    Close,
    FakeUpstream,
    Hold,
    Reset,
    Script,
    Send,
    Trickle,
    answer,
    chunk,
    stream_head,
)
from tests.support.rawclient import CLEAN, RESET, TRUNCATED, RawClient, raw_request


class LoopbackTests(TestCase):
    timeout = 20

    async def connected(self, script: Script, *, begin: str = "body") -> RawClient:
        self.upstream = upstream = FakeUpstream(reactor, script, begin=begin)
        port = await upstream.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(upstream.stop()))
        client = await RawClient.to(reactor, port)
        self.addCleanup(client.transport.abortConnection)
        return client

    async def test_request_arrives_as_it_was_sent_and_the_connection_serves_again(self) -> None:
        client = await self.connected([Send(answer(b"{}"))])

        client.send(raw_request(b"POST", b"/a%2fb?x=1", b"body", [(b"X-Odd", b"1")]))
        first = await client.response()
        client.send(raw_request(b"GET", b"/"))
        second = await client.response()

        self.assertEqual((first.body, first.end, second.end), (b"{}", CLEAN, CLEAN))
        received = self.upstream.requests[0]
        self.assertEqual((received.target, received.body), (b"/a%2fb?x=1", b"body"))
        self.assertEqual(received.header(b"x-odd"), b"1")
        self.assertEqual(self.upstream.connections, 1)

    async def test_chunked_request_is_received_without_its_framing(self) -> None:
        client = await self.connected([Send(answer(b"{}"))])

        client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"3\r\nabc\r\n" + b"2\r\nde\r\n" + b"0\r\n\r\n")
        await client.response()

        self.assertEqual(self.upstream.requests[0].body, b"abcde")

    async def test_stream_cut_anywhere_is_read_as_it_was_chunked(self) -> None:
        whole = stream_head() + chunk(b"one") + chunk(b"two") + LAST_CHUNK
        client = await self.connected([Send(whole, cuts=range(1, len(whole)))])

        client.send(raw_request(b"GET", b"/"))
        response = await client.response()

        self.assertEqual((response.chunks, response.end), ([b"one", b"two"], CLEAN))

    async def test_trickle_arrives_in_the_end(self) -> None:
        client = await self.connected([Trickle(answer(b"{}"), 0.0)])

        client.send(raw_request(b"GET", b"/"))

        self.assertEqual((await client.response()).body, b"{}")

    async def test_reset_and_close_in_mid_stream_are_told_apart(self) -> None:
        scripts = {
            TRUNCATED: [Send(stream_head() + chunk(b"one")), Close()],
            RESET: [Send(stream_head() + chunk(b"one")), Reset()],
        }

        ends = {}
        for name, script in scripts.items():
            client = await self.connected(script)
            client.send(raw_request(b"GET", b"/"))
            ends[name] = (await client.response()).end

        self.assertEqual(ends, {TRUNCATED: TRUNCATED, RESET: RESET})

    async def test_reset_at_the_connection_comes_before_any_request(self) -> None:
        client = await self.connected([Reset()], begin=CONNECT)

        self.assertEqual(await client.ended(), "reset")

    async def test_hold_waits_for_its_release_and_a_client_that_leaves_is_noticed(self) -> None:
        client = await self.connected([Send(stream_head() + chunk(b"one")), Hold(), Close()])

        client.send(raw_request(b"GET", b"/"))
        begun = await client.begun(b"one")
        open_then = self.upstream.open_connections
        await client.reset()
        await self.upstream.left()

        self.assertEqual((begun.chunks, open_then), ([b"one"], 1))
        self.assertEqual(self.upstream.open_connections, 0)
