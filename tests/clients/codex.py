"""Codex."""

from __future__ import annotations

import json
from typing import Any

from bridge.demo.tools import COMMAND
from bridge.domain import clients
from tests.clients.npm import Package
from tests.clients.running import ClientCase, Expected, Run, Tokens, Workplace, new_prompt

MODEL = "gpt-5"
FALLBACK_SECONDS = 5.0
"""Whoever does not fall back at once has tried for 6.5 to 7 s."""

_UNATTENDED = f"""
model = "{MODEL}"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
"""
_OWN_PROVIDER = """
model_provider = "bridge"

[model_providers.bridge]
name = "AI Bridge"
base_url = "{base_url}/v1"
env_key = "AI_BRIDGE_TOKEN"
wire_api = "responses"
"""
_BUILT_IN_PROVIDER = """
openai_base_url = "{base_url}/v1"
cli_auth_credentials_store = "file"
"""


class Codex(ClientCase):
    """Over HTTP from the start, and after the WebSocket that it tries first was refused."""

    package = Package(name="@openai/codex", version="0.169.0", command="codex")
    label = clients.CODEX

    def test_a_provider_of_its_own(self) -> None:
        place = self.with_own_provider()

        run = self.ask(place)

        self.assertNotIn("WebSocket", run.stderr)

    def test_the_built_in_provider_falls_back_to_http_at_once(self) -> None:
        place = self.new_place()
        place.write(".codex/config.toml", _UNATTENDED + self.filled(_BUILT_IN_PROVIDER))
        key = {"auth_mode": "apikey", "OPENAI_API_KEY": self.token}
        place.write(".codex/auth.json", json.dumps(key))

        run = self.ask(place)

        self.assertEqual(run.stderr.count("failed to connect to Responses WebSocket"), 1)
        self.assertLess(run.seconds, FALLBACK_SECONDS)

    def test_a_session_that_goes_on(self) -> None:
        place = self.with_own_provider()

        first = self.ask(place)
        second = self.ask(place, "resume", "--last", before=first)

        sessions = {each["session_id"] for each in (*first.records, *second.records)}
        self.assertEqual(len(sessions), 1)

    def with_own_provider(self) -> Workplace:
        """Return a place whose Codex knows the bridge by a name."""
        place = self.new_place(AI_BRIDGE_TOKEN=self.token)
        # Settings come before the first table.
        place.write(".codex/config.toml", _UNATTENDED + self.filled(_OWN_PROVIDER))
        return place

    def filled(self, settings: str) -> str:
        return settings.format(base_url=self.base_url)

    def ask(self, place: Workplace, *words: str, before: Run | None = None) -> Run:
        """Have it call the tool, and check the records; return the run.

        Args:
            place: where.
            words: behind `codex exec`.
            before: the run that this one goes on from.
        """
        prompt = new_prompt(self.package.specification)

        run = place.run(self.command, "exec", *words, "--json", prompt)

        items = [event["item"] for event in run.told("item.completed")]
        (command,) = [item for item in items if item["type"] == "command_execution"]
        self.assertEqual((command["exit_code"], command["aggregated_output"]), (0, "demo\n"))
        self.assertEqual(items[-1]["text"], f"You said: {prompt}")
        (started,) = run.told("thread.started")
        self.assert_recorded(
            run,
            Expected(
                prompt=prompt,
                model=MODEL,
                route="/v1/responses",
                tool="exec_command",
                arguments={"cmd": COMMAND},
                session=started["thread_id"],
                tokens=counted(run) if before is None else None,
            ),
        )
        return run

    def check_request(self, record: dict[str, Any], expected: Expected) -> None:
        super().check_request(record, expected)
        self.assertTrue(record["user_agent"].startswith(f"codex_exec/{self.package.version} "))


def counted(run: Run) -> Tokens:
    """Return the tokens that it has counted: of the whole session."""
    (turn,) = run.told("turn.completed")
    usage = turn["usage"]
    cached = usage["cached_input_tokens"]
    return Tokens(
        uncached=usage["input_tokens"] - cached, cached=cached, output=usage["output_tokens"]
    )
