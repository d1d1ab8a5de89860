"""Paths made to reach what a central key may but a user must not: none gets to the upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bridge.domain.records import InterceptionStarted
from bridge.providers.anthropic import MESSAGES_ROUTES
from bridge.web.gateway import PREFIXES
from tests.support.fakes import Send, answer
from tests.support.gateway import ASK, GatewayTestCase

HOSTILE = (
    b"%s/..",
    b"%s/../files",
    b"%s/../../v1/files",
    b"/..%s",
    b"/../anthropic%s",
    b"/.%s",
    b"%s/.",
    b"%s/./",
    b"%s/%%2e%%2e",
    b"%s/%%2E%%2E/files",
    b"%s/.%%2e/files",
    b"%s/%%2e./files",
    b"%s%%2f..%%2ffiles",
    b"%s/..%%2ffiles",
    b"%s/..%%5cfiles",
    b"%s\\..\\files",
    b"%s/..\\files",
    b"%s%%5c..%%5cfiles",
    b"%s%%2ffiles",
    b"%s%%2Ffiles",
    b"%s%%252f..%%252ffiles/../..",
    b"%s%%00",
    b"%s%%00.json",
    b"%s%%0d%%0aX-Injected:%%20yes",
    b"%s%%0a",
    b"%s%%7f",
    b"%s%%1f",
    b"%s%%c0%%ae%%c0%%ae/files",
    b"%s%%e0%%80%%ae./..",
    b"%s;/../files",
    b"%s/;x/../../files",
    b"%s/..;/files",
    b"%s/..%%3b/files",
    b"%s/%%2e%%2e%%3b/files",
    b"%s/..?beta=true",
    b"%s/../?x=/v1/messages",
    b"//%%2e%%2e%s",
    b"///..%s",
    b"%s//../files",
    b"%s/%%2e/%%2e%%2e/files",
    b"%s/%%zz/..",
    b"%s/%%",
    b"%s/a/%%2e%%2e/%%2e%%2e/%%2e%%2e/files",
    b"/v1/files%s/../../..",
    b"%s/%%0d%%0aHost:%%20evil",
)
ELSEWHERE = (
    b"/v1/files",
    b"/v1/organizations/api_keys",
    b"/v1/organizations",
    b"/v1/messages/batches",
    b"/v1/messages/batches/b1",
    b"/v1/complete",
    b"/v1/message",
    b"/v1/messages2",
    b"/V1/messages",
    b"/v1/Messages",
    b"/v1/messages/",
    b"/v1/models/a/b",
    b"/v1/messages/count_tokens/x",
    b"/api/event_logging",
    b"/api",
    b"/",
    b"",
)


def concrete(pattern: str) -> bytes:
    """Return a path that the route's pattern serves."""
    return pattern.replace("*", "claude-sonnet-5").encode()


def targets() -> Iterator[bytes]:
    for route in MESSAGES_ROUTES:
        for template in HOSTILE:
            yield template % concrete(route.pattern)


class HostilePathTests(GatewayTestCase):
    timeout = 60

    async def assert_all_refused(self, paths: list[bytes], prefix: bytes, method: bytes) -> None:
        await self.start([Send(answer(b"{}"))])
        client = await self.connect()
        for path in paths:
            if client.gone is not None:
                client = await self.connect()

            response = await self.ask(
                ASK if method == b"POST" else b"",
                method=method,
                target=prefix + b"/anthropic" + path,
                client=client,
            )

            self.assertIn(response.status, (400, 404), path)
            if response.body:
                self.assertEqual(json.loads(response.body)["type"], "error", path)
            self.assertEqual(response.all_of(b"x-injected"), [])
        self.assertEqual([received.line for received in self.upstream.requests], [])
        self.assertEqual(self.journal.of(InterceptionStarted), [])

    async def test_forty_and_more_at_every_route(self) -> None:
        self.assertGreaterEqual(len(HOSTILE), 40)
        await self.assert_all_refused(list(targets()), b"", b"POST")

    async def test_likewise_by_get(self) -> None:
        await self.assert_all_refused(list(targets()), b"", b"GET")

    async def test_likewise_under_the_first_established_prefix(self) -> None:
        await self.assert_all_refused(list(targets()), PREFIXES[0], b"POST")

    async def test_likewise_under_the_second_established_prefix(self) -> None:
        await self.assert_all_refused(list(targets()), PREFIXES[1], b"GET")

    async def test_what_the_provider_has_and_the_bridge_does_not_serve(self) -> None:
        await self.assert_all_refused(list(ELSEWHERE), b"", b"POST")

    async def test_likewise_by_delete(self) -> None:
        await self.assert_all_refused([*ELSEWHERE, b"/v1/messages"], b"", b"DELETE")

    async def test_doubled_slashes_behind_the_name_are_one(self) -> None:
        await self.start([Send(answer(b"{}"))])

        response = await self.ask(b"", method=b"GET", target=b"/anthropic///v1/models?limit=5")

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].line, b"GET /v1/models?limit=5 HTTP/1.1")

    async def test_doubled_slashes_elsewhere_are_not(self) -> None:
        await self.start([Send(answer(b"{}"))])

        response = await self.ask(b"", method=b"GET", target=b"/anthropic/v1//models")

        self.assertEqual(response.status, 404)

    async def test_the_bytes_that_matched_are_the_bytes_sent(self) -> None:
        await self.start([Send(answer(b"{}"))], path="/broker")
        odd = b"/v1/models/claude%3Asonnet%205?after=a%2Fb&beta=true&x=%e2%82%ac"

        response = await self.ask(b"", method=b"GET", target=b"/anthropic" + odd)

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].target, b"/broker" + odd)

    async def test_probes_are_answered_without_a_token(self) -> None:
        await self.start([Send(answer(b"{}"))])

        for target in (b"/anthropic/", b"/anthropic", b"/anthropic/api/hello"):
            response = await self.ask(b"", method=b"HEAD", target=target, token=None)
            self.assertEqual(response.status, 200, target)
        self.assertEqual(self.upstream.requests, [])
