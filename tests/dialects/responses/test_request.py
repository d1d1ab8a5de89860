"""What is read from a Responses request."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.interface import RequestSummary
from bridge.dialects.responses.references import UNREADABLE
from bridge.dialects.responses.request import summarize
from bridge.domain.errors import BadRequest
from tests.support.cases import BridgeTestCase

ENVIRONMENT = "<environment_context>\n  <cwd>/tmp</cwd>\n</environment_context>"
AGENTS = "# AGENTS.md instructions for /tmp\n\n<INSTRUCTIONS>\nBe brief.\n</INSTRUCTIONS>"
DETAILS = "\n\n<environment_details>\nMessage time: now\n</environment_details>"
DATE = "<current_datetime>2026-11-25T20:39:02.529+00:00</current_datetime>\n\n"
OPENER = "Generate a title for this conversation:\n"
TITLE = "<session>\nhi\n</session>\n\nWrite the title in German. Keep it short."
TRIGGER = {"type": "compaction_trigger"}


def body(*items: object, **fields: object) -> bytes:
    return json.dumps({"model": "gpt-5.2", "input": list(items), **fields}).encode()


def text(words: object) -> dict[str, object]:
    return {"type": "input_text", "text": words}


def user(*parts: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": list(parts)}


def developer(words: str) -> dict[str, object]:
    return {"type": "message", "role": "developer", "content": [text(words)]}


def answer(words: str) -> dict[str, object]:
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": words}],
    }


def call(identifier: str) -> dict[str, object]:
    return {"type": "function_call", "call_id": identifier, "name": "f", "arguments": "{}"}


def output(identifier: object, kind: str = "function_call_output") -> dict[str, object]:
    return {"type": kind, "call_id": identifier, "output": "42"}


class ModelAndStreamTests(BridgeTestCase):
    """What the client asked for, as it wrote it."""

    def test_model_and_stream_are_read(self) -> None:
        summary = summarize(body(user(text("hi")), stream=True))

        self.assertEqual((summary.model, summary.streaming), ("gpt-5.2", True))
        self.assertFalse(summary.partially_observed)

    def test_stream_missing_is_a_document(self) -> None:
        self.assertFalse(summarize(body(user(text("hi")))).streaming)

    def test_stream_as_text_is_a_document_and_odd(self) -> None:
        summary = summarize(body(stream="true"))

        self.assertEqual((summary.streaming, summary.partially_observed), (False, True))

    def test_missing_model_is_empty(self) -> None:
        summary = summarize(b'{"input":"hi"}')

        self.assertEqual((summary.model, summary.partially_observed), ("", False))

    def test_model_that_is_no_text_is_empty_and_odd(self) -> None:
        summary = summarize(body(user(text("hi")), model=123))

        self.assertEqual((summary.model, summary.prompt), ("", "hi"))
        self.assertTrue(summary.partially_observed)

    def test_background_passes(self) -> None:
        summary = summarize(body(user(text("hi")), background=True))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

    def test_answers_are_kept_unless_that_is_refused(self) -> None:
        self.assertTrue(summarize(body()).stores)
        self.assertTrue(summarize(body(store=True)).stores)
        self.assertFalse(summarize(body(store=False)).stores)


class HintTests(BridgeTestCase):
    """What may name the session, and what the request builds on."""

    def test_session_hints_are_read(self) -> None:
        summary = summarize(
            body(
                prompt_cache_key="key",
                client_metadata={"session_id": "s", "thread_id": "t", "turn_id": "u"},
                metadata={"user_id": "m"},
            )
        )

        self.assertEqual(
            summary.session_hints,
            {
                "prompt_cache_key": "key",
                "client_metadata.session_id": "s",
                "client_metadata.thread_id": "t",
                "metadata.user_id": "m",
            },
        )

    def test_hints_of_other_types_are_none(self) -> None:
        summary = summarize(
            body(prompt_cache_key=5, client_metadata=["x"], metadata={"user_id": None})
        )

        self.assertEqual(summary.session_hints, {})
        self.assertFalse(summary.partially_observed)

    def test_previous_response_and_conversation_are_references(self) -> None:
        summary = summarize(body(previous_response_id="resp_1", conversation="conv_1"))

        self.assertEqual(list(summary.references), ["resp_1", "conv_1"])

    def test_conversation_may_be_an_object(self) -> None:
        self.assertEqual(
            list(summarize(body(conversation={"id": "conv_2"})).references), ["conv_2"]
        )

    def test_references_of_other_types_are_none(self) -> None:
        summary = summarize(body(previous_response_id=None, conversation={"id": 5}))

        self.assertEqual(list(summary.references), [])


class PromptTests(BridgeTestCase):
    """The prompt is what a human wrote last."""

    def check(self, prompt: str | None, *items: object) -> None:
        summary = summarize(body(*items))

        self.assertEqual(summary.prompt, prompt)
        self.assertFalse(summary.partially_observed)

    def test_input_that_is_text_is_the_prompt(self) -> None:
        self.assertEqual(summarize(body(input=" how?\n")).prompt, " how?\n")

    def test_input_that_is_empty_text_is_an_empty_prompt(self) -> None:
        self.assertEqual(summarize(body(input="")).prompt, "")

    def test_no_input_is_no_prompt(self) -> None:
        self.assertIsNone(summarize(b'{"model":"m"}').prompt)
        self.assertIsNone(summarize(body(input=None)).prompt)
        self.check(None)

    def test_parts_are_lines_of_the_prompt(self) -> None:
        self.check("one\ntwo", user(text("one"), {"type": "input_image"}, text("two")))

    def test_content_may_be_text(self) -> None:
        self.check("hi", {"role": "user", "content": "hi"})

    def test_only_the_last_humans_turn_counts(self) -> None:
        self.check("new", user(text("old")), answer("x"), user(text("new")))

    def test_codex_puts_context_before_the_human(self) -> None:
        self.check(
            "hello",
            developer("<permissions instructions>"),
            user(text(AGENTS), text(ENVIRONMENT)),
            user(text("hello")),
        )

    def test_context_in_the_humans_own_turn_is_passed_over(self) -> None:
        self.check("hello", user(text(AGENTS), text(ENVIRONMENT), text("hello")))

    def test_context_behind_the_human_is_passed_over(self) -> None:
        self.check("hello", user(text("hello")), user(text(ENVIRONMENT)), developer("mode"))

    def test_reminder_is_passed_over(self) -> None:
        self.check("hi", user(text("<system-reminder>x</system-reminder>"), text("hi")))

    def test_details_of_the_environment_are_passed_over(self) -> None:
        self.check("fix it", user(text("fix it"), text(DETAILS)))
        self.check("fix it", user(text("fix it")), user(text(DETAILS)))
        self.check(None, user(text("go")), call("c1"), output("c1"), user(text(DETAILS)))
        self.check(None, user(text(DETAILS)))

    def test_details_behind_the_words_in_one_text_stay(self) -> None:
        self.check(f"fix it{DETAILS}", user(text(f"fix it{DETAILS}")))

    def test_date_in_front_is_cut(self) -> None:
        self.check(" how?\n", developer("x"), user(text(f"{DATE} how?\n")))
        self.check("one\ntwo", user(text(f"{DATE}one"), text(DETAILS), text("two")))

    def test_date_alone_is_no_prompt(self) -> None:
        self.check(None, user(text(DATE)))

    def test_title_of_what_follows_is_no_prompt(self) -> None:
        self.check(None, developer("x"), user(text(OPENER)), user(text("fix it")))
        self.check(None, user(text(OPENER), text("fix it"), text(DETAILS)))
        self.check(None, user(text(OPENER)), user({"type": "input_image"}))

    def test_title_request_in_one_text_is_no_prompt(self) -> None:
        self.check(None, user(text("old")), user(text(TITLE)))

    def test_words_like_a_title_request_later_on_are_a_prompt(self) -> None:
        self.check("fix it", user(text("hi")), user(text(OPENER)), user(text("fix it")))
        self.check("fix it", answer("x"), user(text(OPENER)), user(text("fix it")))
        self.check("fix it", TRIGGER, user(text(OPENER)), user(text("fix it")))
        self.check("fix it", output("c1"), user(text(OPENER)), user(text("fix it")))

    def test_input_that_is_text_is_read_like_a_message(self) -> None:
        self.assertEqual(summarize(body(input=f"{DATE}how?")).prompt, "how?")
        self.assertEqual(summarize(body(input=f"how?{DETAILS}")).prompt, f"how?{DETAILS}")
        self.assertIsNone(summarize(body(input=DETAILS)).prompt)
        self.assertIsNone(summarize(body(input=TITLE)).prompt)

    def test_more_tools_and_settings_are_passed_over(self) -> None:
        self.check(
            "hi",
            user(text("hi")),
            {"type": "additional_tools", "role": "developer", "tools": []},
            {"type": "configuration_update", "reasoning": {"effort": "low"}},
        )

    def test_picture_alone_is_no_prompt(self) -> None:
        self.check(None, user({"type": "input_image", "image_url": "data:"}))

    def test_tool_outputs_are_no_prompt(self) -> None:
        self.check(None, user(text("go")), call("c1"), output("c1"))

    def test_context_behind_tool_outputs_makes_no_prompt(self) -> None:
        self.check(None, user(text("go")), call("c1"), output("c1"), user(text(ENVIRONMENT)))

    def test_words_behind_tool_outputs_are_a_prompt(self) -> None:
        self.check("stop", user(text("go")), call("c1"), output("c1"), user(text("stop")))

    def test_compaction_is_no_prompt(self) -> None:
        self.check(None, user(text("go")), answer("x"), user(text("and?")), TRIGGER)

    def test_answer_at_the_end_is_no_prompt(self) -> None:
        self.check(None, user(text("go")), answer("x"))

    def test_items_of_the_model_at_the_end_are_no_prompt(self) -> None:
        self.check(None, user(text("go")), {"type": "reasoning", "id": "rs_1", "summary": []})
        self.check(None, user(text("go")), {"type": "compaction", "encrypted_content": "x"})
        self.check(None, user(text("go")), {"type": "future_tool_call", "id": "ft_1"})
        self.check(None, user(text("go")), {"type": "mcp_approval_response", "approve": True})

    def test_parts_that_are_no_objects_are_passed_over(self) -> None:
        self.check("hi", user(None, "loose", 3, text(5), text("hi")))

    def test_no_content_is_no_prompt(self) -> None:
        self.check(None, {"role": "user"})


class CorrelatingToolCallTests(BridgeTestCase):
    """A turn that returns a tool's output names the call it answers."""

    def check(self, identifier: str | None, *items: object) -> None:
        self.assertEqual(summarize(body(*items)).correlating_tool_call_id, identifier)

    def test_last_output_wins(self) -> None:
        self.check("c2", call("c1"), call("c2"), output("c1"), output("c2"))

    def test_custom_tool_counts(self) -> None:
        self.check("c1", call("c1"), output("c1", "custom_tool_call_output"))

    def test_own_tools_of_the_client_count(self) -> None:
        self.check("c1", output("c1", "shell_call_output"))
        self.check("c1", output("c1", "computer_call_output"))
        self.check("c1", output("c1", "apply_patch_call_output"))

    def test_local_shell_may_have_the_calls_id_in_its_own(self) -> None:
        self.check("c1", {"type": "local_shell_call_output", "id": "c1", "output": ""})

    def test_id_of_the_output_itself_is_no_calls(self) -> None:
        self.check(None, {"type": "function_call_output", "id": "fco_1", "output": ""})

    def test_empty_and_odd_ids_are_passed_over(self) -> None:
        self.check("c1", output("c1"), output(""), output(9))

    def test_context_behind_outputs_is_passed_over(self) -> None:
        self.check("c1", call("c1"), output("c1"), user(text(ENVIRONMENT)), developer("x"))

    def test_words_behind_outputs_still_answer_the_call(self) -> None:
        self.check("c1", call("c1"), output("c1"), user(text("and now?")))

    def test_compaction_behind_outputs_still_answers_the_call(self) -> None:
        self.check("c1", call("c1"), output("c1"), TRIGGER)

    def test_outputs_of_earlier_turns_do_not_count(self) -> None:
        self.check(None, call("c1"), output("c1"), answer("done"), user(text("thanks")))


class OddBodyTests(BridgeTestCase):
    """A body that the provider may judge passes; one that is no JSON object does not."""

    def refused(self, given_body: bytes) -> str:
        return str(self.assertRaises(BadRequest, summarize, given_body).message)

    def passes_odd(self, given_body: bytes) -> RequestSummary:
        summary = summarize(given_body)
        self.assertTrue(summary.partially_observed)
        return summary

    def test_empty_is_refused(self) -> None:
        self.assertIn("empty", self.refused(b""))

    def test_text_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(b"hello"))

    def test_array_is_refused(self) -> None:
        self.assertIn("not a JSON object", self.refused(b"[]"))

    def test_cut_is_refused(self) -> None:
        self.assertIn("not valid JSON", self.refused(body(user(text("hi")))[:-3]))

    def test_deep_nesting_passes_unread(self) -> None:
        summary = self.passes_odd(b'{"model":"m","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}")

        self.assertEqual(summary.model, "")

    def test_unread_body_builds_on_what_nobody_made(self) -> None:
        """Or another's stored answer could be reached by nesting something deeply beside its id."""
        deep = b"[" * 10_000 + b"]" * 10_000

        for name in (b"previous_response_id", b"previous_\\u0072esponse_id", b"conversation"):
            seen = summarize(b'{"' + name + b'":"resp_1","input":' + deep + b"}")

            self.assertEqual(tuple(seen.references), (UNREADABLE,), name)

    def test_unread_body_that_names_nothing_builds_on_nothing(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000

        self.assertEqual(tuple(summarize(b'{"input":' + deep + b"}").references), ())

    def test_deep_last_item_passes_unread(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000
        self.passes_odd(b'{"input":[{"role":"user","content":[{"x":' + deep + b"}]}]}")

    def test_lone_surrogate_in_the_prompt_is_read_and_odd(self) -> None:
        self.assertEqual(self.passes_odd(body(user(text("half \ud83d")))).prompt, "half \ud83d")

    def test_lone_surrogate_elsewhere_costs_nothing(self) -> None:
        summary = summarize(body(user(text("\ud83d")), answer("x"), user(text("hi"))))

        self.assertEqual((summary.prompt, summary.partially_observed), ("hi", False))

    def test_stray_bytes_are_replaced_and_odd(self) -> None:
        summary = self.passes_odd(b'{"input":[{"role":"user","content":"caf\xe9"}]}')

        self.assertEqual(summary.prompt, "caf\ufffd")

    def test_stray_bytes_in_a_text_are_replaced_and_odd(self) -> None:
        self.assertEqual(self.passes_odd(b'{"input":"caf\xe9"}').prompt, "caf\ufffd")

    def test_byte_order_mark_is_passed_over(self) -> None:
        self.assertEqual(summarize(b"\xef\xbb\xbf" + body(user(text("hi")))).prompt, "hi")

    def test_input_of_another_type_is_odd(self) -> None:
        summary = self.passes_odd(b'{"model":"m","input":{"role":"user"},"conversation":"c"}')

        self.assertEqual((summary.model, summary.prompt), ("m", None))
        self.assertEqual(list(summary.references), ["c"])

    def test_last_item_that_is_no_object_is_odd(self) -> None:
        self.assertIsNone(self.passes_odd(body(user(text("hi")), "loose")).prompt)

    def test_content_of_another_type_is_odd(self) -> None:
        self.passes_odd(body({"role": "user", "content": {"text": "hi"}}))

    def test_large_body_with_a_lone_surrogate_passes_unread(self) -> None:
        summary = self.passes_odd(body(user(text("x" * 5_000_000 + "\ud83d"))))

        self.assertEqual((summary.model, summary.stores), ("", True))

    @given(st.binary(max_size=60))
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_bytes_are_read_or_refused(self, given_body: bytes) -> None:
        self.read_or_refuse(given_body)

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=5)
            | st.sampled_from(["user", "developer", "message", "input_text", "x_output"]),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            *("model", "stream", "input", "type", "role", "content", "text"),
                            *("call_id", "id", "conversation", "previous_response_id", "metadata"),
                            *("client_metadata", "session_id", "prompt_cache_key", "store"),
                        ]
                    ),
                    inner,
                    max_size=6,
                )
            ),
            max_leaves=20,
        )
    )
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_any_json_is_read_or_refused(self, value: object) -> None:
        self.read_or_refuse(json.dumps(value).encode())

    def read_or_refuse(self, given_body: bytes) -> None:
        try:
            summary = summarize(given_body)
        except BadRequest as e:
            self.assertIn("request body", e.message)
        else:
            self.assertIsInstance(summary, RequestSummary)
