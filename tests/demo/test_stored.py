"""What the demo stores for OpenAI's clients: responses and conversations, and no more than fits."""

from __future__ import annotations

from typing import Any

from openai.types.conversations import Conversation, ConversationItemList
from openai.types.responses import Response, ResponseItemList

from bridge.demo.exchange import Answer
from bridge.demo.kept import Kept
from bridge.demo.responses import Responses
from tests.demo.asking import asked, document, events, status
from tests.support.cases import BridgeTestCase


class StoredCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.responses = Responses(run="run1")

    def send(self, method: bytes, path: str, body: object = b"") -> Answer:
        return self.responses.answer(asked(body, path=path.encode(), method=method))

    def create(self, **more: object) -> Any:
        body = {"model": "demo-text", "input": "what is nonce-17?", **more}
        return document(self.send(b"POST", "/v1/responses", body))

    def get(self, path: str) -> Any:
        return document(self.send(b"GET", path))


class ResponsesTests(StoredCase):
    def test_response_is_found_again_until_it_is_deleted(self) -> None:
        created = self.create()
        path = f"/v1/responses/{created['id']}"

        found = self.get(path)
        deleted = document(self.send(b"DELETE", path))

        self.assertEqual(found, created)
        self.assertEqual(deleted, {"id": created["id"], "object": "response", "deleted": True})
        self.assertEqual(status(self.send(b"GET", path)), 404)

    def test_streamed_response_is_found_as_it_ended(self) -> None:
        body = {"model": "demo-text", "input": "x", "stream": True}
        streamed = events(self.send(b"POST", "/v1/responses", body))[-1]["response"]

        self.assertEqual(self.get(f"/responses/{streamed['id']}"), streamed)

    def test_response_that_is_not_to_be_stored_is_not(self) -> None:
        created = self.create(store=False)

        self.assertEqual(status(self.send(b"GET", f"/v1/responses/{created['id']}")), 404)

    def test_what_was_given_is_listed_with_ids_the_newest_first(self) -> None:
        call = {"type": "function_call_output", "call_id": "call_1", "output": "demo"}
        created = self.create(input=[{"role": "user", "content": "one"}, {**call, "id": "fco_1"}])

        listed = self.get(f"/v1/responses/{created['id']}/input_items")

        page = ResponseItemList.construct(**listed)
        self.assertEqual([item.type for item in page.data], ["function_call_output", "message"])
        self.assertEqual((page.first_id, page.last_id), ("fco_1", page.data[-1].id))
        self.assertEqual(listed["data"][1]["content"], [{"type": "input_text", "text": "one"}])

    def test_response_before_must_be_there(self) -> None:
        gone = self.create(store=False)["id"]

        error = self.create(previous_response_id=gone)["error"]

        self.assertEqual(error["code"], "previous_response_not_found")
        self.assertEqual(error["param"], "previous_response_id")

    def test_response_before_that_is_there_is_named(self) -> None:
        first = self.create()["id"]

        self.assertEqual(self.create(previous_response_id=first)["previous_response_id"], first)

    def test_background_is_queued_at_once_and_completed_when_asked_for(self) -> None:
        queued = self.create(background=True)

        found = self.get(f"/v1/responses/{queued['id']}")

        Response.model_validate(queued)
        self.assertEqual((queued["status"], queued["output"]), ("queued", []))
        self.assertEqual((found["status"], len(found["output"])), ("completed", 1))

    def test_background_as_a_stream_tells_that_it_was_queued(self) -> None:
        body = {"model": "demo-text", "input": "x", "stream": True, "background": True}

        streamed = events(self.send(b"POST", "/v1/responses", body))

        self.assertEqual(streamed[1]["type"], "response.queued")

    def test_background_that_nobody_saw_completed_can_be_cancelled(self) -> None:
        path = f"/v1/responses/{self.create(background=True)['id']}"

        cancelled = document(self.send(b"POST", f"{path}/cancel"))

        self.assertEqual(cancelled["status"], "cancelled")
        self.assertEqual(self.get(path), cancelled)

    def test_only_background_can_be_cancelled_and_only_stored(self) -> None:
        path = f"/v1/responses/{self.create()['id']}/cancel"

        self.assertEqual(status(self.send(b"POST", path)), 400)
        self.assertIn("error", self.create(background=True, store=False))

    def test_other_paths_and_methods_are_refused(self) -> None:
        path = f"/v1/responses/{self.create()['id']}"

        self.assertEqual(status(self.send(b"PUT", path)), 405)
        self.assertEqual(status(self.send(b"GET", f"{path}/cancel")), 405)
        self.assertEqual(status(self.send(b"GET", f"{path}/other")), 404)


class ConversationsTests(StoredCase):
    def conversation(self, **body: object) -> str:
        return str(document(self.send(b"POST", "/v1/conversations", body))["id"])

    def test_conversation_is_found_changed_and_deleted(self) -> None:
        path = f"/v1/conversations/{self.conversation(metadata={'a': 'b'})}"

        found = Conversation.model_validate(self.get(path))
        changed = document(self.send(b"POST", path, {"metadata": {"a": "c"}}))
        deleted = document(self.send(b"DELETE", path))

        self.assertEqual(found.metadata, {"a": "b"})
        self.assertEqual(changed["metadata"], {"a": "c"})
        self.assertEqual(deleted["object"], "conversation.deleted")
        self.assertEqual(status(self.send(b"GET", path)), 404)

    def test_items_are_added_listed_found_and_deleted(self) -> None:
        message = {"role": "user", "content": "one"}
        path = f"/v1/conversations/{self.conversation(items=[message])}"

        added = document(self.send(b"POST", f"{path}/items", {"items": [message]}))
        listed = ConversationItemList.model_validate(self.get(f"{path}/items"))
        one = self.get(f"{path}/items/{added['first_id']}")
        deleted = document(self.send(b"DELETE", f"{path}/items/{added['first_id']}"))

        self.assertEqual((len(added["data"]), len(listed.data)), (1, 2))
        self.assertEqual(one, added["data"][0])
        self.assertTrue(deleted["id"].startswith("conv_"))
        self.assertEqual(len(self.get(f"{path}/items")["data"]), 1)
        self.assertEqual(status(self.send(b"GET", f"{path}/items/{added['first_id']}")), 404)

    def test_response_in_a_conversation_adds_what_was_given_and_said(self) -> None:
        name = self.conversation()

        created = self.create(conversation={"id": name}, store=False)

        self.assertEqual(created["conversation"], {"id": name})
        said, given = self.get(f"/v1/conversations/{name}/items")["data"]
        self.assertEqual((given["role"], said["role"]), ("user", "assistant"))

    def test_conversation_of_a_response_must_be_there_and_alone(self) -> None:
        unknown = self.create(conversation="conv_none")
        both = self.create(conversation=self.conversation(), previous_response_id="resp_x")

        self.assertIn("conv_none", unknown["error"]["message"])
        self.assertEqual(both["error"]["code"], "mutually_exclusive_parameters")

    def test_other_paths_methods_and_bodies_are_refused(self) -> None:
        path = f"/v1/conversations/{self.conversation(items=[{'role': 'user', 'content': 'x'}])}"
        item = self.get(f"{path}/items")["first_id"]
        requests = {
            (b"GET", "/v1/conversations"): 405,
            (b"PUT", path): 405,
            (b"PUT", f"{path}/items"): 405,
            (b"PUT", f"{path}/items/{item}"): 405,
            (b"GET", f"{path}/other"): 404,
        }

        statuses = {request: status(self.send(*request)) for request in requests}

        self.assertEqual(statuses, requests)
        self.assertEqual(status(self.send(b"POST", "/v1/conversations", b"[")), 400)


class KeptTests(BridgeTestCase):
    def test_too_many_push_the_oldest_out(self) -> None:
        kept: Kept[int] = Kept(most=2, most_bytes=100)

        for number in range(3):
            kept.put(str(number), number, 1)

        self.assertEqual([kept.get(key) for key in "012"], [None, 1, 2])

    def test_too_big_ones_push_the_oldest_out(self) -> None:
        kept: Kept[int] = Kept(most=10, most_bytes=100)
        kept.put("0", 0, 60)
        kept.put("1", 1, 40)
        kept.put("1", 1, 50)

        self.assertEqual([kept.get(key) for key in "01"], [None, 1])

    def test_one_too_big_for_itself_is_not_kept(self) -> None:
        kept: Kept[int] = Kept(most=10, most_bytes=100)

        kept.put("0", 0, 101)

        self.assertIsNone(kept.get("0"))
        self.assertFalse(kept.remove("0"))
