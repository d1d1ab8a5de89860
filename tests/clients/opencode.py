"""opencode, in each of the three APIs that it speaks."""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import Any

from bridge.demo.tools import COMMAND
from bridge.domain.clients import OPENCODE
from tests.clients.npm import Package
from tests.clients.running import ClientCase, Expected, Run, Tokens, new_prompt

QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "true",
    "OPENCODE_DISABLE_MODELS_FETCH": "true",
}


class OpenCode(ClientCase):
    """Asks for a title first, then works."""

    package = Package(name="opencode-ai", version="1.18.33", command="opencode")
    label = OPENCODE

    def test_messages(self) -> None:
        self.ask("anthropic", "claude-sonnet-4-5", "/v1/messages")

    def test_responses(self) -> None:
        self.ask("openai", "gpt-5", "/v1/responses")

    def test_chat_completions(self) -> None:
        compatible = {"npm": "@ai-sdk/openai-compatible", "models": {"gpt-5": {}}}

        self.ask("bridge", "gpt-5", "/v1/chat/completions", **compatible)

    def ask(self, provider: str, model: str, route: str, **settings: Any) -> None:
        """Have it call the tool by this provider, and check the records."""
        prompt = new_prompt(self.package.specification)
        place = self.new_place(**QUIET)
        options = {"baseURL": f"{self.base_url}/v1", "apiKey": self.token}
        providers = {provider: {"options": options, **settings}}
        configuration = {"permission": "allow", "provider": providers}
        place.write("work/opencode.json", json.dumps(configuration))

        # An argument with spaces in it reaches the model in quotes, words of their own do not.
        words = prompt.split()
        run = place.run(
            self.command, "run", "--format", "json", "-m", f"{provider}/{model}", *words
        )

        (used,) = run.told("tool_use")
        state = used["part"]["state"]
        self.assertEqual((state["status"], state["output"]), ("completed", "demo\n"))
        self.assertEqual(run.told("text")[-1]["part"]["text"], f"You said: {prompt}")
        self.assert_recorded(
            run,
            Expected(
                prompt=prompt,
                model=model,
                route=route,
                tool="bash",
                arguments={"command": COMMAND},
                session=used["sessionID"],
                asides=1,
                tokens=counted(run),
            ),
        )

    def check_request(self, record: dict[str, Any], expected: Expected) -> None:
        super().check_request(record, expected)
        self.assertTrue(record["user_agent"].startswith(f"opencode/{self.package.version} "))


def counted(run: Run) -> Tokens:
    """Return the tokens that it has counted, the title's left out."""
    steps = [event["part"]["tokens"] for event in run.told("step_finish")]
    each = [
        Tokens(uncached=step["input"], cached=step["cache"]["read"], output=step["output"])
        for step in steps
    ]
    return reduce(add, each)
