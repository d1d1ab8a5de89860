"""Paths made to reach what a central key may but a user must not: none gets to the upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from bridge.domain.records import InterceptionStarted
from bridge.providers.interface import Route
from bridge.web.gateway import PREFIXES
from tests.loopback.speaking import SpeakingTestCase
from tests.support.fakes import Send, answer
from tests.support.gateway import ADA

HOSTILE = (
    b"%s/..",
    b"%s/../files",
    b"%s/../../v1/files",
    b"/..%s",
    b"/../{name}%s",
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

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PURGE")


class HostilePathCases(SpeakingTestCase):
    timeout = 60

    routes: ClassVar[Sequence[Route]]
    named: ClassVar[bytes]
    """What stands for the `*` of a route."""
    elsewhere: ClassVar[Sequence[bytes]]
    """Paths that the provider has, or nobody, and the bridge does not serve."""
    served: ClassVar[Mapping[bytes, tuple[bytes, Sequence[bytes]]]]
    """What a path becomes upstream, and the methods it is served for."""

    def targets(self) -> Iterator[bytes]:
        name = self.speech.provider.encode()
        for route in self.routes:
            path = route.pattern.encode().replace(b"*", self.named)
            for template in HOSTILE:
                yield template.replace(b"{name}", name) % path

    def assert_shape(self, body: bytes, path: bytes) -> None:
        """Check that an error is in the shape of the caller's API."""
        told = json.loads(body)
        self.assertTrue(told["error"]["message"].endswith("."), path)
        self.assertEqual("param" in told["error"], self.speech.provider != "anthropic", path)

    async def assert_all_refused(self, paths: list[bytes], prefix: bytes, method: bytes) -> None:
        await self.start([Send(answer(b"{}"))])
        client = await self.connect()
        for path in paths:
            if client.gone is not None:
                client = await self.connect()

            response = await self.ask(
                self.speech.ask if method == b"POST" else b"",
                method=method,
                target=prefix + self.path(path),
                client=client,
            )

            self.assertIn(response.status, (400, 404), path)
            if response.body:
                self.assert_shape(response.body, path)
            self.assertEqual(response.all_of(b"x-injected"), [])
        self.assertEqual([received.line for received in self.upstream.requests], [])
        self.assertEqual(self.journal.of(InterceptionStarted), [])

    async def test_forty_and_more_at_every_route(self) -> None:
        self.assertGreaterEqual(len(HOSTILE), 40)
        await self.assert_all_refused(list(self.targets()), b"", b"POST")

    async def test_likewise_by_get(self) -> None:
        await self.assert_all_refused(list(self.targets()), b"", b"GET")

    async def test_likewise_under_the_first_established_prefix(self) -> None:
        await self.assert_all_refused(list(self.targets()), PREFIXES[0], b"POST")

    async def test_likewise_under_the_second_established_prefix(self) -> None:
        await self.assert_all_refused(list(self.targets()), PREFIXES[1], b"GET")

    async def test_what_the_provider_has_and_the_bridge_does_not_serve(self) -> None:
        await self.assert_all_refused(list(self.elsewhere), b"", b"POST")

    async def test_likewise_by_delete(self) -> None:
        paths = [*self.elsewhere, self.speech.target]
        await self.assert_all_refused(paths, b"", b"DELETE")

    async def test_each_route_takes_its_methods_and_no_others(self) -> None:
        await self.start([Send(answer(b"{}"))])
        self.stored_elsewhere.add((ADA, self.speech.provider, self.named.decode()))
        for path, (upstream, methods) in self.served.items():
            for method in METHODS:
                self.upstream.requests.clear()
                body = self.speech.ask if method in (b"POST", b"PUT", b"PATCH") else b""
                if method == b"HEAD":
                    self.upstream.script = [Send(answer(b""))]

                response = await self.ask(body, method=method, target=self.path(path))

                self.upstream.script = [Send(answer(b"{}"))]
                sent = [received.line for received in self.upstream.requests]
                expected = [b"%b %b HTTP/1.1" % (method, upstream)] if method in methods else []
                self.assertEqual(sent, expected, (method, path))
                self.assertEqual(response.status, 200 if expected else 404, (method, path))

    async def test_doubled_slashes_behind_the_name_are_one(self) -> None:
        await self.start([Send(answer(b"{}"))])
        models = self.speech.models + b"?limit=5"

        response = await self.ask(b"", method=b"GET", target=self.path(b"//" + models))

        self.assertEqual(response.status, 200)
        upstream = self.served[self.speech.models][0]
        self.assertEqual(self.upstream.requests[0].line, b"GET %b?limit=5 HTTP/1.1" % upstream)

    async def test_doubled_slashes_elsewhere_are_not(self) -> None:
        await self.start([Send(answer(b"{}"))])

        for path in (self.speech.models, self.speech.target):
            doubled = path.replace(b"/", b"//").removeprefix(b"/") + b"//x"
            response = await self.ask(b"", method=b"GET", target=self.path(doubled))
            self.assertEqual(response.status, 404)
        self.assertEqual(self.upstream.requests, [])

    async def test_the_bytes_that_matched_are_the_bytes_sent(self) -> None:
        await self.start([Send(answer(b"{}"))], path="/broker")
        odd = b"/a%3Asonnet%205?after=a%2Fb&beta=true&x=%e2%82%ac"

        response = await self.ask(b"", method=b"GET", target=self.path(self.speech.models + odd))

        self.assertEqual(response.status, 200)
        upstream = self.served[self.speech.models][0]
        self.assertEqual(self.upstream.requests[0].target, b"/broker" + upstream + odd)

    async def test_probes_are_answered_without_a_token(self) -> None:
        await self.start([Send(answer(b"{}"))])

        for target in (b"/", b"", b"/api/hello"):
            response = await self.ask(b"", method=b"HEAD", target=self.path(target), token=None)
            self.assertEqual(response.status, 200, target)
        self.assertEqual(self.upstream.requests, [])
