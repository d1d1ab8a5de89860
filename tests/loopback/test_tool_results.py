"""What tools gave back, and which agent asked, is recorded of real requests; its text is not."""

from __future__ import annotations

import json

from tests.support.fakes import Send, answer
from tests.support.openai_gateway import OpenAiCase

SECRET = "the content of a file"
REQUEST = json.dumps(
    {
        "model": "gpt-5",
        "messages": [
            {"role": "user", "content": "read it"},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "call_1", "type": "function",
                     "function": {"name": "read", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": SECRET},
        ],
    }
).encode()  # fmt: skip


class ToolResultTests(OpenAiCase):
    async def test_a_result_and_the_agent_that_brings_it(self) -> None:
        await self.start([Send(answer(b"{}"))])

        reply = await self.send(
            REQUEST,
            headers=[
                (b"User-Agent", b"claude-cli/2.1"),
                (b"X-Claude-Code-Agent-Id", b"reviewer"),
                (b"X-Claude-Code-Parent-Agent-Id", b"lead"),
            ],
        )

        self.assertEqual(reply.status, 200)
        self.assertEqual(self.sent().body, REQUEST)
        started = self.journal.started
        (result,) = started.tool_results
        self.assertEqual((result.tool_call_id, result.size_bytes), ("call_1", len(SECRET)))
        self.assertEqual(started.correlating_tool_call_id, "call_1")
        self.assertEqual(
            {name: started.metadata.get(name) for name in ("agent_id", "parent_agent_id")},
            {"agent_id": "reviewer", "parent_agent_id": "lead"},
        )
