"""Tests for bridge.wire.headers: deny lists in both directions."""

from __future__ import annotations

from bridge.wire.headers import (
    HOP_BY_HOP,
    connection_options,
    first,
    media_type,
    request_headers,
    response_headers,
)
from tests.support.cases import BridgeTestCase


class RequestHeaderTests(BridgeTestCase):
    def names(self, *names: bytes, remove: frozenset[bytes] = frozenset()) -> list[bytes]:
        passing = request_headers([(name, b"1") for name in names], remove=remove)
        return [name for name, _ in passing]

    def test_what_nobody_has_heard_of_passes_in_order(self) -> None:
        names = (
            b"x-new-2030",
            b"anthropic-beta",
            b"user-agent",
            b"x-stainless-os",
            b"anthropic-beta",
        )

        self.assertEqual(self.names(*names), list(names))

    def test_the_connections_own_stay(self) -> None:
        self.assertEqual(self.names(*HOP_BY_HOP, b"host", b"content-length", b"expect"), [])

    def test_those_that_connection_names_stay(self) -> None:
        passing = request_headers(
            [(b"connection", b"close, X-Secret-Hop"), (b"x-secret-hop", b"1"), (b"x-b", b"2")],
            remove=frozenset(),
        )

        self.assertEqual(passing, [(b"x-b", b"2")])

    def test_where_the_caller_sits_is_nobodys_business(self) -> None:
        named = (b"x-forwarded-for", b"x-forwarded-host", b"forwarded", b"via", b"x-real-ip")

        self.assertEqual(self.names(*named, b"cookie"), [])

    def test_ours_never_leave(self) -> None:
        self.assertEqual(self.names(b"x-ai-bridge-token", b"x-aibridge-anything"), [])

    def test_those_to_be_removed_stay(self) -> None:
        self.assertEqual(self.names(b"x-api-key", b"a", remove=frozenset({b"x-api-key"})), [b"a"])


class ResponseHeaderTests(BridgeTestCase):
    def test_what_would_act_on_our_origin_stays(self) -> None:
        nasty = (
            b"set-cookie", b"alt-svc", b"strict-transport-security", b"clear-site-data", b"nel",
            b"report-to", b"access-control-allow-origin", b"access-control-max-age",
        )  # fmt: skip

        self.assertEqual(response_headers([(name, b"1") for name in nasty]), [])

    def test_the_rest_passes_doubled_ones_too(self) -> None:
        headers = [(b"request-id", b"1"), (b"warning", b"a"), (b"warning", b"b"), (b"x-new", b"")]

        self.assertEqual(response_headers(headers), headers)

    def test_the_encoding_stays_with_the_body_it_describes(self) -> None:
        headers = [(b"content-encoding", b"br"), (b"content-type", b"text/plain")]

        self.assertEqual(response_headers(headers), headers)


class ReadingTests(BridgeTestCase):
    def test_connection_options_are_names_in_any_case(self) -> None:
        found = connection_options([b"Keep-Alive, X-A", b"close", b" x-b ,"])

        self.assertEqual(found, frozenset({b"keep-alive", b"x-a", b"x-b"}))

    def test_the_first_of_several(self) -> None:
        headers = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]

        self.assertEqual((first(headers, b"a"), first(headers, b"c")), (b"1", None))

    def test_a_media_type_has_no_parameters(self) -> None:
        self.assertEqual(media_type(b"Text/Event-Stream; charset=utf-8"), b"text/event-stream")
        self.assertEqual(media_type(None), b"")
