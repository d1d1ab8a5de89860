"""A session of an agent, as its auditor reads it, on a real bridge with its own database."""

from __future__ import annotations

import json
from typing import Any

from tests.acceptance.running import AcceptanceCase, Shared
from tests.support.bridge_process import BridgeProcess, eventually

API = "/api/v2/ai-gateway"
SESSION = "11111111-2222-3333-4444-555555555555"
RESULT = "two files\n"
SECONDS = 30.0

shared = Shared(
    lambda directory: BridgeProcess(
        directory=directory,
        settings={
            "data_dir": "data",
            "aibridge": {"providers": [{"name": "demo", "type": "demo"}]},
            "record": {"tool_results": "full"},
        },
    )
)


class SessionTests(AcceptanceCase):
    """What happened is what is read."""

    def ask(self, messages: list[dict[str, Any]], *, agent: str = "") -> dict[str, Any]:
        """Return the answer of the demo model that calls tools."""
        headers = {
            "User-Agent": "claude-cli/2.1.330 (external, cli)",
            "X-Claude-Code-Session-Id": SESSION,
        }
        if agent:
            headers["X-Claude-Code-Agent-Id"] = agent
        body = {
            "model": "demo-tool",
            "max_tokens": 64,
            "messages": messages,
            "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
        }
        status, _, answer = shared.get().ask(
            "POST", "/demo/v1/messages", json.dumps(body).encode(), headers=headers
        )
        self.assertEqual(status, 200, answer)
        found: dict[str, Any] = json.loads(answer)
        return found

    def read(self, path: str) -> Any:
        """Return what management says."""
        status, _, body = shared.get().ask("GET", API + path, token="admin")
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def test_a_tools_result_is_beside_its_call_and_agents_are_told_apart(self) -> None:
        prompt = {"role": "user", "content": "Look around"}
        answer = self.ask([prompt])
        (call,) = (block for block in answer["content"] if block["type"] == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": RESULT}
        called = {"role": "assistant", "content": answer["content"]}
        self.ask([prompt, called, {"role": "user", "content": [result]}])
        self.ask([{"role": "user", "content": "Review it"}], agent="reviewer")

        eventually(
            lambda: [each["interceptions"] for each in self.read("/sessions")["sessions"]] == [3],
            seconds=SECONDS,
            what="the session of three requests",
        )
        found = self.read(f"/sessions/{SESSION}")

        self.assertEqual(
            [each["prompt"] for each in found["threads"]], ["Look around", "Review it"]
        )
        first = found["threads"][0]["agentic_actions"]
        self.assertEqual(len(first), 2)
        (told,) = first[0]["tool_calls"]
        self.assertEqual(told["provider_tool_call_id"], call["id"])
        self.assertEqual(told["result"]["content"], RESULT)
        self.assertEqual(told["result"]["size_bytes"], len(RESULT))
        self.assertIs(told["result"]["is_error"], False)
        self.assertEqual(told["result"]["interception_id"], first[1]["id"])
        self.assertEqual(found["agent"]["interceptions"], 2)
        self.assertEqual([each["id"] for each in found["agent"]["sub_agents"]], ["reviewer"])
        self.assertEqual(self.read("/models"), ["demo-tool"])
        self.assertEqual(self.read("/clients"), ["Claude Code"])
        self.assertEqual(self.read("/providers"), ["demo"])
        self.assertEqual(self.read("/openapi.json")["openapi"], "3.1.0")
        # Whoever reads their own leaves no trace; who made the first tokens did.
        self.assertEqual(self.read("/audit?action=content.read")["entries"], [])
        self.assertNotEqual(self.read("/audit?limit=5")["entries"], [])
