"""Every answer of the fixtures is seen the same, however the network cuts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.interface import Dialect
from bridge.dialects.messages.dialect import Messages
from bridge.dialects.responses.dialect import Responses
from tests.fixtures import chat, messages, responses
from tests.fixtures.observed import expected_of, observe
from tests.fixtures.shapes import DocumentFixture, StreamFixture, cuts
from tests.support.cases import BridgeTestCase

Fixture = StreamFixture | DocumentFixture


class EveryCutCases(BridgeTestCase):
    """Has one test method for each fixture, so that a failure names it."""

    dialect: ClassVar[Dialect]
    fixtures: ClassVar[Sequence[Fixture]]
    at_least: ClassVar[int]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for fixture in cls.fixtures:

            def test(self: Self, fixture: Fixture = fixture) -> None:
                self.check(fixture)

            setattr(cls, f"test_{fixture.name}_is_seen_at_every_cut", test)

    def test_there_are_enough_and_each_has_its_name(self) -> None:
        self.assertGreaterEqual(len(self.fixtures), self.at_least)
        self.assertEqual(len({each.name for each in self.fixtures}), len(self.fixtures))

    def check(self, fixture: Fixture) -> None:
        streaming = isinstance(fixture, StreamFixture)
        status = fixture.status if isinstance(fixture, DocumentFixture) else 200
        expected = expected_of(fixture)

        for chunks in cuts(fixture.body):
            reader = self.dialect.reader()
            seen = observe(chunks, streaming=streaming, status=status, reader=reader)

            self.assertEqual(seen, expected, f"cut after {len(chunks[0]) if chunks else 0}")


class MessagesStreamTests(EveryCutCases):
    dialect = Messages()
    fixtures = messages.STREAMS
    at_least = 25


class MessagesDocumentTests(EveryCutCases):
    dialect = Messages()
    fixtures = messages.DOCUMENTS
    at_least = 15


class ChatStreamTests(EveryCutCases):
    dialect = ChatCompletions()
    fixtures = chat.STREAMS
    at_least = 22


class ChatDocumentTests(EveryCutCases):
    dialect = ChatCompletions()
    fixtures = chat.DOCUMENTS
    at_least = 10


class ResponsesStreamTests(EveryCutCases):
    dialect = Responses()
    fixtures = responses.STREAMS
    at_least = 50


class ResponsesDocumentTests(EveryCutCases):
    dialect = Responses()
    fixtures = responses.DOCUMENTS
    at_least = 25


del EveryCutCases
