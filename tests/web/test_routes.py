"""Who asks at a path that is not served is told what would be."""

from __future__ import annotations

from bridge.domain.errors import NotFound
from bridge.providers.anthropic import Anthropic
from bridge.providers.copilot import Copilot
from bridge.providers.demo import Demo
from bridge.providers.interface import Provider
from bridge.providers.openai import OpenAi
from bridge.web.routes import nothing_here, route_for
from tests.support.cases import BridgeTestCase

URL = "http://127.0.0.1:1"
ANTHROPIC = Anthropic(name="anthropic", base_url=URL, keys=())
OPENAI = OpenAi(name="router", base_url=URL, keys=())
COPILOT = Copilot(name="copilot", base_url=URL)
DEMO = Demo(name="demo", base_url=URL, keys=())


class UnservedPathTests(BridgeTestCase):
    def refusal(self, provider: Provider, path: bytes) -> str:
        return self.assertRaises(NotFound, route_for, provider, b"POST", path).message

    def test_the_base_url_of_each_kind_is_named(self) -> None:
        """OpenAI's have /v1, the others have not."""
        ends = {
            ANTHROPIC: "base URL has to end in /anthropic.",
            OPENAI: "base URL has to end in /router/v1.",
            COPILOT: "base URL has to end in /copilot.",
        }
        for provider, end in ends.items():
            message = self.refusal(provider, b"/v1/completion")

            self.assertTrue(message.endswith(end), message)

    def test_both_of_a_provider_that_speaks_both(self) -> None:
        """As the demo provider does."""
        self.assertIn(
            "/demo/v1 (for OpenAI's APIs) or /demo (for Anthropic's).", self.refusal(DEMO, b"/x")
        )

    def test_a_doubled_version_is_one_too_many(self) -> None:
        """Anthropic's SDK adds its own."""
        for provider in (ANTHROPIC, OPENAI):
            message = self.refusal(provider, b"/v1/v1/messages")

            self.assertTrue(message.endswith("Leave /v1 out of the client's base URL."), message)

    def test_a_wrong_method_is_told_the_right_ones(self) -> None:
        """There the path is right."""
        self.assertEqual(self.refusal(ANTHROPIC, b"/v1/models"), "This path takes only GET, HEAD.")


class NoProvidersPathTests(BridgeTestCase):
    def test_a_path_of_the_first_provider_is_named(self) -> None:
        """Something that works here."""
        self.assertEqual(
            nothing_here([OPENAI, ANTHROPIC]),
            "There is nothing at this path. Paths begin with a provider's name, such as "
            "/router/v1.",
        )

    def test_without_a_provider_nothing_is(self) -> None:
        """Management alone."""
        self.assertEqual(nothing_here([]), "There is nothing at this path.")
