"""Anthropic, Copilot and the demo: whose key, which family."""

from __future__ import annotations

from bridge.domain.errors import Unauthenticated
from bridge.domain.identity import CredentialKind, Secret, UserCredential
from bridge.domain.interception import Api
from bridge.providers.anthropic import Anthropic
from bridge.providers.copilot import Copilot
from bridge.providers.demo import Demo
from tests.support.cases import BridgeTestCase

GITHUB = UserCredential(header=b"authorization", value=b"Bearer ghu_0123456789abcdefghijklmnop")


class CopilotTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.copilot = Copilot(name="copilot", base_url="https://api.githubcopilot.com")

    def test_the_users_own_token_is_sent_and_recorded_masked(self) -> None:
        credential = self.copilot.credential(GITHUB)

        self.assertEqual(credential.kind, CredentialKind.BYOK)
        self.assertEqual(credential.hint, "ghu_...mnop")
        self.assertEqual(self.copilot.headers(credential), ((b"authorization", GITHUB.value),))

    def test_without_one_it_says_what_to_send(self) -> None:
        with self.assertRaisesRegex(Unauthenticated, "your own GitHub Copilot token"):
            self.copilot.credential(None)

    def test_paths_have_no_version_but_that_of_claude(self) -> None:
        served = {route.pattern: route.api for route in self.copilot.routes}

        self.assertEqual(served["/chat/completions"], Api.CHAT_COMPLETIONS)
        self.assertEqual(served["/responses"], Api.RESPONSES)
        self.assertEqual(served["/v1/messages"], Api.MESSAGES)
        self.assertEqual(self.copilot.target(b"/chat/completions"), b"/chat/completions")

    def test_everything_is_of_its_own_family(self) -> None:
        families = {self.copilot.family(api) for api in (*Api, None)}

        self.assertEqual(families, {"copilot"})


class OtherTests(BridgeTestCase):
    def test_anthropics_key_may_go_as_a_bearer_token(self) -> None:
        """A broker may want it so."""
        provider = Anthropic(
            name="broker",
            base_url="https://broker.example/anthropic/",
            keys=[Secret("key-0123456789")],
            key_header=b"authorization",
        )

        sent = provider.headers(provider.credential(None))

        self.assertEqual(sent, ((b"authorization", b"Bearer key-0123456789"),))
        self.assertEqual(provider.target(b"/v1/messages"), b"/anthropic/v1/messages")

    def test_the_demo_is_of_the_family_that_is_spoken(self) -> None:
        demo = Demo(name="demo", base_url="http://127.0.0.1:9", keys=[Secret("s" * 20)])

        families = [demo.family(api) for api in (Api.MESSAGES, Api.CHAT_COMPLETIONS, None)]

        self.assertEqual(families, ["anthropic", "openai", "anthropic"])
        self.assertEqual(demo.family(Api.RESPONSES), "openai")
