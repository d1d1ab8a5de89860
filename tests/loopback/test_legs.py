"""A request is sent until there is an answer to relay; the client sees that one, the record all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bridge.domain.identity import Secret
from bridge.domain.records import LegRecorded
from bridge.intercept.attempts import Place
from bridge.policy.breaker import BreakerRules, CircuitBreakers, NoBreakers
from bridge.policy.keyring import Keyring
from bridge.policy.retries import RetryPolicy
from bridge.providers.anthropic import Anthropic
from bridge.upstream.client import UpstreamClient
from tests.support.fakes import FakeUpstream, Received, Reset, Script, Send, Step, answer
from tests.support.gateway import ASK, TOKEN, GatewayTestCase, request

FIRST, SECOND, THIRD = (f"sk-ant-{n}-0123456789-{n}" for n in ("aaaa", "bbbb", "cccc"))
DONE = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
).encode()
REFUSED = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."}}'
LIMITED = b"HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"


def key_of(received: Received) -> str:
    """Return the key that upstream was sent."""
    return (received.header(b"x-api-key") or b"").decode()


class LegsCase(GatewayTestCase):
    """A provider that answers each key by a rule."""

    keys: Sequence[str] = (FIRST, SECOND)

    async def serve(self, **answers: Sequence[Step]) -> None:
        """Answer the keys `first`, `second` and `third` with these steps; else with a message."""
        by_key = {
            {"first": FIRST, "second": SECOND, "third": THIRD}[name]: steps
            for name, steps in answers.items()
        }
        await self.start(lambda sent: by_key.get(key_of(sent), [Send(answer(DONE))]))

    def keys_sent(self) -> list[str]:
        """Return the keys that upstream was sent, in order."""
        return [key_of(each) for each in self.upstream.requests]

    def legs(self) -> list[tuple[int, int | None, str]]:
        """Return number, status and outcome of the legs on record."""
        return [(leg.n, leg.status, leg.outcome) for leg in self.journal.of(LegRecorded)]


class KeyTests(LegsCase):
    async def test_a_throttled_key_is_followed_by_the_next_and_nobody_notices(self) -> None:
        await self.serve(first=[Send(answer(REFUSED, status=429))])

        reply = await self.ask()

        self.assertEqual((reply.status, reply.body), (200, DONE))
        self.assertEqual(self.keys_sent(), [FIRST, SECOND])
        self.assertEqual(self.legs(), [(1, 429, "error_status"), (2, 200, "completed")])
        hints = [leg.hint for leg in self.journal.of(LegRecorded)]
        self.assertEqual(hints, ["sk-a...aaaa", "sk-a...bbbb"])
        self.assertEqual(self.journal.ended.credential_hint, "sk-a...bbbb")
        self.assertEqual((self.journal.usage.n, self.journal.usage.output_tokens), (2, 2))

    async def test_a_throttled_key_is_left_alone(self) -> None:
        await self.serve(first=[Send(answer(REFUSED, status=429))])
        await self.ask()

        await self.ask()

        self.assertEqual(self.keys_sent(), [FIRST, SECOND, SECOND])

    async def test_when_all_are_throttled_the_client_hears_the_shortest_wait(self) -> None:
        slower = LIMITED.replace(b": 7", b": 40")
        await self.serve(first=[Send(slower)], second=[Send(LIMITED)])

        refused = await self.ask()
        again = await self.ask()

        for reply in (refused, again):
            self.assertEqual((reply.status, reply.header(b"retry-after")), (429, b"7"))
            self.assertEqual(json.loads(reply.body)["error"]["type"], "rate_limit_error")
        self.assertEqual(self.keys_sent(), [FIRST, SECOND])  # the second request asked nobody
        self.assertEqual([each[:2] for each in self.legs()], [(1, 429), (2, 429)])

    async def test_a_key_that_is_not_known_is_out(self) -> None:
        await self.serve(first=[Send(answer(b"{}", status=401))])

        self.assertEqual((await self.ask()).status, 200)
        self.assertEqual((await self.ask()).status, 200)

        self.assertEqual(self.keys_sent(), [FIRST, SECOND, SECOND])

    async def test_when_all_are_out_it_is_the_operators_business(self) -> None:
        unknown = [Send(answer(b"{}", status=401))]
        await self.serve(first=unknown, second=unknown)

        reply = await self.ask()

        self.assertEqual(reply.status, 502)
        self.assertIn(b"none of the organisation's keys", reply.body)
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_403_that_another_key_does_not_get_puts_the_key_out(self) -> None:
        await self.serve(first=[Send(answer(b"{}", status=403))])
        await self.ask()

        await self.ask()

        self.assertEqual(self.keys_sent(), [FIRST, SECOND, SECOND])

    async def test_a_403_for_all_keys_is_about_the_request_and_puts_none_out(self) -> None:
        """Or anybody could put out all keys by asking for a model that is not theirs."""
        forbidden = [Send(answer(b'{"no":1}', status=403))]
        await self.serve(first=forbidden, second=forbidden)

        first = await self.ask()
        second = await self.ask()

        self.assertEqual([(each.status, each.body) for each in (first, second)],
                         [(403, b'{"no":1}')] * 2)  # fmt: skip
        self.assertEqual(self.keys_sent(), [FIRST, SECOND] * 2)

    async def test_a_users_own_key_is_never_replaced(self) -> None:
        await self.start([Send(answer(REFUSED, status=429))])
        own = [(b"x-ai-bridge-token", TOKEN.encode()), (b"x-api-key", b"sk-ant-their-own-key-0001")]

        reply = await self.ask(headers=own, token=None)

        self.assertEqual((reply.status, reply.body), (429, REFUSED))
        self.assertEqual(self.keys_sent(), ["sk-ant-their-own-key-0001"])

    async def test_other_errors_are_the_answer(self) -> None:
        await self.serve(first=[Send(answer(REFUSED, status=500))])

        reply = await self.ask()

        self.assertEqual((reply.status, reply.body), (500, REFUSED))
        self.assertEqual(self.keys_sent(), [FIRST])


class OneKeyTests(LegsCase):
    keys = (FIRST,)

    async def test_the_providers_own_word_is_relayed_and_the_key_asked_again(self) -> None:
        await self.serve(first=[Send(answer(REFUSED, status=429))])

        replies = [await self.ask(), await self.ask()]

        self.assertEqual([each.body for each in replies], [REFUSED] * 2)
        self.assertEqual(self.keys_sent(), [FIRST] * 2)


class ManyDeadKeysTests(LegsCase):
    keys = tuple(f"sk-ant-dead-key-number-{n:02}" for n in range(20))

    async def test_twenty_dead_keys_are_tried_once_and_then_nobody(self) -> None:
        await self.start([Send(answer(b"{}", status=401))])

        self.assertEqual((await self.ask()).status, 502)
        self.assertEqual((await self.ask()).status, 502)

        self.assertEqual(self.keys_sent(), list(self.keys))


class RetryTests(LegsCase):
    keys = (FIRST,)
    retries = RetryPolicy(max_retries_connect=2, max_retries_answered=1)

    async def test_a_connection_that_breaks_is_made_again(self) -> None:
        steps: list[Sequence[Step]] = [[Reset()], [Reset()], [Send(answer(DONE))]]
        await self.start(lambda _: steps.pop(0))

        reply = await self.ask()

        self.assertEqual((reply.status, reply.body), (200, DONE))
        self.assertEqual(
            self.legs(), [(1, None, "unreachable"), (2, None, "unreachable"), (3, 200, "completed")]
        )

    async def test_not_for_ever(self) -> None:
        await self.start([Reset()])

        reply = await self.ask()

        self.assertEqual(reply.status, 502)
        self.assertEqual(len(self.upstream.requests), 3)
        self.assertEqual(len(self.legs()), 3)

    async def test_an_answer_that_invites_it_is_asked_for_again_when_it_says(self) -> None:
        busy = b"HTTP/1.1 503 Busy\r\nretry-after-ms: 5\r\ncontent-length: 0\r\n\r\n"
        steps: list[Sequence[Step]] = [[Send(busy)], [Send(answer(DONE))]]
        await self.start(lambda _: steps.pop(0))

        reply = await self.ask()

        self.assertEqual((reply.status, [each[1] for each in self.legs()]), (200, [503, 200]))

    async def test_a_wait_of_a_year_is_the_clients_to_hear(self) -> None:
        busy = b"HTTP/1.1 503 Busy\r\nretry-after: 31536000\r\ncontent-length: 0\r\n\r\n"
        await self.start([Send(busy)])

        reply = await self.ask()

        self.assertEqual((reply.status, reply.header(b"retry-after")), (503, b"31536000"))
        self.assertEqual(len(self.upstream.requests), 1)

    async def test_a_client_that_leaves_while_we_wait_is_client_abort(self) -> None:
        busy = b"HTTP/1.1 503 Busy\r\nretry-after: 20\r\ncontent-length: 0\r\n\r\n"
        await self.start([Send(busy)])
        client = await self.connect()
        client.send(request(ASK))
        while not self.journal.of(LegRecorded):
            await self.a_turn()

        await client.reset()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual(self.legs(), [(1, 503, "error_status")])
        self.assertEqual(len(self.upstream.requests), 1)
        self.assertEqual(self.memory.used_bytes, 0)


class FallbackTests(LegsCase):
    keys = (FIRST,)

    async def between(self, here: Script, there: Script) -> None:
        """Start a provider that answers `here`, with another that answers `there` behind it."""
        self.other = FakeUpstream(reactor, there)
        await self.other.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.other.stop()))
        provider = Anthropic(name="other", base_url=self.other.url, keys=[Secret(SECOND)])
        client = UpstreamClient(
            origin=provider.origin,
            reactor=reactor,
            connect_seconds=5.0,
            first_byte_seconds=5.0,
            keepalive_seconds=30.0,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        other = Place(
            provider=provider,
            client=client,
            keyring=Keyring(["sk-a...bbbb"], clock=reactor),  # type: ignore[arg-type]
            retries=RetryPolicy(max_retries_connect=0),
            breakers=NoBreakers(),
            models={"claude-sonnet-5": "sonnet-elsewhere"},
        )
        self.upstream_options: dict[str, Any] = {"fallbacks": (other,)}
        await self.start(here)

    async def test_another_provider_answers_what_this_one_cannot(self) -> None:
        await self.between([Send(answer(REFUSED, status=529))], [Send(answer(DONE))])

        reply = await self.ask()

        self.assertEqual((reply.status, reply.body), (200, DONE))
        legs = self.journal.of(LegRecorded)
        self.assertEqual(
            [(leg.provider_name, leg.model, leg.status) for leg in legs],
            [("anthropic", "claude-sonnet-5", 529), ("other", "sonnet-elsewhere", 200)],
        )
        (sent,) = self.other.requests
        self.assertEqual(sent.body, ASK.replace(b"claude-sonnet-5", b"sonnet-elsewhere"))
        self.assertEqual(key_of(sent), SECOND)
        self.assertEqual(self.journal.started.model, "claude-sonnet-5")

    async def test_likewise_where_this_one_cannot_be_reached(self) -> None:
        await self.between([Reset()], [Send(answer(DONE))])

        self.assertEqual((await self.ask()).status, 200)
        self.assertEqual([each[1] for each in self.legs()], [None, 200])

    async def test_a_packed_body_goes_nowhere_where_its_model_is_called_otherwise(self) -> None:
        await self.between([Send(answer(REFUSED, status=529))], [Send(answer(DONE))])

        reply = await self.ask(gzip.compress(ASK), headers=[(b"content-encoding", b"gzip")])

        self.assertEqual((reply.status, reply.body), (529, REFUSED))
        self.assertEqual(self.other.requests, [])

    async def test_a_bad_request_is_bad_everywhere(self) -> None:
        await self.between([Send(answer(REFUSED, status=400))], [Send(answer(DONE))])

        self.assertEqual((await self.ask()).status, 400)
        self.assertEqual(self.other.requests, [])

    async def test_the_last_word_is_that_of_the_last(self) -> None:
        await self.between([Send(answer(b"{}", status=500))], [Send(answer(REFUSED, status=503))])

        reply = await self.ask()

        self.assertEqual((reply.status, reply.body), (503, REFUSED))

    async def test_a_users_own_key_goes_nowhere_else(self) -> None:
        await self.between([Send(answer(REFUSED, status=529))], [Send(answer(DONE))])
        own = [(b"x-ai-bridge-token", TOKEN.encode()), (b"x-api-key", b"sk-ant-their-own-key-0001")]

        self.assertEqual((await self.ask(headers=own, token=None)).status, 529)
        self.assertEqual(self.other.requests, [])

    async def test_a_passthrough_goes_nowhere_else(self) -> None:
        await self.between([Send(answer(REFUSED, status=529))], [Send(answer(DONE))])

        reply = await self.ask(b"", target=b"/anthropic/v1/models", method=b"GET")

        self.assertEqual(reply.status, 529)
        self.assertEqual(self.other.requests, [])


class BreakerTests(LegsCase):
    keys = (FIRST,)

    async def test_after_failures_in_a_row_nobody_is_asked_for_a_while(self) -> None:
        rules = BreakerRules(failure_threshold=2, timeout=30.0)
        self.breakers = CircuitBreakers(rules=rules, clock=reactor)  # type: ignore[arg-type]
        await self.start([Send(answer(REFUSED, status=529))])

        replies = [await self.ask() for _ in range(3)]

        self.assertEqual([each.status for each in replies], [529, 529, 503])
        refused = replies[2]
        self.assertEqual(json.loads(refused.body)["error"]["type"], "overloaded_error")
        self.assertIn(int(refused.header(b"retry-after") or 0), (29, 30))
        self.assertEqual(len(self.upstream.requests), 2)
        self.assertEqual([each.circuit.model for each in self.breakers.states()],
                         ["claude-sonnet-5"])  # fmt: skip
        other = ASK.replace(b"claude-sonnet-5", b"claude-haiku-5")
        self.assertEqual((await self.ask(other)).status, 529)  # a circuit of its own

    async def test_an_overload_in_mid_stream_counts(self) -> None:
        rules = BreakerRules(failure_threshold=1, timeout=30.0)
        self.breakers = CircuitBreakers(rules=rules, clock=reactor)  # type: ignore[arg-type]
        event = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        await self.start([Send(head + event)])

        first = await self.ask(ASK[:-1] + b',"stream":true}')
        second = await self.ask()

        self.assertEqual((first.status, second.status), (200, 503))

    async def test_a_users_own_throttled_key_is_nobody_elses_business(self) -> None:
        rules = BreakerRules(failure_threshold=1, timeout=30.0)
        self.breakers = CircuitBreakers(rules=rules, clock=reactor)  # type: ignore[arg-type]
        await self.start([Send(answer(REFUSED, status=429))])
        own = [(b"x-ai-bridge-token", TOKEN.encode()), (b"x-api-key", b"sk-ant-their-own-key-0001")]

        for _ in range(2):
            self.assertEqual((await self.ask(headers=own, token=None)).status, 429)

        self.assertEqual(self.breakers.states(), ())

    async def test_nor_is_it_when_it_is_asked_for_again(self) -> None:
        rules = BreakerRules(failure_threshold=1, timeout=30.0)
        self.breakers = CircuitBreakers(rules=rules, clock=reactor)  # type: ignore[arg-type]
        self.retries = RetryPolicy(max_retries_answered=1)
        await self.start(
            [Send(b"HTTP/1.1 429 Slow\r\nretry-after-ms: 10\r\ncontent-length: 0\r\n\r\n")]
        )
        own = [(b"x-ai-bridge-token", TOKEN.encode()), (b"x-api-key", b"sk-ant-their-own-key-0001")]

        self.assertEqual((await self.ask(headers=own, token=None)).status, 429)

        self.assertEqual(len(self.upstream.requests), 2)
        self.assertEqual(self.breakers.states(), ())

    async def test_a_client_that_leaves_says_nothing_of_the_provider(self) -> None:
        rules = BreakerRules(failure_threshold=1, timeout=30.0)
        self.breakers = CircuitBreakers(rules=rules, clock=reactor)  # type: ignore[arg-type]
        await self.start([])
        client = await self.connect()
        client.send(request(ASK))
        while not self.upstream.requests:
            await self.a_turn()
        await client.reset()
        await self.settled()

        self.assertEqual(self.breakers.states(), ())
