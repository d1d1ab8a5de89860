"""A line is read back as it was written, whatever a client sent; anything else is recognised."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.clock import utc
from bridge.domain.ids import day_of, uuid7
from bridge.domain.records import (
    AnyRecord,
    AuditRecorded,
    ModelThoughtRecorded,
    Record,
    StoredObjectRecorded,
    TokenUsageRecorded,
)
from bridge.journal.format import (
    DamagedLine,
    JournalLine,
    decode_line,
    encode_body,
    encode_line,
    frame,
    moment_of,
)
from tests.journal.samples import NOW, ended, started, tool
from tests.support.cases import BridgeTestCase

_ID = uuid7(NOW)
_READER = msgspec.json.Decoder(AnyRecord)

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=60)
_WILD = st.text(st.characters(), max_size=60)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def thought(content: str, metadata: dict[str, object] | None = None) -> ModelThoughtRecorded:
    return ModelThoughtRecorded(
        id=_ID,
        day=day_of(_ID),
        at=utc(NOW),
        interception_id=_ID,
        n=1,
        content=content,
        metadata=metadata or {},
    )


def usage(tokens: int, metadata: dict[str, object] | None = None) -> TokenUsageRecorded:
    return TokenUsageRecorded(
        id=_ID,
        day=day_of(_ID),
        at=utc(NOW),
        interception_id=_ID,
        n=1,
        provider_response_id="msg_1",
        input_tokens=tokens,
        output_tokens=1,
        cache_read_input_tokens=0,
        cache_write_input_tokens=0,
        usage_source="provider_final",
        metadata=metadata or {},
    )


class LineTests(BridgeTestCase):
    def read(self, raw: bytes) -> JournalLine:
        self.assertTrue(raw.endswith(b"\n"))
        line = decode_line(raw[:-1], 3, 99)
        assert isinstance(line, JournalLine), line
        return line

    def record(self, line: JournalLine) -> Any:
        return _READER.decode(line.body)

    def test_every_record_is_read_back_as_it_was(self) -> None:
        records: tuple[Record, ...] = (started(_ID), tool(_ID), ended(_ID), thought("hm"), usage(3))

        found = [self.record(self.read(encode_line(record, 1))) for record in records]

        self.assertEqual(found, list(records))

    def test_the_envelope_says_what_the_store_sorts_by(self) -> None:
        line = self.read(encode_line(tool(_ID), 17))

        self.assertEqual((line.seq, line.kind), (17, "tool_usage"))
        self.assertEqual((line.day, line.interception_id), (day_of(_ID), _ID))
        self.assertEqual((line.segment, line.end_offset), (3, 99))
        self.assertEqual(moment_of(line), utc(NOW))

    @settings(max_examples=60, deadline=None, database=None)
    @given(content=_TEXT, metadata=st.dictionaries(_TEXT, _JSON, max_size=3))
    def test_any_content_comes_back(self, content: str, metadata: dict[str, object]) -> None:
        record = thought(content, metadata)

        raw = encode_line(record, 1)

        self.assertNotIn(b"\n", raw[:-1])
        self.assertEqual(self.record(self.read(raw)), record)
        self.assertFalse(encode_body(record)[1])

    @settings(max_examples=60, deadline=None, database=None)
    @given(content=_WILD)
    def test_what_postgres_cannot_hold_is_made_holdable(self, content: str) -> None:
        raw = encode_line(thought(content), 1)

        found = self.record(self.read(raw)).content
        self.assertNotIn("\0", found)
        found.encode()  # holds no lone surrogate

    def test_nul_and_lone_surrogates_become_replacement_characters(self) -> None:
        body, altered = encode_body(thought("a\0b\ud800c \\u0000 \U0001f600"))

        self.assertTrue(altered)
        self.assertEqual(msgspec.json.decode(body)["content"], "a\ufffdb\ufffdc \\u0000 \U0001f600")

    def test_a_pair_of_surrogates_becomes_the_character_it_means(self) -> None:
        body, _ = encode_body(thought("\ud83d\ude00"))

        self.assertEqual(msgspec.json.decode(body)["content"], "\U0001f600")

    def test_an_overlong_id_is_cut_and_said_to_be(self) -> None:
        record = msgspec.structs.replace(started(_ID), client_session_id="x" * 5000)

        body, altered = encode_body(record)

        self.assertTrue(altered)
        self.assertEqual(len(msgspec.json.decode(body)["client_session_id"]), 512)

    def test_an_overlong_id_of_a_stored_object_is_cut(self) -> None:
        record = StoredObjectRecorded(
            id=_ID,
            day=day_of(_ID),
            at=utc(NOW),
            interception_id=_ID,
            object_id="x" * 5000,
            provider_name="openai",
            initiator_id=_ID,
        )

        body, altered = encode_body(record)

        self.assertTrue(altered)
        self.assertEqual(len(msgspec.json.decode(body)["object_id"]), 512)

    def test_content_is_never_cut(self) -> None:
        body, altered = encode_body(started(_ID, prompt="p" * 100_000))

        self.assertFalse(altered)
        self.assertEqual(len(msgspec.json.decode(body)["prompt"]), 100_000)

    def test_a_nonsensical_count_still_fits_its_column(self) -> None:
        unsigned, _ = encode_body(usage(2**63))
        enormous, altered = encode_body(usage(10**30, {"odd": 10**30}))

        self.assertTrue(altered)
        self.assertEqual(msgspec.json.decode(unsigned)["input_tokens"], 2**63 - 1)
        self.assertEqual(msgspec.json.decode(enormous)["input_tokens"], 2**63 - 1)
        self.assertEqual(msgspec.json.decode(enormous)["metadata"], {"odd": 10**30})

    def test_endless_nesting_is_cut_off(self) -> None:
        deep: dict[str, object] = {}
        for _ in range(5000):
            deep = {"a": deep}

        body, altered = encode_body(thought("x", deep))

        self.assertTrue(altered)
        self.assertLess(len(body), 2000)

    def test_values_json_does_not_know_are_named(self) -> None:
        body, altered = encode_body(thought("x", {"odd": object()}))

        self.assertTrue(altered)
        self.assertEqual(msgspec.json.decode(body)["metadata"], {"odd": "<object>"})


class DamageTests(BridgeTestCase):
    def reason(self, raw: bytes) -> str:
        line = decode_line(raw, 1, len(raw) + 1)
        assert isinstance(line, DamagedLine)
        self.assertEqual(line.raw, raw)
        return line.reason

    def test_any_changed_byte_is_noticed(self) -> None:
        raw = encode_line(tool(_ID), 1)[:-1]

        found = {
            type(decode_line(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], 1, 0))
            for at in range(len(raw))
        }

        self.assertEqual(found, {DamagedLine})

    def test_any_shortened_line_is_noticed(self) -> None:
        raw = encode_line(tool(_ID), 1)[:-1]

        found = {type(decode_line(raw[:end], 1, 0)) for end in range(len(raw))}

        self.assertEqual(found, {DamagedLine})

    def test_a_checksum_in_capitals_is_not_ours(self) -> None:
        lines = (encode_line(tool(_ID), seq)[:-1] for seq in range(1, 100))
        raw = next(line for line in lines if line[:8].upper() != line[:8])

        self.assertEqual(self.reason(raw[:8].upper() + raw[8:]), "wrong checksum")

    def test_a_later_format_is_named(self) -> None:
        body = frame(encode_body(tool(_ID))[0], 1)[9:-1].replace(b'{"v":1', b'{"v":2')

        reason = self.reason(b"%08x %s" % (zlib.crc32(body), body))

        self.assertEqual(reason, "written in format 2, this version reads 1")

    def test_an_unknown_kind_is_named(self) -> None:
        body = frame(encode_body(tool(_ID))[0], 1)[9:-1].replace(b"tool_usage", b"tool_abuse")

        self.assertEqual(self.reason(b"%08x %s" % (zlib.crc32(body), body)), "unknown kind")

    def test_something_else_with_a_right_checksum_is_no_record(self) -> None:
        body = b"[1, 2]"

        self.assertIn("envelope", self.reason(b"%08x %s" % (zlib.crc32(body), body)))

    def test_audit_rows_have_no_interception(self) -> None:
        record = AuditRecorded(
            id=_ID,
            day=day_of(_ID),
            at=utc(NOW),
            action="refusal",
            actor_id=None,
            actor_name=None,
            token_id=None,
            target="/anthropic/v1/messages",
            status=401,
            reason="no token",
            source="127.0.0.1",
            detail={},
        )

        line = decode_line(encode_line(record, 1)[:-1], 1, 0)

        assert isinstance(line, JournalLine)
        self.assertIsNone(line.interception_id)
