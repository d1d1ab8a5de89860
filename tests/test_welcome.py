"""The first lines on the terminal name what works: a provider with a key, else the demo."""

from __future__ import annotations

from bridge.config.load import load
from bridge.welcome import Welcome, welcome_text
from tests.support.cases import BridgeTestCase

DEMO = "{name: demo, type: demo}"
KEYLESS = "{name: openai, type: openai}"
KEYED = "{name: openrouter, type: openai, base_url: 'https://x.example/v1', key: k}"


class OpenAiLineTests(BridgeTestCase):
    def setUp(self) -> None:
        self.directory = self.temporary_directory()
        (self.directory / "dev-token").touch()

    def lines(self, *providers: str) -> list[str]:
        """Return what is said of OpenAI's APIs where these providers are configured."""
        path = self.directory / "bridge.yaml"
        path.write_text(f"aibridge: {{providers: [{', '.join(providers)}]}}")
        text = welcome_text(
            Welcome(
                address="http://127.0.0.1:4001",
                providers=load(path, {}, {}).providers,
                admin_token=self.directory / "admin-token",
                dev_token=self.directory / "dev-token",
                command="aibridge",
                enabled=True,
                first_start=False,
            )
        )
        _, _, found = text.partition("OpenAI's APIs:\n")
        lines = found.partition("\n\n")[0].splitlines()
        return [line.partition(" OPENAI_API_KEY=")[0].strip() for line in lines]

    def test_one_with_a_key_is_used(self) -> None:
        self.assertEqual(
            self.lines(KEYED, DEMO),
            ["export OPENAI_BASE_URL=http://127.0.0.1:4001/openrouter/v1"],
        )

    def test_one_with_a_key_is_used_behind_one_without(self) -> None:
        self.assertEqual(
            self.lines(DEMO, KEYLESS, KEYED),
            ["export OPENAI_BASE_URL=http://127.0.0.1:4001/openrouter/v1"],
        )

    def test_without_a_key_it_is_the_demo(self) -> None:
        """It works at once."""
        self.assertEqual(
            self.lines(KEYLESS, DEMO), ["export OPENAI_BASE_URL=http://127.0.0.1:4001/demo/v1"]
        )

    def test_without_a_demo_it_is_said_what_is_missing(self) -> None:
        self.assertEqual(
            self.lines(KEYLESS),
            [
                "export OPENAI_BASE_URL=http://127.0.0.1:4001/openai/v1",
                "(openai has no key yet: set OPENAI_API_KEY where the bridge starts.)",
            ],
        )

    def test_without_either_nothing_is(self) -> None:
        self.assertEqual(self.lines("{name: anthropic, type: anthropic, key: k}"), [])
