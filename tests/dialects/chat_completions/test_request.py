"""What is read from a Chat Completions request."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.chat_completions.request import summarize
from bridge.dialects.interface import RequestSummary
from bridge.domain.errors import BadRequest
from tests.support.cases import BridgeTestCase

REMINDER = "<system-reminder>\nToday is Tuesday.\n</system-reminder>"
DETAILS = "\n\n<environment_details>\nMessage time: now\n</environment_details>"
DATE = "<current_datetime>2026-11-25T20:39:02.529+00:00</current_datetime>\n\n"
OPENER = "Generate a title for this conversation:\n"
CONTEXT = [{"role": "system", "content": "todo"}, {"role": "developer", "content": "list"}]


def body(*messages: object, **fields: object) -> bytes:
    return json.dumps({"model": "gpt-x", **fields, "messages": list(messages)}).encode()


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def text(words: object) -> dict[str, object]:
    return {"type": "text", "text": words}


def assistant(content: object = None, *calls: str) -> dict[str, object]:
    made = [{"id": call, "type": "function", "function": {"name": "f"}} for call in calls]
    return {"role": "assistant", "content": content, "tool_calls": made}


def result(call: object) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call, "content": "42"}


class ModelAndStreamTests(BridgeTestCase):
    """What the client asked for, as it wrote it."""

    def test_model_and_stream_are_read(self) -> None:
        summary = summarize(body(user("hi"), stream=True))

        self.assertEqual((summary.model, summary.streaming), ("gpt-x", True))
        self.assertFalse(summary.partially_observed)

    def test_stream_missing_or_null_is_a_document(self) -> None:
        self.assertFalse(summarize(body(user("hi"))).streaming)
        self.assertFalse(summarize(body(user("hi"), stream=None)).streaming)

    def test_stream_of_another_type_is_a_document_and_odd(self) -> None:
        for odd in (b'"true"', b"1", b"{}"):
            summary = summarize(b'{"stream":' + odd + b"}")

            self.assertEqual((summary.streaming, summary.partially_observed), (False, True))

    def test_missing_model_is_empty(self) -> None:
        summary = summarize(b'{"messages":[]}')

        self.assertEqual((summary.model, summary.partially_observed), ("", False))

    def test_model_that_is_no_text_is_empty_and_odd(self) -> None:
        summary = summarize(body(user("hi"), model=["gpt"]))

        self.assertEqual((summary.model, summary.partially_observed), ("", True))
        self.assertEqual(summary.prompt, "hi")

    def test_session_hints_are_the_cache_key_and_the_user_id_in_the_metadata(self) -> None:
        summary = summarize(
            body(user="u", prompt_cache_key="k", metadata={"user_id": "m", "other": "x"})
        )

        self.assertEqual(summary.session_hints, {"prompt_cache_key": "k", "metadata.user_id": "m"})

    def test_hints_that_are_no_text_are_none(self) -> None:
        self.assertEqual(summarize(body(prompt_cache_key=7, metadata="me")).session_hints, {})

    def test_answer_is_stored_only_when_asked_for(self) -> None:
        self.assertTrue(summarize(body(user("hi"), store=True)).stores)
        self.assertTrue(summarize(body(user("\ud83d"), store=True)).stores)
        self.assertFalse(summarize(body(user("hi"), store=None)).stores)
        self.assertFalse(summarize(body(user("hi"))).stores)

    def test_unknown_fields_pass(self) -> None:
        summary = summarize(body(user("hi"), reasoning={"effort": "high"}, new=None))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))


class PromptTests(BridgeTestCase):
    """The prompt is what a human wrote last, in this turn."""

    def check(self, prompt: str | None, *messages: object) -> None:
        summary = summarize(body(*messages))
        self.assertEqual(summary.prompt, prompt)
        self.assertFalse(summary.partially_observed)

    def test_text_content_is_the_prompt_untrimmed(self) -> None:
        self.check(" how?\n", *CONTEXT, user("first"), assistant("x"), user(" how?\n"))

    def test_empty_text_content_is_an_empty_prompt(self) -> None:
        self.check("", user("first"), assistant("x"), user(""))

    def test_last_text_part_is_the_prompt(self) -> None:
        self.check("two", user([text("one"), text("two"), {"type": "image_url"}]))

    def test_reminders_around_the_prompt_are_passed_over(self) -> None:
        self.check("fix it", user([text(REMINDER), text("fix it"), text(REMINDER)]))

    def test_context_behind_the_prompt_is_passed_over(self) -> None:
        self.check("fix it", user("fix it"), *CONTEXT, *CONTEXT)

    def test_message_that_only_reminds_is_passed_over(self) -> None:
        self.check("fix it", user("fix it"), user(REMINDER), user([text(REMINDER)]))

    def test_only_reminders_are_no_prompt(self) -> None:
        self.check(None, user("first"), assistant("x"), user(REMINDER))

    def test_details_of_the_environment_are_passed_over(self) -> None:
        self.check("fix it", user([text("fix it"), text(DETAILS)]))
        self.check("fix it", user("fix it"), user(DETAILS))
        self.check(None, user("go"), assistant(None, "c"), result("c"), user([text(DETAILS)]))
        self.check(None, user(DETAILS))

    def test_details_behind_the_words_in_one_text_stay(self) -> None:
        self.check(f"fix it{DETAILS}", user(f"fix it{DETAILS}"))

    def test_date_in_front_is_cut(self) -> None:
        self.check(" how?\n", *CONTEXT, user(f"{DATE} how?\n"))
        self.check("how?", user([text(f"{DATE}how?"), text(REMINDER)]))

    def test_date_alone_is_no_prompt(self) -> None:
        self.check(None, user(DATE))

    def test_title_of_what_follows_is_no_prompt(self) -> None:
        self.check(None, *CONTEXT, user(OPENER), user("fix it"))
        self.check(None, user([text(OPENER)]), user([text("fix it"), text(DETAILS)]))
        self.check(None, user([text(OPENER), text("fix it")]))
        self.check(None, user(OPENER), user([{"type": "image_url"}]))

    def test_words_like_a_title_request_later_on_are_a_prompt(self) -> None:
        self.check("fix it", user("hi"), user(OPENER), user("fix it"))
        self.check("fix it", user("hi"), assistant("x"), user(OPENER), user("fix it"))
        self.check(OPENER, user("hi"), user(OPENER))

    def test_image_alone_is_no_prompt(self) -> None:
        self.check(None, user("first"), user([{"type": "image_url"}]))

    def test_tool_results_alone_are_no_prompt(self) -> None:
        self.check(None, user("go"), assistant(None, "call_1"), result("call_1"))

    def test_tool_results_with_a_reminder_are_no_prompt(self) -> None:
        self.check(None, user("go"), assistant(None, "c"), result("c"), user(REMINDER), *CONTEXT)

    def test_words_behind_tool_results_are_a_prompt(self) -> None:
        self.check("and now?", user("go"), assistant(None, "c"), result("c"), user("and now?"))

    def test_words_before_tool_results_are_of_another_turn(self) -> None:
        self.check(None, user("go"), result("c"))

    def test_beginning_of_the_answer_behind_the_prompt_is_passed_over(self) -> None:
        self.check("hi", user("hi"), assistant("{"))
        self.check("now", user("hi"), assistant("x"), user("now"), assistant("{"), assistant("1"))

    def test_answer_with_context_behind_it_ends_the_turn(self) -> None:
        self.check(None, user("hi"), assistant("done"), *CONTEXT)

    def test_beginning_of_the_answer_behind_a_result_is_no_prompt(self) -> None:
        self.check(None, user("go"), assistant(None, "c"), result("c"), assistant("{"))

    def test_role_in_capitals_is_the_same(self) -> None:
        self.check("hi", {"role": "User", "content": "hi"}, {"role": "SYSTEM", "content": "x"})

    def test_result_of_a_legacy_function_is_no_prompt(self) -> None:
        self.check(None, user("hi"), {"role": "function", "name": "f", "content": "42"})

    def test_nothing_but_context_has_no_prompt(self) -> None:
        self.check(None, *CONTEXT * 20)

    def test_prompt_before_a_hundred_messages_of_context_is_found(self) -> None:
        self.check("hi", user("hi"), *CONTEXT * 50)

    def test_null_content_is_no_prompt(self) -> None:
        self.check(None, user(None))
        self.check(None)

    def test_parts_that_are_no_texts_are_passed_over(self) -> None:
        self.check("words", user([text("words"), text(5), None, "loose", 3, ["x"]]))


class UnseenPromptTests(BridgeTestCase):
    """Where a human's words may have been missed, the request is marked."""

    def check(self, prompt: str | None, *messages: object) -> None:
        summary = summarize(body(*messages))
        self.assertEqual((summary.prompt, summary.partially_observed), (prompt, True))

    def test_more_context_than_is_read_hides_the_prompt(self) -> None:
        self.check(None, user("hi"), *CONTEXT * 200)

    def test_title_request_in_the_middle_of_more_than_is_read_is_a_prompt(self) -> None:
        messages = [user("old"), user("Generate a title for this conversation:\n"), *CONTEXT * 127]

        self.assertEqual(summarize(body(*messages, user("hi"))).prompt, "hi")

    def test_limit_behind_a_prompt_or_a_result_hides_nothing(self) -> None:
        messages = [user("old"), *CONTEXT * 200]

        self.assertFalse(summarize(body(*messages, user("hi"))).partially_observed)
        self.assertFalse(summarize(body(*messages, result("c"))).partially_observed)

    def test_unknown_or_missing_role_hides_the_prompt(self) -> None:
        self.check(None, user("hi"), {"role": "critic", "content": "hm"})
        self.check(None, user("hi"), {"content": "hm"})
        self.check(None, {"role": None, "content": "hi"})

    def test_unknown_role_before_the_prompt_hides_nothing(self) -> None:
        summary = summarize(body({"role": "critic", "content": "hm"}, user("hi")))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

    def test_words_in_a_part_of_an_unknown_type_are_missed(self) -> None:
        self.check(None, user([{"type": "input_text", "text": "hi"}]))
        self.check(None, user([{"text": "hi"}]))
        self.check(None, user([text({"value": "hi"})]))
        self.check(None, user(["hi"]))
        self.check(None, user([{"type": ["text"], "text": "hi"}]))

    def test_unknown_part_beside_a_reminder_is_not_of_an_earlier_message(self) -> None:
        self.check(None, user("old"), user([{"type": "input_text", "text": "hi"}, text(REMINDER)]))


class CorrelatingToolCallTests(BridgeTestCase):
    """A turn that returns a tool's result names the call it answers."""

    def check(self, call: str | None, *messages: object) -> None:
        self.assertEqual(summarize(body(*messages)).correlating_tool_call_id, call)

    def test_last_result_wins(self) -> None:
        self.check("call_2", assistant(None, "x"), result("call_1"), result("call_2"))

    def test_empty_and_odd_ids_are_passed_over(self) -> None:
        self.check("call_1", result("call_1"), result(""), result(9), result(None))

    def test_context_and_words_behind_it_do_not_matter(self) -> None:
        self.check("call_1", result("call_1"), user("and now?"), *CONTEXT)

    def test_result_of_an_earlier_turn_does_not_count(self) -> None:
        self.check(None, assistant(None, "c"), result("c"), assistant("x"), user("thanks"))

    def test_no_results_are_none(self) -> None:
        self.check(None, user("hi"))


class OddBodyTests(BridgeTestCase):
    """A body that the provider may judge passes; one that is no JSON object does not."""

    def refused(self, given_body: bytes) -> str:
        message: str = self.assertRaises(BadRequest, summarize, given_body).message
        return message

    def passes_unread(self, given_body: bytes) -> RequestSummary:
        summary = summarize(given_body)
        self.assertTrue(summary.partially_observed)
        return summary

    def test_empty_is_refused(self) -> None:
        self.assertIn("empty", self.refused(b""))

    def test_text_and_cut_objects_are_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(b"hello"))
        self.assertIn("not valid JSON", self.refused(body(user("hi"))[:-3]))

    def test_array_is_refused(self) -> None:
        self.assertIn("not a JSON object", self.refused(b"[]"))

    def test_ten_thousand_levels_pass_unread(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000

        self.passes_unread(b'{"model":"m","x":' + deep + b"}")
        self.passes_unread(b'{"messages":[{"role":"user","content":[{"x":' + deep + b"}]}]}")

    def test_lone_surrogate_in_the_prompt_is_read_and_odd(self) -> None:
        self.assertEqual(self.passes_unread(body(user("half \ud83d"))).prompt, "half \ud83d")

    def test_lone_surrogate_elsewhere_costs_nothing(self) -> None:
        summary = summarize(body(user("\ud83d"), assistant("\ud83d"), user("hi")))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

    def test_stray_bytes_are_replaced_and_odd(self) -> None:
        summary = self.passes_unread(b'{"messages":[{"role":"user","content":"caf\xe9"}]}')

        self.assertEqual(summary.prompt, "caf\ufffd")

    def test_byte_order_mark_is_passed_over(self) -> None:
        self.assertEqual(summarize(b"\xef\xbb\xbf" + body(user("hi"))).prompt, "hi")

    def test_messages_that_are_no_array_are_odd(self) -> None:
        summary = self.passes_unread(b'{"model":"m","messages":{"role":"user"}}')

        self.assertEqual((summary.model, summary.prompt), ("m", None))

    def test_last_message_that_is_no_object_is_odd(self) -> None:
        self.assertIsNone(self.passes_unread(body(user("hi"), "loose")).prompt)

    def test_content_of_another_type_is_odd(self) -> None:
        self.assertIsNone(self.passes_unread(body(user({"text": "hi"}))).prompt)

    def test_odd_answer_of_the_assistant_is_none_of_this_turn(self) -> None:
        summary = summarize(body(assistant(7), user("hi")))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

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
                            *("model", "stream", "metadata", "user_id", "messages", "role"),
                            *("content", "type", "text", "tool_call_id", "prompt_cache_key"),
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
        except BadRequest:
            return
        self.assertIsInstance(summary.model, str)
