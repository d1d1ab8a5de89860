"""The setup page's promises for OpenAI, or a compatible broker in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.broker import COMPLETION, Broker
from tests.acceptance.running import AcceptanceCase, Shared, recorded
from tests.support.bridge_process import BridgeProcess

KEY = "sk-proj-organisation-0123456789"

broker = Shared(lambda _: Broker())


def by_environment(directory: Path) -> BridgeProcess:
    """Return a bridge with nothing but two variables."""
    return BridgeProcess(
        directory=directory,
        settings={},
        environment={
            "CODER_AIBRIDGE_OPENAI_KEY": KEY,
            "CODER_AIBRIDGE_OPENAI_BASE_URL": broker.get().url,
        },
    )


environment = Shared(by_environment)


class OpenAiSetup(AcceptanceCase):
    """Asks a bridge, and looks at what its provider was sent."""

    def send(self, bridge: BridgeProcess, prompt: str, at: str = "/openai", **more: Any) -> Any:
        body = {"model": "some-model", "messages": [{"role": "user", "content": prompt}], **more}
        return bridge.ask(
            "POST",
            f"{at}/v1/chat/completions",
            json.dumps(body).encode(),
            token="dev",
            headers={"Content-Type": "application/json"},
        )

    def assert_arrives(self, bridge: BridgeProcess, prompt: str) -> None:
        """Send a prompt, which must reach the broker's path with the key and no token of ours."""
        status, _, body = self.send(bridge, prompt)

        self.assertEqual((status, body), (200, COMPLETION))
        sent = broker.get().about(prompt)
        self.assertEqual(sent.target, "/compatible/api/chat/completions")
        self.assertEqual(sent.headers["authorization"], f"Bearer {KEY}")
        self.assertNotIn("x-api-key", sent.headers)
        self.assertNotIn(bridge.token(), str(sent.headers))

    def test_environment_alone(self) -> None:
        self.assert_arrives(environment.get(), "openai by environment alone")

    def test_flag_alone(self) -> None:
        bridge = self.new_bridge(
            flags=["--aibridge-openai-key", KEY, "--aibridge-openai-base-url", broker.get().url]
        )
        bridge.start()

        self.assert_arrives(bridge, "openai by flag alone")

    def test_file_alone(self) -> None:
        bridge = self.new_bridge(
            {"aibridge": {"openai_key": KEY, "openai_base_url": broker.get().url + "/"}}
        )
        bridge.start()

        self.assert_arrives(bridge, "openai by file alone")

    def test_the_established_paths_lead_there_too(self) -> None:
        for prefix in ("/api/v2/aibridge", "/api/v2/ai-gateway"):
            status, _, body = self.send(
                environment.get(), f"openai below {prefix}", at=f"{prefix}/openai"
            )
            self.assertEqual((status, body), (200, COMPLETION))

    def test_what_was_sent_is_recorded_with_a_masked_key(self) -> None:
        bridge = environment.get()
        self.send(bridge, "openai to be recorded")

        record = recorded(bridge, "openai to be recorded")

        self.assertEqual(
            (record["provider"], record["provider_name"], record["status"], record["api"]),
            ("openai", "openai", "completed", "chat_completions"),
        )
        self.assertEqual(record["credential_hint"], "sk-p...6789")
        (usage,) = record["token_usages"]
        self.assertEqual(
            (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]),
            (7, 4, 5),
        )
        self.assertNotIn(KEY, bridge.output)

    def test_anthropic_is_there_beside_it(self) -> None:
        status, _, _ = environment.get().ask("GET", "/anthropic/v1/models", token=None)

        self.assertEqual(status, 401)  # and not 404
