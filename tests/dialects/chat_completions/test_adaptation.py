"""A stream is asked for its token counts, and nothing else of the request changes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.chat_completions.passage import UsagePassage
from bridge.dialects.interface import Adaptation
from tests.support.cases import BridgeTestCase

ASKING = {"include_usage": True}


def adapted(body: bytes) -> Adaptation | None:
    dialect = ChatCompletions()
    return dialect.adapted(body, dialect.summarize(body))


class AdaptationTests(BridgeTestCase):
    """`stream_options.include_usage` becomes true by one edit."""

    def becomes(self, given_body: bytes, expected: bytes) -> None:
        adaptation = adapted(given_body)
        assert adaptation is not None
        self.assertEqual(adaptation.body, expected)

    def stays(self, given_body: bytes) -> None:
        self.assertTrue(adapted(given_body) is None)

    def test_absent_options_are_added_as_the_last_member(self) -> None:
        self.becomes(
            b'{"stream": true,\n "model":"m"}',
            b'{"stream": true,\n "model":"m","stream_options":{"include_usage":true}}',
        )

    def test_white_space_and_byte_order_mark_stay(self) -> None:
        self.becomes(
            b'\xef\xbb\xbf {"stream":true\n} \r\n',
            b'\xef\xbb\xbf {"stream":true\n,"stream_options":{"include_usage":true}} \r\n',
        )

    def test_null_options_are_replaced(self) -> None:
        self.becomes(
            b'{"stream_options" : null ,"stream":true}',
            b'{"stream_options" : {"include_usage":true} ,"stream":true}',
        )

    def test_other_options_are_kept(self) -> None:
        self.becomes(
            b'{"stream_options":{"include_obfuscation":false },"stream":true}',
            b'{"stream_options":{"include_obfuscation":false ,"include_usage":true},"stream":true}',
        )

    def test_empty_options_are_filled(self) -> None:
        self.becomes(
            b'{"stream_options":{},"stream":true}',
            b'{"stream_options":{"include_usage":true},"stream":true}',
        )

    def test_false_becomes_true(self) -> None:
        self.becomes(
            b'{"stream_options":{"include_usage": false,"x":[1]},"stream":true}',
            b'{"stream_options":{"include_usage": true,"x":[1]},"stream":true}',
        )

    def test_null_becomes_true(self) -> None:
        self.becomes(
            b'{"stream":true,"stream_options":{"include_usage":null}}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
        )

    def test_last_of_several_options_is_changed(self) -> None:
        self.becomes(
            b'{"stream_options":{"include_usage":true},"stream":true,"stream_options":null}',
            b'{"stream_options":{"include_usage":true},"stream":true,'
            b'"stream_options":{"include_usage":true}}',
        )

    def test_options_spelled_with_escapes_are_the_same(self) -> None:
        self.stays(b'{"stream":true,"\\u0073tream_options":{"include_usage":true}}')

    def test_options_in_a_text_are_none(self) -> None:
        self.becomes(
            b'{"messages":[{"stream_options":{"include_usage":true}}],"stream":true}',
            b'{"messages":[{"stream_options":{"include_usage":true}}],"stream":true,'
            b'"stream_options":{"include_usage":true}}',
        )

    def test_body_with_lone_surrogates_and_stray_bytes_is_adapted(self) -> None:
        self.becomes(
            b'{"user":"\\ud83d \xe9","stream":true}',
            b'{"user":"\\ud83d \xe9","stream":true,"stream_options":{"include_usage":true}}',
        )

    def test_client_that_asks_gets_what_it_asks_for(self) -> None:
        self.stays(b'{"stream":true,"stream_options":{"include_usage":true}}')

    def test_document_stays(self) -> None:
        self.stays(b'{"stream":false}')
        self.stays(b"{}")
        self.stays(b'{"stream":"true"}')

    def test_options_of_an_odd_type_are_left_to_the_provider(self) -> None:
        self.stays(b'{"stream":true,"stream_options":["include_usage"]}')
        self.stays(b'{"stream":true,"stream_options":{"include_usage":"yes"}}')
        self.stays(b'{"stream":true,"stream_options":{"include_usage":1}}')

    def test_body_with_thousands_of_members_stays(self) -> None:
        self.stays(b'{"stream":true,"stream_options":{"a":1}' + b',"a":1' * 150_000 + b"}")
        self.stays(b'{"stream":true,"stream_options":{"a":1' + b',"a":1' * 150_000 + b"}}")

    def test_options_in_a_large_body_stay(self) -> None:
        self.stays(b'{"stream":true,"stream_options":{},"x":"' + b"x" * 5_000_000 + b'"}')

    def test_options_behind_a_hundred_thousand_brackets_are_changed(self) -> None:
        body = b'{"stream":true,"x":[' + b"[]," * 100_000 + b'1],"stream_options":'

        self.becomes(body + b"null}", body + b'{"include_usage":true}}')

    def test_large_body_without_options_is_adapted(self) -> None:
        body = b'{"stream":true,"x":[' + b"[]," * 1_700_000 + b'"\\u00e9 \\u0060"]'

        self.becomes(body + b"}", body + b',"stream_options":{"include_usage":true}}')

    def test_body_whose_texts_spell_letters_with_escapes_is_adapted(self) -> None:
        self.becomes(
            b'{"user":"\\u0073tream_options","stream":true}',
            b'{"user":"\\u0073tream_options","stream":true,"stream_options":{"include_usage":true}}',
        )

    def test_options_spelled_with_escapes_are_filled_where_they_stand(self) -> None:
        self.becomes(
            b'{"stream_option\\u0073":{},"stream":true}',
            b'{"stream_option\\u0073":{"include_usage":true},"stream":true}',
        )

    def test_agents_body_with_escapes_and_half_characters_is_adapted(self) -> None:
        properties = {
            f"p{n}": {"type": "string", "description": "caf\u00e9 \x1b[1m"} for n in range(20)
        }
        tools = [{"name": f"t{n}", "parameters": {"properties": properties}} for n in range(80)]
        body = json.dumps({"messages": "\ud83d", "tools": tools, "stream": True}).encode()
        self.assertGreater(len(body), 100_000)

        self.becomes(
            body[:-1] + b', "stream_options": {"include_usage": false}}',
            body[:-1] + b', "stream_options": {"include_usage": true}}',
        )

    def test_answer_goes_through_a_passage_of_its_own(self) -> None:
        adaptation = adapted(b'{"stream":true}')

        assert adaptation is not None
        self.assertIsInstance(adaptation.passage(), UsagePassage)
        self.assertIsNot(adaptation.passage(), adaptation.passage())

    @given(
        st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.none(), max_size=3),
        st.sampled_from([..., None, {}, {"include_usage": False}, {"other": [{}]}]),
        st.sampled_from([None, 1]),
        st.booleans(),
    )
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_any_stream_asks_and_says_the_same_otherwise(
        self, rest: dict[str, Any], options: Any, indent: int | None, first: bool
    ) -> None:
        given_options = {} if options is ... else {"stream_options": options}
        value = {**given_options, **rest} if first else {**rest, **given_options}
        value["stream"] = True

        adaptation = adapted(json.dumps(value, indent=indent).encode())

        assert adaptation is not None
        kept = options if isinstance(options, dict) else {}
        self.assertEqual(
            json.loads(adaptation.body), {**value, "stream_options": {**kept, **ASKING}}
        )
