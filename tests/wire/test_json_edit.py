"""Values in JSON text are found and changed, and every other byte stays."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.wire.json_edit import members_of, replaced, rewritten, span_of, with_member
from tests.support.cases import BridgeTestCase

KEYS = st.sampled_from(["a", "b", "é", 'q"', "back\\slash", "{", "[1]", "\ud83d", "", "a:b,"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(['"', "\\", '\\"', "}{][", '","a":1,"', "\\\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, VALUES, max_size=4)


def written(value: object, indent: int | None, *, ascii_only: bool) -> bytes:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


def read(text: bytes) -> Any:
    return json.loads(text.decode("utf-8", "surrogatepass"))


def found_in(text: bytes, *path: str) -> bytes | None:
    """Return the value at `path`, key by key from the top-level object inwards."""
    for key in path:
        span = span_of(members_of(text, at_most=100) or (), key)
        if span is None:
            return None
        text = text[slice(*span)]
    return text


class SpanTests(BridgeTestCase):
    """A value is found where a parser would read it."""

    def check(self, found: bytes | None, text: bytes, *path: str) -> None:
        self.assertEqual(found_in(text, *path), found)

    def test_scalar_is_found_without_the_space_around_it(self) -> None:
        self.check(b"12.5e3", b' { "a" :\t12.5e3 , "b" : 2 } ', "a")

    def test_last_member_is_found(self) -> None:
        self.check(b"true", b'{"a":1,"b":true\n}', "b")

    def test_nested_value_is_found(self) -> None:
        self.check(b'[{"c":1}]', b'{"b":{"c":0},"a":{"b":[{"c":1}]}}', "a", "b")

    def test_last_of_several_wins(self) -> None:
        self.check(b"3", b'{"a":{"b":1},"a":{"b":2,"b":3}}', "a", "b")

    def test_last_of_several_that_is_no_object_hides_the_others(self) -> None:
        self.check(None, b'{"a":{"b":1},"a":5}', "a", "b")

    def test_same_key_further_in_is_another(self) -> None:
        self.check(None, b'{"x":{"a":1},"y":[{"a":2}],"z":"\\"a\\":3"}', "a")

    def test_key_spelled_with_escapes_is_the_same(self) -> None:
        self.check(b"1", b'{"\\u0061\\"":1}', 'a"')

    def test_text_that_looks_like_a_key_is_none(self) -> None:
        self.check(b'"a"', b'{"b":"\\",\\"a\\":1","a":"a"}', "a")

    def test_strings_that_end_in_backslashes_are_followed(self) -> None:
        self.check(b"1", b'{"b":"\\\\","c":"\\\\\\"","a":1}', "a")

    def test_byte_order_mark_is_passed_over(self) -> None:
        self.check(b"1", b'\xef\xbb\xbf{"a":1}', "a")

    def test_missing_key_is_not_found(self) -> None:
        self.check(None, b'{"a":1}', "b")

    def test_array_at_the_top_is_not_found(self) -> None:
        self.check(None, b'[{"a":1}]', "a")

    def test_cut_text_is_not_found(self) -> None:
        self.check(None, b'{"a":{"b":1}', "a", "b")

    def test_empty_text_is_not_found(self) -> None:
        self.check(None, b"", "a")

    def test_a_million_levels_cost_no_stack(self) -> None:
        deep = b"[" * 1_000_000 + b"]" * 1_000_000

        self.check(None, b'{"x":' + deep + b',"a":1}', "a")

    def test_quotes_by_the_million_are_no_object(self) -> None:
        self.check(None, b'{"x":' + b'""' * 1_000_000 + b"}", "a")

    def test_lone_surrogates_and_stray_bytes_before_it_move_nothing(self) -> None:
        text = b'{"x":"\\ud83d \\uDC00 \\\\ud83d \xe9","\\uD83D":"\\ud83d\\ude00","a":1}'

        self.check(b"1", text, "a")
        self.check(b'"\\ud83d\\ude00"', text, "\ud83d")

    @given(OBJECTS, st.sampled_from([None, 0, 2]), st.booleans())
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_every_member_is_found_as_a_parser_reads_it(
        self, value: dict[str, Any], indent: int | None, ascii_only: bool
    ) -> None:
        text = written(value, indent, ascii_only=ascii_only)

        for key, inner in value.items():
            found = found_in(text, key)
            assert found is not None
            self.assertEqual(read(found), inner)
            for further, innermost in inner.items() if isinstance(inner, dict) else ():
                found = found_in(text, key, further)
                assert found is not None
                self.assertEqual(read(found), innermost)
        self.assertIsNone(found_in(text, "not there"))

    @given(st.text(alphabet='{}[]":,\\ a1\n', max_size=40), KEYS)
    @settings(max_examples=500, deadline=None, derandomize=True)
    def test_any_text_is_survived(self, text: str, key: str) -> None:
        given_text = text.encode()

        span = span_of(members_of(given_text, at_most=100) or (), key)

        if span is not None:
            self.assertTrue(0 < span[0] < span[1] <= len(given_text))

    @given(st.text(alphabet='{}[]":,\\ a1\n', max_size=24))
    @settings(max_examples=500, deadline=None, derandomize=True)
    def test_what_is_json_is_read_right(self, inner: str) -> None:
        text = '{"a":' + inner + "}"
        try:
            value = json.loads(text)
        except ValueError:
            return

        found = found_in(text.encode(), "a")

        assert found is not None
        self.assertEqual(json.loads(found), value["a"])


class EditTests(BridgeTestCase):
    """An edit changes one place."""

    def test_value_is_replaced_and_the_rest_stays(self) -> None:
        self.assertEqual(replaced(b'{ "a" : 1 }', (8, 9), b"[2]"), b'{ "a" : [2] }')

    def test_member_is_added_as_the_last(self) -> None:
        self.assertEqual(with_member(b'{"a":1 }\n', 8, "b", b"2"), b'{"a":1 ,"b":2}\n')

    def test_large_text_is_changed_like_a_small_one(self) -> None:
        text = b'{"a":"' + b"x" * 3_000_000 + b'" \n}'
        span = span_of(members_of(text, at_most=1) or (), "a")

        assert span is not None
        self.assertEqual(replaced(text, span, b"7"), b'{"a":7 \n}')
        self.assertEqual(with_member(text, len(text), "b", b"2"), text[:-1] + b',"b":2}')

    def test_member_is_added_to_an_empty_object(self) -> None:
        self.assertEqual(with_member(b"{ }", 3, 'b"', b"2"), b'{ "b\\"":2}')

    @given(OBJECTS, KEYS, st.sampled_from([None, 2]))
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_any_object_takes_a_member(
        self, value: dict[str, Any], key: str, indent: int | None
    ) -> None:
        text = written(value, indent, ascii_only=True)

        self.assertEqual(read(with_member(text, len(text), key, b"7")), {**value, key: 7})


class MemberTests(BridgeTestCase):
    """Several members are changed at once, and each of the others keeps its bytes."""

    def rewrite(self, text: bytes, **changes: bytes | None) -> bytes:
        members = members_of(text, at_most=100)
        assert members is not None
        return rewritten(text, members, changes)

    def test_members_go_with_what_stands_before_them(self) -> None:
        text = b'{ "a":1 , "b" : [2] ,"c":3\n}'

        self.assertEqual(self.rewrite(text, a=None), b'{ "b" : [2] ,"c":3\n}')
        self.assertEqual(self.rewrite(text, b=None), b'{ "a":1 ,"c":3\n}')
        self.assertEqual(self.rewrite(text, c=None), b'{ "a":1 , "b" : [2]\n}')
        self.assertEqual(self.rewrite(text, a=None, b=None, c=None), b"{ \n}")
        self.assertEqual(self.rewrite(text, d=None), text)

    def test_values_are_replaced_and_added(self) -> None:
        text = b'{ "a":1 , "b" : [2] }'

        self.assertEqual(self.rewrite(text, a=b"0", c=b"3"), b'{ "a":0 , "b" : [2],"c":3 }')
        self.assertEqual(self.rewrite(text, a=None, b=None, c=b"3"), b'{ "c":3 }')
        self.assertEqual(self.rewrite(b"{}", c=b"3"), b'{"c":3}')

    def test_of_several_the_last_is_replaced_and_all_are_left_out(self) -> None:
        text = b'{"a":1,"b":2,"\\u0061":3}'

        self.assertEqual(self.rewrite(text, a=b"0"), b'{"a":1,"b":2,"\\u0061":0}')
        self.assertEqual(self.rewrite(text, a=None), b'{"b":2}')

    def test_text_that_the_decoder_refuses_is_read(self) -> None:
        text = b'\xef\xbb\xbf{"a":"\\ud83d","b":[]}'

        self.assertEqual(self.rewrite(text, b=None), b'\xef\xbb\xbf{"a":"\\ud83d"}')

    def test_members_by_the_million_are_not_listed(self) -> None:
        for unit in (b',"a":1', b',"\\u0061" : {}'):
            text = b'{"b":0' + unit * 1_000_000 + b"}"

            self.assertIsNone(members_of(text, at_most=1000))

    def test_what_is_no_object_or_has_too_many_has_none(self) -> None:
        for text in (b"", b"[]", b'{"a":1', b'{"a":1 "b":2}', b'{"a"}', b'{"a":1,"b":2,"a":3}'):
            self.assertIsNone(members_of(text, at_most=2))

    @given(OBJECTS, st.dictionaries(KEYS, st.none() | st.just(b"7"), max_size=3), st.booleans())
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_object_is_changed_as_a_parser_would(
        self, value: dict[str, Any], changes: dict[str, bytes | None], ascii_only: bool
    ) -> None:
        text = written(value, None, ascii_only=ascii_only)
        members = members_of(text, at_most=100)
        assert members is not None

        found = read(rewritten(text, members, changes))

        kept = {key: inner for key, inner in value.items() if changes.get(key, b"") is not None}
        new = {key: 7 for key, change in changes.items() if change is not None}
        self.assertEqual(found, {**kept, **new})
