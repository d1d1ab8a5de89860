"""Every answer of the Responses fixtures is seen the same, however the network cuts it."""

from __future__ import annotations

from collections.abc import Callable

from bridge.dialects.responses.dialect import Responses
from tests.fixtures.observed import expected_of, observe
from tests.fixtures.responses import DOCUMENTS, STREAMS, DocumentFixture, StreamFixture, cuts
from tests.support.cases import BridgeTestCase


class _Cut(BridgeTestCase):
    def check_stream(self, fixture: StreamFixture) -> None:
        expected = expected_of(fixture)

        for chunks in cuts(fixture.body):
            seen = observe(chunks, streaming=True, reader=Responses().reader())

            self.assertEqual(seen, expected, f"cut after {len(chunks[0]) if chunks else 0}")

    def check_document(self, fixture: DocumentFixture) -> None:
        expected = expected_of(fixture)

        for chunks in cuts(fixture.body):
            seen = observe(
                chunks, streaming=False, status=fixture.status, reader=Responses().reader()
            )

            self.assertEqual(seen, expected, f"cut after {len(chunks[0]) if chunks else 0}")


class StreamTests(_Cut):
    """A stream yields the same record at every cut."""

    def test_there_are_enough_and_each_has_its_name(self) -> None:
        self.assertGreaterEqual(len(STREAMS), 50)
        self.assertEqual(len({each.name for each in STREAMS}), len(STREAMS))


class DocumentTests(_Cut):
    """A document yields the same record at every cut."""

    def test_there_are_enough_and_each_has_its_name(self) -> None:
        self.assertGreaterEqual(len(DOCUMENTS), 25)
        self.assertEqual(len({each.name for each in DOCUMENTS}), len(DOCUMENTS))


def _stream_test(fixture: StreamFixture) -> Callable[[StreamTests], None]:
    def test(self: StreamTests) -> None:
        self.check_stream(fixture)

    return test


def _document_test(fixture: DocumentFixture) -> Callable[[DocumentTests], None]:
    def test(self: DocumentTests) -> None:
        self.check_document(fixture)

    return test


# One test method for each fixture, so that a failure names it.
for _stream in STREAMS:
    setattr(StreamTests, f"test_{_stream.name}_is_seen_at_every_cut", _stream_test(_stream))
for _document in DOCUMENTS:
    setattr(DocumentTests, f"test_{_document.name}_is_seen_at_every_cut", _document_test(_document))
