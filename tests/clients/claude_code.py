"""Claude Code."""

from __future__ import annotations

from typing import Any

from bridge.demo.tools import COMMAND
from bridge.domain.clients import CLAUDE_CODE
from tests.clients.npm import Package
from tests.clients.running import ClientCase, Expected, Run, Tokens, Workplace, new_prompt

NAME = "@anthropic-ai/claude-code"
MODEL = "claude-sonnet-4-5"
QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
FLAGS = (
    *("--model", MODEL, "--allowedTools", "Bash"),
    *("--output-format", "stream-json", "--verbose"),
)


class ClaudeCodeCase(ClientCase):
    """What does not depend on the version."""

    label = CLAUDE_CODE
    titles: int
    """Requests for a title in a run."""

    def new_place(self, **environment: str) -> Workplace:
        return super().new_place(ANTHROPIC_BASE_URL=self.base_url, **QUIET, **environment)

    def ask(self, place: Workplace, *flags: str) -> Run:
        """Have it call the tool, and check the records; return the run."""
        prompt = new_prompt(self.package.specification)

        run = place.run(self.command, *flags, "-p", prompt, *FLAGS)

        (result,) = run.told("result")
        self.assertEqual(result["result"], f"You said: {prompt}")
        self.assertEqual(result_of_tool(run), {"content": "demo", "is_error": False})
        usage = result["usage"]
        self.assert_recorded(
            run,
            Expected(
                prompt=prompt,
                model=MODEL,
                route="/v1/messages",
                tool="Bash",
                arguments={"command": COMMAND},
                session=result["session_id"],
                asides=self.titles,
                tokens=Tokens(
                    uncached=usage["input_tokens"],
                    cached=usage["cache_read_input_tokens"],
                    output=usage["output_tokens"],
                ),
            ),
        )
        return run

    def check_request(self, record: dict[str, Any], expected: Expected) -> None:
        super().check_request(record, expected)
        self.assertTrue(record["user_agent"].startswith(f"claude-cli/{self.package.version} "))


class ClaudeCode(ClaudeCodeCase):
    """The newest one that was tried."""

    package = Package(name=NAME, version="2.1.330", command="claude")
    titles = 0

    def test_with_a_token(self) -> None:
        self.ask(self.new_place(ANTHROPIC_AUTH_TOKEN=self.token))

    def test_with_the_token_as_an_api_key(self) -> None:
        self.ask(self.new_place(ANTHROPIC_API_KEY=self.token))

    def test_a_session_that_goes_on(self) -> None:
        place = self.new_place(ANTHROPIC_AUTH_TOKEN=self.token)

        first = self.ask(place)
        second = self.ask(place, "-c")

        sessions = {each["session_id"] for each in (*first.records, *second.records)}
        self.assertEqual(len(sessions), 1)


class EarlierClaudeCode(ClaudeCodeCase):
    """The one that npm picks for Node 20."""

    package = Package(name=NAME, version="2.1.197", command="claude")
    titles = 1

    def test_with_a_token(self) -> None:
        self.ask(self.new_place(ANTHROPIC_AUTH_TOKEN=self.token))


def result_of_tool(run: Run) -> dict[str, Any]:
    """Return what the client's shell said."""
    (event,) = run.told("user")
    (block,) = event["message"]["content"]
    return {"content": block["content"], "is_error": block["is_error"]}
