"""AWS's binary event streams are read at any cut, and what is wrong with them is said."""

from __future__ import annotations

import struct
from itertools import pairwise
from zlib import crc32

from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.wire.aws_stream import AwsStreamDecoder, Fault, HeaderValue, Message, encoded
from tests.support.cases import BridgeTestCase

EVENT: dict[str, HeaderValue] = {":event-type": "chunk", ":message-type": "event"}
EVERY_TYPE: dict[str, HeaderValue] = {
    "yes": True,
    "no": False,
    "number": -(2**40),
    "bytes": b"\x00\xff",
    "text": "é",
    "": "",
}
HEADERS = st.dictionaries(
    st.text(max_size=8),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=9) | st.text(max_size=9),
    max_size=4,
)


def framed(head: bytes, payload: bytes = b"") -> bytes:
    """Return a message of raw header bytes, its checks right."""
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = lengths + struct.pack(">I", crc32(lengths)) + head + payload
    return message + struct.pack(">I", crc32(message))


def header(name: bytes, kind: int, raw: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((kind,)) + raw


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 0x40,)) + data[at + 1 :]


def read(*chunks: bytes) -> tuple[list[Message], Fault | None]:
    """Return all messages in `chunks`, and what was wrong in the end."""
    decoder = AwsStreamDecoder()
    found = [message for chunk in chunks for message in decoder.feed(chunk)]
    decoder.finish()
    return found, decoder.fault


ONE = encoded(EVENT, b'{"bytes":"aGVsbG8="}')
STREAMS = {
    "empty": b"",
    "one": ONE,
    "no_headers_no_payload": encoded({}, b""),
    "several": ONE + encoded({}, b"") + encoded(EVENT, b"x" * 40) + ONE,
    "every_type": encoded(EVERY_TYPE, b"payload"),
    "all_of_awss_types": framed(
        b"".join(
            (
                header(b"byte", 2, b"\xff"),
                header(b"short", 3, b"\x01\x00"),
                header(b"integer", 4, b"\x80\x00\x00\x00"),
                header(b"long", 5, b"\x00" * 7 + b"\x09"),
                header(b"timestamp", 8, struct.pack(">q", 1_790_000_000_000)),
                header(b"uuid", 9, bytes(range(16))),
            )
        )
    ),
    "cut_short": ONE + ONE[:-1],
    "cut_in_a_prelude": ONE + ONE[:7],
    "wrong_prelude": ONE + flipped(ONE, 2) + ONE,
    "wrong_payload": ONE + flipped(ONE, len(ONE) - 9) + ONE,
    "wrong_check": ONE + flipped(ONE, len(ONE) - 1) + ONE,
    "unknown_header_type": ONE + framed(header(b"a", 10, b"")) + ONE,
}


class CutTests(BridgeTestCase):
    """However the network cuts a stream, the same comes out of it."""


def _cut_test(stream: bytes):
    def test(self: CutTests) -> None:
        expected = read(stream)

        for at in range(len(stream) + 1):
            self.assertEqual(read(stream[:at], stream[at:]), expected, f"cut at {at}")
        self.assertEqual(read(*(stream[at : at + 1] for at in range(len(stream)))), expected)

    return test


for _name, _stream in STREAMS.items():
    setattr(CutTests, f"test_{_name}", _cut_test(_stream))


class ReadingTests(BridgeTestCase):
    def check(self, name: str, count: int, fault: Fault | None) -> list[Message]:
        found, wrong = read(STREAMS[name])
        self.assertEqual((len(found), wrong), (count, fault))
        return found

    def test_headers_and_payload_are_told(self) -> None:
        self.assertEqual(self.check("one", 1, None), [(EVENT, b'{"bytes":"aGVsbG8="}')])

    def test_every_type_of_header_is_read(self) -> None:
        self.assertEqual(self.check("every_type", 1, None), [(EVERY_TYPE, b"payload")])
        ((headers, _),) = self.check("all_of_awss_types", 1, None)
        self.assertEqual(
            headers,
            {
                "byte": -1,
                "short": 256,
                "integer": -(2**31),
                "long": 9,
                "timestamp": 1_790_000_000_000,
                "uuid": bytes(range(16)),
            },
        )

    def test_what_came_whole_before_a_fault_is_told(self) -> None:
        self.check("cut_short", 1, Fault.CUT_SHORT)
        self.check("cut_in_a_prelude", 1, Fault.CUT_SHORT)
        self.check("wrong_prelude", 1, Fault.BAD_PRELUDE)
        self.check("wrong_payload", 1, Fault.BAD_CHECK)
        self.check("wrong_check", 1, Fault.BAD_CHECK)
        self.check("unknown_header_type", 1, Fault.BAD_HEADERS)

    def test_headers_that_are_none_are_a_fault(self) -> None:
        for head in (
            b"\x05a",  # a name that is cut
            b"\x01a",  # no type
            header(b"a", 7, b"\x00"),  # a length that is cut
            header(b"a", 7, b"\x00\x05abc"),  # a text that is cut
            header(b"a", 5, b"\x00" * 7),  # a number that is cut
            header(b"a", 7, b"\x00\x01\xff"),  # no UTF-8
            header(b"a", 0, b"") * 2,  # given twice
        ):
            self.assertEqual(read(framed(head)), ([], Fault.BAD_HEADERS), head)

    def test_lengths_that_cannot_be_are_a_fault(self) -> None:
        for total, headers in ((15, 0), (0, 0), (16, 1), (20, 2**32 - 1)):
            lengths = struct.pack(">II", total, headers)
            prelude = lengths + struct.pack(">I", crc32(lengths))

            self.assertEqual(read(prelude + b"\x00" * 32), ([], Fault.BAD_PRELUDE))

    def test_an_absurd_length_is_a_fault_before_anything_is_kept(self) -> None:
        lengths = struct.pack(">II", 16 * 1024 * 1024 + 1, 0)
        decoder = AwsStreamDecoder()

        self.assertEqual(decoder.feed(lengths + struct.pack(">I", crc32(lengths))), [])

        self.assertEqual(decoder.fault, Fault.TOO_LONG)
        self.assertEqual(decoder.feed(ONE), ())

    def test_the_longest_allowed_message_is_read_in_small_pieces(self) -> None:
        message = encoded(EVENT, b"x" * (1024 * 1024))
        decoder = AwsStreamDecoder(max_message_bytes=len(message))

        found = [
            each
            for at in range(0, len(message), 1000)
            for each in decoder.feed(message[at : at + 1000])
        ]

        self.assertEqual([len(payload) for _, payload in found], [1024 * 1024])

    def test_boundaries_are_known(self) -> None:
        decoder = AwsStreamDecoder()

        self.assertTrue(decoder.at_boundary)
        decoder.feed(ONE[:20])
        self.assertFalse(decoder.at_boundary)
        decoder.feed(ONE[20:])
        self.assertTrue(decoder.at_boundary)


class AnythingTests(BridgeTestCase):
    @given(st.lists(st.tuples(HEADERS, st.binary(max_size=30)), max_size=4), st.data())
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_what_is_written_is_read(
        self, messages: list[tuple[dict[str, HeaderValue], bytes]], data: st.DataObject
    ) -> None:
        stream = b"".join(encoded(*each) for each in messages)
        edges = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        cuts = [0, *edges, len(stream)]
        chunks = [stream[begin:end] for begin, end in pairwise(cuts)]

        self.assertEqual(read(*chunks), (messages, None))

    @given(st.lists(st.tuples(HEADERS, st.binary(max_size=30)), min_size=1, max_size=3))
    @settings(max_examples=100, deadline=None, derandomize=True)
    def test_aws_reads_what_is_written(
        self, messages: list[tuple[dict[str, HeaderValue], bytes]]
    ) -> None:
        """Our encoder is only as good as somebody else's decoder says."""
        theirs = EventStreamBuffer()
        theirs.add_data(b"".join(encoded(*each) for each in messages))

        self.assertEqual([(each.headers, each.payload) for each in theirs], messages)

    @given(st.lists(st.binary(max_size=60), max_size=6))
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_bytes_are_survived(self, chunks: list[bytes]) -> None:
        found, fault = read(*chunks)

        self.assertEqual((found, fault is None), ([], not any(chunks)))

    @given(st.integers(0, 3 * len(ONE) - 1), st.integers(1, 255), st.integers(1, 70))
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_no_changed_byte_goes_unseen(self, at: int, change: int, size: int) -> None:
        stream = bytearray(ONE * 3)
        stream[at] ^= change

        found, fault = read(
            *(bytes(stream[begin : begin + size]) for begin in range(0, len(stream), size))
        )

        self.assertIsNotNone(fault)
        self.assertEqual(found, read(ONE)[0] * (at // len(ONE)))
