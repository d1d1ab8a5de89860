"""GitHub Copilot's command line with a provider of one's own, which needs no GitHub account."""

from __future__ import annotations

from bridge.demo.tools import COMMAND
from bridge.domain.clients import COPILOT_CLI
from tests.clients.npm import Package
from tests.clients.running import ClientCase, Expected, Run, new_prompt


class CopilotCli(ClientCase):
    """Over HTTP, and after the WebSocket that it was told to use was refused."""

    package = Package(name="@github/copilot", version="1.0.102", command="copilot")
    label = COPILOT_CLI

    def test_chat_completions(self) -> None:
        self.ask("/v1/chat/completions", COPILOT_PROVIDER_WIRE_API="completions")

    def test_responses(self) -> None:
        self.ask("/v1/responses", COPILOT_PROVIDER_WIRE_API="responses")

    def test_responses_with_a_websocket_refused(self) -> None:
        self.ask(
            "/v1/responses",
            COPILOT_PROVIDER_WIRE_API="responses",
            COPILOT_PROVIDER_TRANSPORT="websockets",
        )

    def test_messages(self) -> None:
        self.ask(
            "/v1/messages",
            COPILOT_PROVIDER_TYPE="anthropic",
            COPILOT_PROVIDER_BASE_URL=self.base_url,
            COPILOT_MODEL="claude-sonnet-4-5",
        )

    def ask(self, route: str, **environment: str) -> None:
        """Have it call the tool with these settings, and check the records."""
        prompt = new_prompt(self.package.specification)
        settings = {
            "COPILOT_PROVIDER_TYPE": "openai",
            "COPILOT_PROVIDER_BASE_URL": f"{self.base_url}/v1",
            "COPILOT_PROVIDER_API_KEY": self.token,
            "COPILOT_MODEL": "gpt-5",
            "COPILOT_OFFLINE": "true",
            **environment,
        }
        place = self.new_place(**settings)

        run = place.run(self.command, "-p", prompt, "--allow-all-tools", "--output-format", "json")

        (done,) = run.told("tool.execution_complete")
        self.assertTrue(done["data"]["success"])
        self.assertTrue(done["data"]["result"]["content"].startswith("demo\n"))
        (asked,) = run.told("user.message")
        self.assertEqual(asked["data"]["content"], prompt)
        self.assert_recorded(
            run,
            Expected(
                prompt=prompt,
                sent=asked["data"]["transformedContent"],
                model=settings["COPILOT_MODEL"],
                route=route,
                tool="bash",
                arguments={"command": COMMAND, "description": "demo"},
                session=session_of(run) if route == "/v1/responses" else None,
            ),
        )


def session_of(run: Run) -> str:
    """Return the one session of a run: its key of the prompt cache, which it does not tell."""
    (session,) = {each["client_session_id"] for each in run.records}
    assert session, run.records
    return str(session)
