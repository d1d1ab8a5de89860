"""Bad input in any API: a defined status in the caller's shape, and what comes next works."""

from __future__ import annotations

import gzip
import json

import zstandard

from bridge.domain.records import InterceptionEnded, InterceptionStarted
from tests.loopback.speaking import Headers, SpeakingTestCase
from tests.support.fakes import Send, answer
from tests.support.gateway import MANAGE_TOKEN, MIB, TOKEN
from tests.support.rawclient import RawClient


def nested(body: bytes) -> bytes:
    """Return a request with a member nested deeper than anybody reads."""
    return body[:-1] + b',"metadata":' + b"[" * 10_000 + b"]" * 10_000 + b"}"


class BadInputCases(SpeakingTestCase):
    async def start_answering(self) -> RawClient:
        await self.start([Send(answer(self.speech.document))])
        return await self.connect()

    async def assert_next_works(self, client: RawClient) -> None:
        response = await self.ask(client=client)
        self.assertEqual((response.status, response.body), (200, self.speech.document))


class BodyCases(BadInputCases):
    async def refused(self, body: bytes, headers: Headers = ()) -> str:
        client = await self.start_answering()
        response = await self.ask(body, headers=headers, client=client)
        message = self.assert_error(response, 400, "bad_request")
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.journal.of(InterceptionStarted), [])
        self.assertEqual([r.status for r in self.journal.refusals], [400])
        await self.assert_next_works(client)
        return message

    async def passed(self, body: bytes, headers: Headers = ()) -> None:
        client = await self.start_answering()
        response = await self.ask(body, headers=headers, client=client)
        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].body, body)
        await self.assert_next_works(client)

    async def test_an_empty_body(self) -> None:
        await self.refused(b"")

    async def test_what_is_not_json(self) -> None:
        await self.refused(b"model=gpt-5&prompt=hello")

    async def test_truncated_json(self) -> None:
        await self.refused(self.speech.ask[:-10])

    async def test_json_that_is_no_object(self) -> None:
        await self.refused(b'["model", "claude"]')

    async def test_nul_bytes_between_tokens(self) -> None:
        await self.refused(self.speech.ask.replace(b",", b",\x00", 1))

    async def test_bytes_that_are_not_utf_8(self) -> None:
        await self.refused(b'{"model":"\xff\xfe\xfa')

    async def test_wrongly_typed_members_pass_to_the_provider_who_knows_better(self) -> None:
        await self.passed(self.speech.odd_ask)

    async def test_an_escaped_nul_in_the_prompt_passes(self) -> None:
        await self.passed(self.speech.ask.replace(b"Hello", b"Hel\\u0000lo"))
        self.assertTrue(self.journal.of(InterceptionEnded)[0].partially_observed)

    async def test_lone_surrogates_pass(self) -> None:
        await self.passed(self.speech.ask.replace(b"Hello", b"\\ud83d"))

    async def test_ten_thousand_levels_of_nesting_pass_and_mark_the_record(self) -> None:
        await self.passed(nested(self.speech.ask))
        self.assertTrue(self.journal.of(InterceptionStarted)[0].partially_observed)

    async def test_a_wrong_content_type_is_the_providers_business(self) -> None:
        client = await self.start_answering()
        client.send(
            self.request(b"").replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n", 1)
            + b"Content-Length: %d\r\n\r\n" % len(self.speech.ask)
            + self.speech.ask
        )

        response = await client.response()

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].header(b"content-type"), b"text/plain")

    async def test_a_body_in_chunks_arrives_whole(self) -> None:
        client = await self.start_answering()
        head = self.headed(b"Transfer-Encoding: chunked")
        client.send(head + b"5\r\n" + self.speech.ask[:5] + b"\r\n")
        client.send(b"%x\r\n" % len(self.speech.ask[5:]) + self.speech.ask[5:] + b"\r\n0\r\n\r\n")

        response = await client.response()

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].body, self.speech.ask)
        self.assertEqual(
            self.upstream.requests[0].header(b"content-length"), b"%d" % len(self.speech.ask)
        )
        await self.assert_next_works(client)

    async def test_zstandard_is_read_and_forwarded_as_it_came(self) -> None:
        packed = zstandard.ZstdCompressor().compress(self.speech.ask)
        await self.passed(packed, [(b"content-encoding", b"zstd")])
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")
        self.assertEqual(self.upstream.requests[0].header(b"content-encoding"), b"zstd")

    async def test_gzip_is_read_and_forwarded_as_it_came(self) -> None:
        await self.passed(gzip.compress(self.speech.ask), [(b"content-encoding", b"gzip")])
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")

    async def test_a_body_that_says_it_is_not_encoded_is_read(self) -> None:
        await self.passed(self.speech.ask, [(b"content-encoding", b"identity")])
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")

    async def test_an_encoding_on_two_lines_is_read(self) -> None:
        lines = [(b"content-encoding", b"gzip"), (b"content-encoding", b"identity")]
        await self.passed(gzip.compress(self.speech.ask), lines)
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")

    async def test_two_encodings_on_two_lines_are_read(self) -> None:
        lines = [(b"content-encoding", b"gzip"), (b"content-encoding", b"zstd")]
        packed = zstandard.ZstdCompressor().compress(gzip.compress(self.speech.ask))
        await self.passed(packed, lines)
        self.assertEqual(self.journal.of(InterceptionStarted)[0].prompt, "Hello")

    async def test_a_bomb_is_refused_by_what_it_would_become(self) -> None:
        bomb = gzip.compress(b" " * (64 * MIB))
        client = await self.start_answering()

        response = await self.ask(bomb, headers=[(b"content-encoding", b"gzip")], client=client)

        self.assert_error(response, 413, "too_large")
        self.assertEqual(self.upstream.requests, [])

    async def test_a_damaged_encoding_is_refused(self) -> None:
        await self.refused(b"\x1f\x8b\x08garbage", [(b"content-encoding", b"gzip")])

    async def test_an_encoding_that_cannot_be_read_is_refused(self) -> None:
        message = await self.refused(self.speech.ask, [(b"content-encoding", b"br")])
        self.assertIn("zstd", message)


class LengthCases(BadInputCases):
    async def test_a_length_over_the_limit_is_refused_before_the_body(self) -> None:
        client = await self.start_answering()
        client.send(self.headed(b"Content-Length: 34603008"))

        response = await client.response()

        self.assert_error(response, 413, "too_large")
        self.assertEqual(response.header(b"connection"), b"close")
        await client.ended()
        await self.assert_next_works(await self.connect())

    async def test_chunks_over_the_limit_are_refused_in_the_middle(self) -> None:
        client = await self.start_answering()
        client.send(self.headed(b"Transfer-Encoding: chunked"))
        for _ in range(3):
            client.send(b"100000\r\n" + b"x" * MIB + b"\r\n")

        response = await client.response()

        self.assert_error(response, 413, "too_large")
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_expect_is_answered_before_the_body(self) -> None:
        client = await self.start_answering()
        head = self.headed(b"Expect: 100-continue", b"Content-Length: %d" % len(self.speech.ask))
        client.send(head)
        await client.until(lambda: client.reader._informational == [100])
        client.send(self.speech.ask)

        response = await client.response()

        self.assertEqual((response.status, response.informational), (200, [100]))
        self.assertIsNone(self.upstream.requests[0].header(b"expect"))

    async def test_expect_without_a_token_gets_the_refusal_and_no_continue(self) -> None:
        client = await self.start_answering()
        head = self.headed(b"Expect: 100-continue", b"Content-Length: 1000000", token=None)
        client.send(head)

        response = await client.response()

        self.assert_error(response, 401, "unauthenticated")
        self.assertEqual(response.informational, [])

    async def test_two_lengths_are_refused(self) -> None:
        client = await self.start_answering()
        client.send(self.headed(b"Content-Length: 5", b"Content-Length: 6") + b"hello!")

        response = await client.response()

        self.assertEqual(response.status, 400)
        self.assertEqual(self.upstream.requests, [])

    async def test_a_length_and_chunks_together_are_refused(self) -> None:
        client = await self.start_answering()
        client.send(
            self.headed(b"Content-Length: 5", b"Transfer-Encoding: chunked")
            + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        )

        response = await client.response()

        self.assertEqual(response.status, 400)
        await client.ended()
        self.assertEqual(len(client.reader.responses), 1)
        self.assertEqual(self.upstream.requests, [])


class HeaderCases(BadInputCases):
    async def test_a_header_over_64_kib_is_refused(self) -> None:
        client = await self.start_answering()
        client.send(self.headed().removesuffix(b"\r\n") + b"X-Long: " + b"a" * 70_000)

        end = await client.ended()

        self.assertIn(end, ("closed", "reset"))
        self.assertEqual(self.upstream.requests, [])
        await self.assert_next_works(await self.connect())

    async def test_a_header_of_sixty_thousand_bytes_passes(self) -> None:
        client = await self.start_answering()

        response = await self.ask(headers=[(b"x-long", b"b" * 60_000)], client=client)

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].header(b"x-long"), b"b" * 60_000)
        await self.assert_next_works(client)

    async def test_an_odd_host_is_no_obstacle_and_not_forwarded(self) -> None:
        client = await self.start_answering()
        client.send(self.request().replace(b"Host: 127.0.0.1", b"Host: evil.example:99999 x"))

        response = await client.response()

        self.assertIn(response.status, (200, 400))
        for received in self.upstream.requests:
            self.assertEqual(received.header(b"host"), b"127.0.0.1:%d" % self.upstream.port)
        await self.assert_next_works(client)

    async def test_no_token(self) -> None:
        client = await self.start_answering()

        response = await self.ask(token=None, client=client)

        message = self.assert_error(response, 401, "unauthenticated")
        self.assertIn("aib_", message)
        self.assertEqual(self.upstream.requests, [])
        await self.assert_next_works(client)

    async def test_a_wrong_token(self) -> None:
        client = await self.start_answering()

        response = await self.ask(token=TOKEN[:-10] + "0" * 10, client=client)

        self.assert_error(response, 401, "unauthenticated")
        self.assertNotIn(b"0000000000", response.body)
        await self.assert_next_works(client)

    async def test_a_management_token(self) -> None:
        client = await self.start_answering()

        response = await self.ask(token=MANAGE_TOKEN, client=client)

        self.assert_error(response, 403, "forbidden")
        await self.assert_next_works(client)

    async def test_a_credential_header_given_twice(self) -> None:
        client = await self.start_answering()

        response = await self.ask(
            headers=[(self.speech.key_header.title(), b"sk-other")], client=client
        )

        self.assert_error(response, 400, "bad_request")
        await self.assert_next_works(client)

    async def test_an_unknown_provider_is_nothing_of_ours(self) -> None:
        client = await self.start_answering()

        response = await self.ask(target=b"/nobody" + self.speech.target, client=client)

        self.assertEqual(response.status, 404)
        self.assertIn("message", json.loads(response.body))
        await self.assert_next_works(client)

    async def test_a_wrong_method(self) -> None:
        client = await self.start_answering()

        response = await self.ask(b"", method=b"GET", client=client)

        message = self.assert_error(response, 404, "not_found")
        self.assertIn("POST", message)
        await self.assert_next_works(client)

    async def test_an_unknown_path(self) -> None:
        client = await self.start_answering()

        response = await self.ask(target=self.path(b"/v1/no/such/thing"), client=client)

        self.assert_error(response, 404, "not_found")
        self.assertEqual(self.upstream.requests, [])
        await self.assert_next_works(client)

    async def test_a_token_in_the_query_is_refused(self) -> None:
        client = await self.start_answering()

        response = await self.ask(
            target=self.path(self.speech.target) + b"?key=" + TOKEN.encode(), client=client
        )

        self.assert_error(response, 400, "bad_request")
        self.assertEqual(self.upstream.requests, [])

    async def test_a_request_behind_another_on_the_wire_waits_its_turn(self) -> None:
        client = await self.start_answering()
        client.send(self.request() + self.request(b"") + self.request())

        statuses = [(await client.response()).status for _ in range(3)]

        self.assertEqual(statuses, [200, 400, 200])


class SwitchedOffCases(BadInputCases):
    enabled = False

    async def test_the_data_plane_says_so_in_the_callers_shape(self) -> None:
        client = await self.start_answering()

        response = await self.ask(client=client)

        message = self.assert_error(response, 503, "unavailable")
        self.assertIn("switched off", message)
        health = await self.ask(b"", method=b"GET", target=b"/healthz", client=client)
        self.assertEqual((health.status, health.body), (200, b"ok\n"))


class NoOwnKeysCases(BadInputCases):
    allow_byok = False

    async def test_an_own_key_is_refused(self) -> None:
        client = await self.start_answering()
        own = [
            (b"x-ai-bridge-token", TOKEN.encode()),
            (self.speech.key_header, self.presented("sk-mine")),
        ]

        response = await self.ask(token=None, headers=own, client=client)

        self.assert_error(response, 403, "forbidden")
        self.assertEqual(self.upstream.requests, [])

    async def test_the_token_in_its_own_header_alone_is_fine(self) -> None:
        client = await self.start_answering()

        response = await self.ask(
            token=None, headers=[(b"x-ai-bridge-token", TOKEN.encode())], client=client
        )

        self.assertEqual(response.status, 200)
