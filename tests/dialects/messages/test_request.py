"""What is read from a Messages request."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.interface import RequestSummary
from bridge.dialects.messages.request import summarize
from bridge.domain.errors import BadRequest
from tests.support.cases import BridgeTestCase

REMINDER = "<system-reminder>\nToday is Tuesday.\n</system-reminder>"
DETAILS = "\n\n<environment_details>\nMessage time: now\n</environment_details>"
DATE = "<current_datetime>2026-11-25T20:39:02.529+00:00</current_datetime>\n\n"
OPENER = "Generate a title for this conversation:\n"


def body(*messages: object, **fields: object) -> bytes:
    return json.dumps({"model": "claude-x", **fields, "messages": list(messages)}).encode()


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def text(words: object) -> dict[str, object]:
    return {"type": "text", "text": words}


def result(call: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": call, "content": "42"}


class ModelAndStreamTests(BridgeTestCase):
    """What the client asked for, as it wrote it."""

    def test_model_and_stream_are_read(self) -> None:
        summary = summarize(body(user("hi"), stream=True))

        self.assertEqual((summary.model, summary.streaming), ("claude-x", True))
        self.assertFalse(summary.partially_observed)

    def test_stream_missing_is_a_document(self) -> None:
        self.assertFalse(summarize(body(user("hi"))).streaming)

    def test_stream_as_text_is_a_document_and_odd(self) -> None:
        summary = summarize(body(user("hi"), stream="true"))

        self.assertEqual((summary.streaming, summary.partially_observed), (False, True))

    def test_stream_as_number_is_a_document_and_odd(self) -> None:
        summary = summarize(body(user("hi"), stream=1))

        self.assertEqual((summary.streaming, summary.partially_observed), (False, True))

    def test_missing_model_is_empty(self) -> None:
        summary = summarize(b'{"messages":[]}')

        self.assertEqual((summary.model, summary.partially_observed), ("", False))

    def test_model_that_is_no_text_is_empty_and_odd(self) -> None:
        summary = summarize(body(user("hi"), model=["claude"]))

        self.assertEqual((summary.model, summary.partially_observed), ("", True))
        self.assertEqual(summary.prompt, "hi")

    def test_session_hint_is_the_user_id(self) -> None:
        summary = summarize(body(user("hi"), metadata={"user_id": "u_session_1"}))

        self.assertEqual(summary.session_hints, {"metadata.user_id": "u_session_1"})

    def test_user_id_that_is_no_text_is_no_hint(self) -> None:
        self.assertEqual(summarize(body(metadata={"user_id": 7})).session_hints, {})

    def test_metadata_that_is_no_object_is_no_hint(self) -> None:
        self.assertEqual(summarize(body(metadata="me")).session_hints, {})

    def test_unknown_fields_pass(self) -> None:
        summary = summarize(body(user("hi"), context_management={"edits": []}, new=None))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))


class PromptTests(BridgeTestCase):
    """The prompt is what a human wrote last."""

    def check(self, prompt: str | None, *messages: object) -> None:
        self.assertEqual(summarize(body(*messages)).prompt, prompt)

    def test_text_content_is_the_prompt_untrimmed(self) -> None:
        self.check(" how?\n", user("first"), {"role": "assistant", "content": "x"}, user(" how?\n"))

    def test_empty_text_content_is_an_empty_prompt(self) -> None:
        self.check("", user(""))

    def test_last_text_block_is_the_prompt(self) -> None:
        self.check("two", user([text("one"), text("two"), {"type": "image", "source": {}}]))

    def test_reminder_before_the_prompt_is_passed_over(self) -> None:
        self.check("fix it", user([text(REMINDER), text("fix it")]))

    def test_system_messages_behind_the_humans_are_passed_over(self) -> None:
        context = {"role": "system", "content": "Available agent types: …"}

        self.check("fix it", user([text(REMINDER), text("fix it")]), context, context)

    def test_a_system_message_behind_tool_results_makes_no_prompt(self) -> None:
        context = {"role": "system", "content": "todo list"}
        summary = summarize(body(user("first"), user([result("toolu_1")]), context))

        self.assertEqual((summary.prompt, summary.correlating_tool_call_id), (None, "toolu_1"))

    def test_nothing_but_system_messages_has_no_prompt(self) -> None:
        self.check(None, *[{"role": "system", "content": "x"}] * 40)

    def test_reminder_after_the_prompt_is_passed_over(self) -> None:
        self.check("fix it", user([text("fix it"), text(REMINDER + "\n")]))

    def test_several_reminders_in_one_block_are_passed_over(self) -> None:
        self.check("fix it", user([text("fix it"), text(f"\n{REMINDER}\n\n{REMINDER}")]))

    def test_reminder_with_words_after_it_is_a_prompt(self) -> None:
        self.check(f"{REMINDER}\ngo on", user([text(f"{REMINDER}\ngo on")]))

    def test_reminder_that_is_not_closed_is_a_prompt(self) -> None:
        self.check("<system-reminder> what is this?", user("<system-reminder> what is this?"))

    def test_only_reminders_are_no_prompt(self) -> None:
        self.check(None, user([text(REMINDER), text(REMINDER)]))

    def test_text_content_that_is_a_reminder_is_no_prompt(self) -> None:
        self.check(None, user(REMINDER))

    def test_details_of_the_environment_are_passed_over(self) -> None:
        self.check("fix it", user([text("fix it"), text(DETAILS)]))
        self.check(None, user([result("toolu_1"), text(DETAILS)]))
        self.check(None, user(DETAILS))

    def test_details_behind_the_words_in_one_text_stay(self) -> None:
        self.check(f"fix it{DETAILS}", user(f"fix it{DETAILS}"))

    def test_date_in_front_is_cut(self) -> None:
        self.check(" how?\n", user(f"{DATE} how?\n"))
        self.check("how?", user([text(REMINDER), text(f"{DATE}how?")]))

    def test_date_alone_is_no_prompt(self) -> None:
        self.check(None, user(DATE))

    def test_title_of_what_follows_is_no_prompt(self) -> None:
        self.check(None, user([text(OPENER), text("fix it")]))
        self.check(None, user([text(OPENER), {"type": "image", "source": {}}]))

    def test_words_like_a_title_request_later_on_are_a_prompt(self) -> None:
        later = user([text(OPENER), text("fix it")])

        self.check("fix it", user("hi"), {"role": "assistant", "content": "x"}, later)
        self.check(OPENER, user([text("hi"), text(OPENER)]))

    def test_tool_results_alone_are_no_prompt(self) -> None:
        self.check(None, user("go"), user([result("toolu_1"), result("toolu_2")]))

    def test_tool_results_with_a_reminder_are_no_prompt(self) -> None:
        self.check(None, user([result("toolu_1"), text(REMINDER)]))

    def test_tool_results_with_words_are_a_prompt(self) -> None:
        self.check("and now?", user([result("toolu_1"), text("and now?")]))

    def test_last_message_of_the_assistant_is_no_prompt(self) -> None:
        self.check(None, user("hi"), {"role": "assistant", "content": "{"})

    def test_unknown_role_is_no_prompt(self) -> None:
        self.check(None, {"role": "developer", "content": "hi"})

    def test_missing_role_is_no_prompt(self) -> None:
        self.check(None, {"content": "hi"})

    def test_null_content_is_no_prompt(self) -> None:
        self.check(None, user(None))

    def test_no_messages_are_no_prompt(self) -> None:
        self.check(None)

    def test_title_request_in_loose_json_is_no_prompt(self) -> None:
        odd = user([text(OPENER), text("\ud83d"), text("fix it")])

        self.assertIsNone(summarize(body(odd)).prompt)
        self.assertEqual(summarize(body(user("hi"), odd)).prompt, "fix it")

    def test_text_that_is_no_text_is_passed_over(self) -> None:
        self.check("words", user([text("words"), text(5), text(None)]))

    def test_blocks_that_are_no_objects_are_passed_over(self) -> None:
        self.check("words", user([text("words"), None, "loose", 3, ["x"]]))


class CorrelatingToolCallTests(BridgeTestCase):
    """A turn that returns a tool's result names the call it answers."""

    def check(self, call: str | None, *messages: object) -> None:
        self.assertEqual(summarize(body(*messages)).correlating_tool_call_id, call)

    def test_last_result_wins(self) -> None:
        self.check("toolu_2", user([result("toolu_1"), result("toolu_2"), text("x")]))

    def test_only_the_last_message_counts(self) -> None:
        self.check(None, user([result("toolu_1")]), user("thanks"))

    def test_empty_and_odd_ids_are_passed_over(self) -> None:
        self.check("toolu_1", user([result("toolu_1"), result(""), result(9)]))

    def test_role_does_not_matter(self) -> None:
        self.check("toolu_1", {"role": "tool", "content": [result("toolu_1")]})


class OddBodyTests(BridgeTestCase):
    """A body that the provider may judge passes; one that is no JSON object does not."""

    def refused(self, given_body: bytes) -> str:
        return self.assertRaises(BadRequest, summarize, given_body).message

    def passes_unread(self, given_body: bytes) -> RequestSummary:
        summary = summarize(given_body)
        self.assertTrue(summary.partially_observed)
        return summary

    def test_empty_is_refused(self) -> None:
        self.assertIn("empty", self.refused(b""))

    def test_blank_is_refused(self) -> None:
        self.assertIn("empty", self.refused(b" \r\n\t"))

    def test_text_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(b"hello"))

    def test_array_is_refused(self) -> None:
        self.assertIn("not a JSON object", self.refused(b"[]"))

    def test_null_is_refused(self) -> None:
        self.assertIn("not a JSON object", self.refused(b"null"))

    def test_cut_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(body(user("hi"))[:-3]))

    def test_text_after_the_object_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(b"{} {}"))

    def test_raw_nul_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(b'{"model":"a\x00b"}'))

    def test_nan_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(b'{"model":NaN}'))

    def test_utf_16_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused('{"model":"x"}'.encode("utf-16")))

    def test_deep_array_is_refused_as_no_object(self) -> None:
        self.assertIn("not a JSON object", self.refused(b"[" * 10_000 + b"]" * 10_000))

    def test_ten_thousand_levels_pass_unread(self) -> None:
        self.passes_unread(b'{"model":"m","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}")

    def test_deep_last_message_passes_unread(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000
        self.passes_unread(b'{"messages":[{"role":"user","content":[{"x":' + deep + b"}]}]}")

    def test_written_nul_is_part_of_the_prompt(self) -> None:
        self.assertEqual(summarize(body(user("a\x00b"))).prompt, "a\x00b")

    def test_lone_surrogate_in_the_prompt_is_read_and_odd(self) -> None:
        summary = self.passes_unread(body(user("half \ud83d")))

        self.assertEqual(summary.prompt, "half \ud83d")

    def test_lone_surrogate_elsewhere_costs_nothing(self) -> None:
        summary = summarize(body(user("\ud83d"), user("hi")))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

    def test_stray_bytes_are_replaced_and_odd(self) -> None:
        summary = self.passes_unread(b'{"messages":[{"role":"user","content":"caf\xe9"}]}')

        self.assertEqual(summary.prompt, "caf\ufffd")

    def test_byte_order_mark_is_passed_over(self) -> None:
        summary = summarize(b"\xef\xbb\xbf" + body(user("hi")))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

    def test_messages_that_are_no_array_are_odd(self) -> None:
        summary = self.passes_unread(b'{"model":"m","messages":{"role":"user"}}')

        self.assertEqual((summary.model, summary.prompt), ("m", None))

    def test_last_message_that_is_no_object_is_odd(self) -> None:
        self.assertIsNone(self.passes_unread(body(user("hi"), "loose")).prompt)

    def test_content_of_another_type_is_odd(self) -> None:
        self.assertIsNone(self.passes_unread(body(user({"text": "hi"}))).prompt)

    def test_huge_number_costs_no_time(self) -> None:
        summary = summarize(b'{"model":' + b"9" * 100_000 + b',"messages":[]}')

        self.assertEqual((summary.model, summary.partially_observed), ("", True))

    def test_large_body_with_a_lone_surrogate_passes_unread(self) -> None:
        self.passes_unread(body(user("x" * 5_000_000 + "\ud83d")))

    def test_large_broken_body_is_refused(self) -> None:
        self.refused(body(user("x" * 5_000_000))[:-1])

    @given(st.binary(max_size=60))
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_bytes_are_read_or_refused(self, given_body: bytes) -> None:
        self.read_or_refuse(given_body)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "model",
                            "stream",
                            "metadata",
                            "user_id",
                            "messages",
                            "role",
                            "content",
                            "type",
                            "text",
                            "tool_use_id",
                            "user",
                            "tool_result",
                        ]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=20,
        )
    )
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_json_is_read_or_refused(self, value: object) -> None:
        self.read_or_refuse(json.dumps(value).encode())

    def read_or_refuse(self, given_body: bytes) -> None:
        try:
            summary = summarize(given_body)
        except BadRequest as e:
            self.assertIn("request body", e.message)
        else:
            self.assertIsInstance(summary, RequestSummary)
