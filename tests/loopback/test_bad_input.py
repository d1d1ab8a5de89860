"""Bad input: a defined status in the caller's shape, and the connection goes on working."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

import zstandard

from bridge.domain.records import InterceptionEnded, InterceptionStarted
from bridge.web.site import SiteLimits
from tests.support.fakes import Send, answer
from tests.support.gateway import ASK, MANAGE_TOKEN, MIB, TOKEN, GatewayTestCase, request
from tests.support.rawclient import RawClient

DOCUMENT = (
    b'{"id":"msg_2","type":"message","role":"assistant","model":"claude-sonnet-5","content":[],'
    b'"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}'
)


class BadInputTestCase(GatewayTestCase):
    async def start_answering(self) -> RawClient:
        await self.start([Send(answer(DOCUMENT))])
        return await self.connect()

    def assert_error(self, response, status: int, kind: str) -> str:
        self.assertEqual(response.status, status, response.body)
        self.assertEqual(response.header(b"content-type"), b"application/json")
        told = json.loads(response.body)
        self.assertEqual(told["type"], "error")
        self.assertEqual(told["error"]["type"], kind)
        self.assertTrue(told["error"]["message"].endswith("."), told)
        self.assertIsNotNone(response.header(b"x-aibridge-request-id"))
        return str(told["error"]["message"])

    async def assert_next_works(self, client: RawClient) -> None:
        response = await self.ask(client=client)
        self.assertEqual((response.status, response.body), (200, DOCUMENT))


class BodyTests(BadInputTestCase):
    async def refused(self, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> str:
        client = await self.start_answering()
        response = await self.ask(body, headers=headers, client=client)
        message = self.assert_error(response, 400, "invalid_request_error")
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.journal.of(InterceptionStarted), [])
        self.assertEqual([r.status for r in self.journal.refusals], [400])
        await self.assert_next_works(client)
        return message

    async def passed(self, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        client = await self.start_answering()
        response = await self.ask(body, headers=headers, client=client)
        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].body, body)
        await self.assert_next_works(client)

    async def test_an_empty_body(self) -> None:
        await self.refused(b"")

    async def test_what_is_not_json(self) -> None:
        await self.refused(b"model=claude&prompt=hello")

    async def test_truncated_json(self) -> None:
        await self.refused(ASK[:-10])

    async def test_json_that_is_no_object(self) -> None:
        await self.refused(b'["model", "claude"]')

    async def test_nul_bytes_between_tokens(self) -> None:
        await self.refused(ASK.replace(b',"messages"', b',\x00"messages"'))

    async def test_bytes_that_are_not_utf_8(self) -> None:
        await self.refused(b'{"model":"\xff\xfe\xfa')

    async def test_wrongly_typed_members_pass_to_the_provider_who_knows_better(self) -> None:
        await self.passed(b'{"model":42,"max_tokens":"many","messages":{"role":[]},"stream":"yes"}')

    async def test_an_escaped_nul_in_the_prompt_passes(self) -> None:
        await self.passed(ASK.replace(b"Hello", b"Hel\\u0000lo"))
        self.assertTrue(self.journal.of(InterceptionEnded)[0].partially_observed)

    async def test_lone_surrogates_pass(self) -> None:
        await self.passed(ASK.replace(b"Hello", b"\\ud83d"))

    async def test_ten_thousand_levels_of_nesting_pass_and_mark_the_record(self) -> None:
        await self.passed(ASK[:-1] + b',"metadata":' + b"[" * 10_000 + b"]" * 10_000 + b"}")

    async def test_a_wrong_content_type_is_the_providers_business(self) -> None:
        client = await self.start_answering()
        client.send(
            request(b"").replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n", 1)
            + b"Content-Length: %d\r\n\r\n" % len(ASK)
            + ASK
        )

        response = await client.response()

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].header(b"content-type"), b"text/plain")

    async def test_a_body_in_chunks_arrives_whole(self) -> None:
        client = await self.start_answering()
        head = request(b"").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(head + b"5\r\n" + ASK[:5] + b"\r\n")
        client.send(b"%x\r\n" % len(ASK[5:]) + ASK[5:] + b"\r\n0\r\n\r\n")

        response = await client.response()

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].body, ASK)
        self.assertEqual(self.upstream.requests[0].header(b"content-length"), b"%d" % len(ASK))
        await self.assert_next_works(client)

    async def test_zstandard_is_read_and_forwarded_as_it_came(self) -> None:
        packed = zstandard.ZstdCompressor().compress(ASK)
        await self.passed(packed, [(b"content-encoding", b"zstd")])
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")
        self.assertEqual(self.upstream.requests[0].header(b"content-encoding"), b"zstd")

    async def test_gzip_is_read_and_forwarded_as_it_came(self) -> None:
        await self.passed(gzip.compress(ASK), [(b"content-encoding", b"gzip")])
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")

    async def test_a_bomb_is_refused_by_what_it_would_become(self) -> None:
        bomb = gzip.compress(b" " * (64 * MIB))
        client = await self.start_answering()

        response = await self.ask(bomb, headers=[(b"content-encoding", b"gzip")], client=client)

        self.assert_error(response, 413, "request_too_large")
        self.assertEqual(self.upstream.requests, [])

    async def test_a_damaged_encoding_is_refused(self) -> None:
        await self.refused(b"\x1f\x8b\x08garbage", [(b"content-encoding", b"gzip")])


class LengthTests(BadInputTestCase):
    async def test_a_length_over_the_limit_is_refused_before_the_body(self) -> None:
        client = await self.start_answering()
        client.send(request(b"").replace(b"\r\n\r\n", b"\r\nContent-Length: 34603008\r\n\r\n"))

        response = await client.response()

        self.assert_error(response, 413, "request_too_large")
        self.assertEqual(response.header(b"connection"), b"close")
        await client.ended()
        await self.assert_next_works(await self.connect())

    async def test_chunks_over_the_limit_are_refused_in_the_middle(self) -> None:
        client = await self.start_answering()
        client.send(request(b"").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        for _ in range(3):
            client.send(b"100000\r\n" + b"x" * MIB + b"\r\n")

        response = await client.response()

        self.assert_error(response, 413, "request_too_large")
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_expect_is_answered_before_the_body(self) -> None:
        client = await self.start_answering()
        head = request(b"").replace(
            b"\r\n\r\n", b"\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(ASK)
        )
        client.send(head)
        await client.until(lambda: client.reader._informational == [100])
        client.send(ASK)

        response = await client.response()

        self.assertEqual((response.status, response.informational), (200, [100]))
        self.assertIsNone(self.upstream.requests[0].header(b"expect"))

    async def test_expect_without_a_token_gets_the_refusal_and_no_continue(self) -> None:
        client = await self.start_answering()
        head = request(b"", token=None).replace(
            b"\r\n\r\n", b"\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
        )
        client.send(head)

        response = await client.response()

        self.assert_error(response, 401, "authentication_error")
        self.assertEqual(response.informational, [])

    async def test_two_lengths_are_refused(self) -> None:
        client = await self.start_answering()
        client.send(
            request(b"").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")
            + b"hello!"
        )

        response = await client.response()

        self.assertEqual(response.status, 400)
        self.assertEqual(self.upstream.requests, [])

    async def test_a_length_and_chunks_together_are_refused(self) -> None:
        client = await self.start_answering()
        client.send(
            request(b"").replace(
                b"\r\n\r\n", b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        )

        response = await client.response()

        self.assertEqual(response.status, 400)
        await client.ended()
        self.assertEqual(len(client.reader.responses), 1)
        self.assertEqual(self.upstream.requests, [])


class HeaderTests(BadInputTestCase):
    async def test_a_header_over_64_kib_is_refused(self) -> None:
        client = await self.start_answering()
        client.send(b"POST /anthropic/v1/messages HTTP/1.1\r\nX-Long: " + b"a" * 70_000)

        end = await client.ended()

        self.assertIn(end, ("closed", "reset"))
        self.assertEqual(self.upstream.requests, [])
        await self.assert_next_works(await self.connect())

    async def test_a_header_of_sixty_thousand_bytes_passes(self) -> None:
        client = await self.start_answering()

        response = await self.ask(headers=[(b"anthropic-beta", b"b" * 60_000)], client=client)

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].header(b"anthropic-beta"), b"b" * 60_000)
        await self.assert_next_works(client)

    async def test_an_odd_host_is_no_obstacle_and_not_forwarded(self) -> None:
        client = await self.start_answering()
        client.send(request(ASK).replace(b"Host: 127.0.0.1", b"Host: evil.example:99999 x"))

        response = await client.response()

        self.assertIn(response.status, (200, 400))
        for received in self.upstream.requests:
            self.assertEqual(received.header(b"host"), b"127.0.0.1:%d" % self.upstream.port)
        await self.assert_next_works(client)

    async def test_no_token(self) -> None:
        client = await self.start_answering()

        response = await self.ask(token=None, client=client)

        message = self.assert_error(response, 401, "authentication_error")
        self.assertIn("aib_", message)
        self.assertEqual(self.upstream.requests, [])
        await self.assert_next_works(client)

    async def test_a_wrong_token(self) -> None:
        client = await self.start_answering()

        response = await self.ask(token=TOKEN[:-10] + "0" * 10, client=client)

        self.assert_error(response, 401, "authentication_error")
        self.assertNotIn(b"0000000000", response.body)
        await self.assert_next_works(client)

    async def test_a_management_token(self) -> None:
        client = await self.start_answering()

        response = await self.ask(token=MANAGE_TOKEN, client=client)

        self.assert_error(response, 403, "permission_error")
        await self.assert_next_works(client)

    async def test_a_credential_header_given_twice(self) -> None:
        client = await self.start_answering()

        response = await self.ask(headers=[(b"X-Api-Key", b"sk-other")], client=client)

        self.assert_error(response, 400, "invalid_request_error")
        await self.assert_next_works(client)

    async def test_an_unknown_provider_is_nothing_of_ours(self) -> None:
        client = await self.start_answering()

        response = await self.ask(target=b"/nobody/v1/messages", client=client)

        self.assertEqual(response.status, 404)
        self.assertIn("message", json.loads(response.body))
        await self.assert_next_works(client)

    async def test_a_wrong_method(self) -> None:
        client = await self.start_answering()

        response = await self.ask(b"", method=b"GET", client=client)

        message = self.assert_error(response, 404, "not_found_error")
        self.assertIn("POST", message)
        await self.assert_next_works(client)

    async def test_a_token_in_the_query_is_refused(self) -> None:
        client = await self.start_answering()

        response = await self.ask(
            target=b"/anthropic/v1/messages?key=" + TOKEN.encode(), client=client
        )

        self.assert_error(response, 400, "invalid_request_error")
        self.assertEqual(self.upstream.requests, [])

    async def test_a_request_behind_another_on_the_wire_waits_its_turn(self) -> None:
        client = await self.start_answering()
        client.send(request(ASK) + request(b"") + request(ASK))

        statuses = [(await client.response()).status for _ in range(3)]

        self.assertEqual(statuses, [200, 400, 200])


class StrangersTests(BadInputTestCase):
    body_memory_bytes = 8 * MIB

    async def test_strangers_with_large_bodies_take_no_memory(self) -> None:
        await self.start([Send(answer(DOCUMENT))])
        clients = [await self.connect() for _ in range(100)]
        head = request(b"", token=None).replace(b"\r\n\r\n", b"\r\nContent-Length: 2000000\r\n\r\n")

        for client in clients:
            client.send(head + b"x" * 200_000)
        responses = [await client.response() for client in clients]

        self.assertEqual({response.status for response in responses}, {401})
        self.assertEqual(self.memory.used_bytes, 0)
        # Alike refusals of one address are one row, the rest is counted.
        self.assertEqual(len(self.journal.refusals), 1)

    async def test_known_users_share_the_memory_for_bodies(self) -> None:
        await self.start([Send(answer(DOCUMENT))])
        head = request(b"").replace(b"\r\n\r\n", b"\r\nContent-Length: 2000000\r\n\r\n")
        clients = [await self.connect() for _ in range(6)]

        for client in clients:
            client.send(head + b"x" * 1_900_000)
        response = await clients[-1].response()

        self.assert_error(response, 503, "overloaded_error")
        self.assertIsNotNone(response.header(b"retry-after"))
        self.assertLessEqual(self.memory.used_bytes, self.body_memory_bytes)


class SlowClientTests(BadInputTestCase):
    site_limits = SiteLimits(
        request_header_seconds=0.2,
        request_body_idle_seconds=0.2,
        header_bytes=64 * 1024,
        connections=3,
        connections_per_address=2,
    )

    async def test_half_a_header_is_hung_up_on(self) -> None:
        client = await self.start_answering()
        client.send(b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\n")

        self.assertEqual(await client.ended(), "closed")

    async def test_half_a_body_is_hung_up_on_and_forgotten(self) -> None:
        client = await self.start_answering()
        client.send(
            request(b"").replace(b"\r\n\r\n", b"\r\nContent-Length: 500000\r\n\r\n") + b"x" * 9
        )

        await client.ended()

        self.assertEqual(self.memory.used_bytes, 0)
        self.assertEqual(self.upstream.requests, [])

    async def test_connections_of_one_address_are_limited(self) -> None:
        await self.start_answering()
        await self.connect()

        third = await self.connect()

        self.assertIn(await third.ended(), ("closed", "reset"))


class SwitchedOffTests(BadInputTestCase):
    enabled = False

    async def test_the_data_plane_says_so_in_the_callers_shape(self) -> None:
        client = await self.start_answering()

        response = await self.ask(client=client)

        message = self.assert_error(response, 503, "overloaded_error")
        self.assertIn("switched off", message)
        health = await self.ask(b"", method=b"GET", target=b"/healthz", client=client)
        self.assertEqual((health.status, health.body), (200, b"ok\n"))


class NoOwnKeysTests(BadInputTestCase):
    allow_byok = False

    async def test_an_own_key_is_refused(self) -> None:
        client = await self.start_answering()
        own = [(b"x-ai-bridge-token", TOKEN.encode()), (b"x-api-key", b"sk-ant-mine")]

        response = await self.ask(token=None, headers=own, client=client)

        self.assert_error(response, 403, "permission_error")
        self.assertEqual(self.upstream.requests, [])

    async def test_the_token_in_its_own_header_alone_is_fine(self) -> None:
        client = await self.start_answering()

        response = await self.ask(
            token=None, headers=[(b"x-ai-bridge-token", TOKEN.encode())], client=client
        )

        self.assertEqual(response.status, 200)
