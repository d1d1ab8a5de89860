"""What of a request the provider keeps: items are named, and words in it are said to be unseen."""

from __future__ import annotations

from bridge.dialects.responses.references import UNREADABLE
from bridge.dialects.responses.request import summarize
from tests.dialects.responses.test_request import TRIGGER, body, developer, output, text, user
from tests.support.cases import BridgeTestCase


class UnseenPromptTests(BridgeTestCase):
    """Where a human's words may be that we do not find, the record says so."""

    def unseen(self, *items: object, **fields: object) -> None:
        summary = summarize(body(*items, **fields))

        self.assertEqual((summary.prompt or None, summary.partially_observed), (None, True))

    def seen(self, words: str | None, /, *items: object, **fields: object) -> None:
        summary = summarize(body(*items, **fields))

        self.assertEqual((summary.prompt, summary.partially_observed), (words, False))

    def test_endless_context_is_given_up(self) -> None:
        self.unseen(user(text("hi")), *[developer("x")] * 5_000)

    def test_much_context_behind_a_prompt_that_was_found_is_nothing(self) -> None:
        self.seen("hi", *[developer("x")] * 5_000, user(text("hi")))
        self.seen("hi", user(text("hi")), *[developer("x")] * 200)

    def test_context_alone_up_to_the_limit_is_nothing(self) -> None:
        self.seen(None, *[developer("x")] * 256)

    def test_role_that_we_do_not_know(self) -> None:
        self.unseen(user(text("hi")), {"role": "critic", "content": "better"})
        self.unseen({"type": "message", "role": 5, "content": "hi"})

    def test_item_that_we_do_not_know(self) -> None:
        self.unseen(user(text("hi")), {"type": "hologram", "beam": 1})

    def test_item_that_is_kept_by_the_provider(self) -> None:
        self.unseen(user(text("hi")), {"type": "item_reference", "id": "msg_1"})
        self.unseen({"id": "msg_1"})

    def test_items_before_the_prompt_are_nothing(self) -> None:
        self.seen("hi", {"type": "item_reference", "id": "msg_1"}, user(text("hi")))
        self.seen("hi", {"role": "critic", "content": "better"}, user(text("hi")))

    def test_items_before_a_tools_output_are_nothing(self) -> None:
        self.seen(None, {"type": "item_reference", "id": "fc_1"}, output(None))

    def test_prompt_kept_by_the_provider(self) -> None:
        template = {"id": "pmpt_1", "variables": {"question": "why?"}}

        self.unseen(prompt=template)
        self.unseen(prompt=template, input=None)
        self.unseen(prompt=template, input="")
        self.unseen(user({"type": "input_image", "image_url": "data:"}), prompt=template)

    def test_conversation_kept_by_the_provider(self) -> None:
        self.unseen(conversation="conv_1")
        self.unseen(conversation={"id": "conv_1"}, input=None)

    def test_words_beside_what_the_provider_keeps_are_the_prompt(self) -> None:
        self.seen("hi", user(text("hi")), prompt={"id": "pmpt_1"})
        self.seen("hi", input="hi", conversation="conv_1")

    def test_tools_output_to_a_conversation_is_no_prompt(self) -> None:
        self.seen(None, output("c1"), conversation="conv_1")
        self.seen(None, output("c1"), prompt={"id": "pmpt_1"})

    def test_compaction_of_a_conversation_is_no_prompt(self) -> None:
        self.seen(None, TRIGGER, conversation="conv_1")

    def test_what_is_null_is_not_kept(self) -> None:
        self.seen(None, prompt=None, conversation=None)


class ItemReferenceTests(BridgeTestCase):
    """Items that the provider keeps are named, wherever in the input they stand."""

    def named(self, *items: object) -> list[str]:
        return list(summarize(body(*items)).item_references)

    def reference(self, identifier: object) -> dict[str, object]:
        return {"type": "item_reference", "id": identifier}

    def test_items_are_named_once_and_in_order(self) -> None:
        self.assertEqual(
            self.named(
                self.reference("msg_1"),
                user(text("hi")),
                self.reference("rs_2"),
                self.reference("msg_1"),
                output("c1"),
            ),
            ["msg_1", "rs_2"],
        )

    def test_reference_may_leave_out_its_type(self) -> None:
        self.assertEqual(
            self.named({"id": "msg_1"}, {"id": "rs_1", "type": None}), ["msg_1", "rs_1"]
        )

    def test_items_with_an_id_of_their_own_are_no_references(self) -> None:
        self.assertEqual(
            self.named(
                {"id": "msg_1", "role": "user", "content": "hi"},
                {"id": "fc_1", "type": "function_call", "call_id": "c", "arguments": "{}"},
            ),
            [],
        )

    def test_words_about_references_are_none(self) -> None:
        self.assertEqual(self.named(user(text('{"type":"item_reference","id":"msg_1"}'))), [])

    def test_ids_of_other_types_are_none(self) -> None:
        self.assertEqual(self.named(self.reference(5), self.reference(""), "msg_1"), [])

    def test_names_may_be_spelled_with_escapes(self) -> None:
        raw = b'{"input":[{"\\u0069d":"msg_1","typ\\u0065":"item_re\\u0066erence"}]}'

        self.assertEqual(list(summarize(raw).item_references), ["msg_1"])

    def test_reference_beside_a_lone_surrogate_is_named(self) -> None:
        self.assertEqual(self.named({**self.reference("msg_1"), "x": "\ud83d"}), ["msg_1"])

    def test_reference_beside_stray_bytes_is_named(self) -> None:
        raw = b'{"input":[{"type":"item_reference","id":"msg_1","x":"\xe9"}]}'

        self.assertEqual(list(summarize(raw).item_references), ["msg_1"])

    def test_reference_in_a_body_that_is_read_loosely_is_named(self) -> None:
        raw = body(self.reference("msg_1"), user(text("\ud83d")))

        self.assertEqual(list(summarize(raw).item_references), ["msg_1"])

    def test_item_that_cannot_be_read_may_be_a_reference(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000
        raw = b'{"input":[{"id":"msg_1","x":' + deep + b'},{"role":"user","content":"hi"}]}'

        self.assertEqual(list(summarize(raw).item_references), [UNREADABLE])

    def test_more_than_can_be_named_end_in_one_that_nobody_made(self) -> None:
        named = self.named(*[self.reference(f"msg_{n}") for n in range(5_000)])

        self.assertLess(len(named), 1_000)
        self.assertEqual((named[0], named[-1]), ("msg_0", UNREADABLE))

    def test_unread_body_may_refer_to_items(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000
        for item in (b'{"id":"msg_1"}', b'{"\\u0069d":"msg_1"}'):
            seen = summarize(b'{"input":[' + item + b'],"x":' + deep + b"}")

            self.assertEqual(list(seen.item_references), [UNREADABLE], item)

    def test_unread_body_without_any_id_refers_to_none(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000

        self.assertEqual(list(summarize(b'{"input":' + deep + b"}").item_references), [])
