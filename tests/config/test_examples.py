"""Every example of docs/providers.rst is a configuration that works, and means what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from bridge.config import options
from bridge.config.load import load
from bridge.config.settings import Settings
from bridge.domain.identity import CredentialKind
from bridge.upstreams import provider_from
from tests.support.cases import BridgeTestCase
from tests.support.certificates import Authority

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.rst"
CA_FILE = "/etc/aibridge/company-ca.pem"
ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-openai",
    "OPENROUTER_API_KEY": "sk-or-1",
    "AZURE_OPENAI_API_KEY": "azure-key",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "CLAUDE_KEY_1": "sk-ant-1",
    "CLAUDE_KEY_2": "sk-ant-2",
}


def examples() -> Mapping[str, str]:
    """Return each block of YAML by the name of its first provider, or of its proxy."""
    found = {}
    for block in re.findall(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", PAGE.read_text()):
        text = dedent(block)
        name = re.search(r"name: (\S+)", text)
        found["proxy" if "https_proxy" in text else name[1] if name else text] = text
    return found


class ExampleTests(BridgeTestCase):
    def loaded(self, name: str, environ: Mapping[str, str] = ENVIRONMENT) -> Settings:
        path, authorities = Path(self.mktemp()), Path(self.mktemp())
        authorities.write_bytes(Authority.root().certificate_pem)
        path.write_text(examples()[name].replace(CA_FILE, str(authorities)))
        settings = load(path, {}, environ)
        self.assertEqual(settings.warnings, ())
        return settings

    def sent(self, name: str, asked: bytes) -> tuple[str, bytes, dict[bytes, bytes]]:
        """Return origin, target and headers of a request to an example's first provider."""
        provider = provider_from(self.loaded(name).providers[0])
        headers = dict(provider.headers(provider.credential(None)))
        return provider.origin, provider.target(asked), headers

    def test_there_is_one_for_each(self) -> None:
        self.assertEqual(
            set(examples()),
            {
                "openai",
                "openrouter",
                "azure",
                "mistral",
                "ollama",
                "chatgpt",
                "copilot",
                "anthropic",
                "bedrock",
                "claude",
                "proxy",
            },
        )

    def test_openai(self) -> None:
        self.assertEqual(
            self.sent("openai", b"/v1/responses"),
            (
                "https://api.openai.com",
                b"/v1/responses",
                {
                    b"authorization": b"Bearer sk-openai",
                    b"openai-organization": b"org-ours",
                    b"openai-project": b"proj_ours",
                },
            ),
        )

    def test_openrouter(self) -> None:
        self.assertEqual(
            self.sent("openrouter", b"/v1/chat/completions"),
            (
                "https://openrouter.ai",
                b"/api/v1/chat/completions",
                {b"authorization": b"Bearer sk-or-1"},
            ),
        )

    def test_azure(self) -> None:
        self.assertEqual(
            self.sent("azure", b"/v1/chat/completions?api-version=preview"),
            (
                "https://our-resource.openai.azure.com",
                b"/openai/v1/chat/completions?api-version=preview",
                {b"api-key": b"azure-key"},
            ),
        )

    def test_ollama(self) -> None:
        origin, target, _ = self.sent("ollama", b"/v1/chat/completions")

        self.assertEqual((origin, target), ("http://127.0.0.1:11434", b"/v1/chat/completions"))

    def test_mistral_is_not_asked_for_token_counts(self) -> None:
        self.assertFalse(self.loaded("mistral").providers[0].include_usage)

    def test_chatgpt_is_for_own_keys(self) -> None:
        (settings,) = self.loaded("chatgpt").providers
        target = provider_from(settings).target(b"/v1/responses")

        self.assertTrue(settings.own_keys_only)
        self.assertEqual(target, b"/backend-api/codex/responses")

    def test_copilot_has_an_instance_for_each_plan(self) -> None:
        individual, business = (provider_from(each) for each in self.loaded("copilot").providers)

        self.assertEqual(individual.origin, "https://api.githubcopilot.com")
        self.assertEqual(business.origin, "https://api.business.githubcopilot.com")
        self.assertEqual(business.target(b"/chat/completions"), b"/chat/completions")

    def test_a_broker_gets_its_key_as_a_bearer_token(self) -> None:
        settings = self.loaded("anthropic", {"BROKER_KEY": "b-1", "ANTHROPIC_API_KEY": "sk-ant-1"})
        anthropic, broker = (provider_from(each) for each in settings.providers)

        own = broker.credential(None)
        self.assertEqual(dict(broker.headers(own)), {b"authorization": b"Bearer b-1"})
        self.assertEqual(broker.target(b"/v1/messages"), b"/anthropic/v1/messages")
        self.assertEqual(anthropic.credential(None).kind, CredentialKind.CENTRALIZED)

    def test_bedrock_in_both_protocols(self) -> None:
        invoke, mantle = self.loaded("bedrock").providers

        self.assertEqual(invoke.base_url, "https://bedrock-runtime.eu-central-1.amazonaws.com")
        self.assertEqual(mantle.base_url, "https://bedrock-mantle.us-east-1.api.aws/anthropic")

    def test_what_stands_in_when_a_provider_fails(self) -> None:
        settings = self.loaded("claude")
        claude, standing_in = settings.providers

        self.assertTrue(settings[options.CIRCUIT_BREAKER_ENABLED])
        self.assertEqual((len(claude.keys), claude.max_retries), (2, 1))
        self.assertEqual(claude.fallback, (standing_in.name,))

    def test_the_proxy(self) -> None:
        self.assertNotEqual(self.loaded("proxy")[options.CA_FILE], "")
