"""Where a request to an OpenAI-compatible provider goes, and in whose name."""

from __future__ import annotations

from bridge.domain.errors import Unauthenticated
from bridge.domain.identity import CredentialKind, Secret, UserCredential
from bridge.domain.interception import Api, Traffic
from bridge.providers.openai import OPENAI_ROUTES, OpenAi
from tests.support.cases import BridgeTestCase

KEY = "sk-proj-the-organisations-own-key"


def openai(base_url: str = "https://api.openai.com/v1", **options: object) -> OpenAi:
    keys = [Secret(KEY)]
    return OpenAi(name="openai", base_url=base_url, **{"keys": keys, **options})  # type: ignore[arg-type]


class TargetTests(BridgeTestCase):
    """A base URL is what an SDK would be given: `/chat/completions` is appended to it."""

    def assert_target(self, base_url: str, asked: bytes, origin: str, target: bytes) -> None:
        provider = openai(base_url)

        self.assertEqual((provider.origin, provider.target(asked)), (origin, target))

    def test_with_its_version(self) -> None:
        self.assert_target(
            "https://api.openai.com/v1",
            b"/v1/chat/completions",
            "https://api.openai.com",
            b"/v1/chat/completions",
        )

    def test_with_a_slash_at_its_end(self) -> None:
        self.assert_target(
            "https://api.openai.com/v1/",
            b"/v1/responses",
            "https://api.openai.com",
            b"/v1/responses",
        )

    def test_openai_itself_without_its_version(self) -> None:
        self.assert_target(
            "https://api.openai.com", b"/v1/models", "https://api.openai.com", b"/v1/models"
        )

    def test_others_without_a_version_have_none(self) -> None:
        """Perplexity, for one, serves /chat/completions at its root."""
        self.assert_target(
            "https://api.perplexity.ai",
            b"/v1/chat/completions",
            "https://api.perplexity.ai",
            b"/chat/completions",
        )

    def test_with_a_longer_path(self) -> None:
        self.assert_target(
            "https://chatgpt.com/backend-api/codex",
            b"/v1/responses?x=1",
            "https://chatgpt.com",
            b"/backend-api/codex/responses?x=1",
        )

    def test_a_client_that_leaves_the_version_out(self) -> None:
        self.assert_target(
            "http://127.0.0.1:11434/v1",
            b"/chat/completions",
            "http://127.0.0.1:11434",
            b"/v1/chat/completions",
        )

    def test_a_name_that_begins_like_the_version_is_none(self) -> None:
        self.assert_target(
            "https://example.com/v1", b"/v1beta/x", "https://example.com", b"/v1/v1beta/x"
        )


class CredentialTests(BridgeTestCase):
    def test_the_organisations_key_is_a_bearer_token(self) -> None:
        provider = openai()

        own = provider.credential(None)

        self.assertEqual(provider.headers(own), ((b"authorization", b"Bearer " + KEY.encode()),))
        self.assertEqual((own.kind, own.hint), (CredentialKind.CENTRALIZED, "sk-p...-key"))

    def test_azure_wants_it_in_a_header_of_its_own(self) -> None:
        provider = openai("https://a.openai.azure.com/openai/v1", key_header=b"api-key")

        sent = provider.headers(provider.credential(None))

        self.assertEqual(sent, ((b"api-key", KEY.encode()),))
        self.assertEqual(provider.own_headers, (b"api-key", b"authorization"))

    def test_organisation_and_project_go_with_our_key_only(self) -> None:
        provider = openai(organization="org-1", project="proj_1")
        own = UserCredential(header=b"authorization", value=b"Bearer sk-their-own-key-000000")

        central = provider.headers(provider.credential(None))
        theirs = provider.headers(provider.credential(own))

        self.assertEqual(
            central[1:], ((b"openai-organization", b"org-1"), (b"openai-project", b"proj_1"))
        )
        self.assertEqual(theirs, ((b"authorization", b"Bearer sk-their-own-key-000000"),))

    def test_a_users_own_is_sent_as_it_came_and_recorded_masked(self) -> None:
        own = UserCredential(header=b"authorization", value=b"Bearer user-token")

        credential = openai().credential(own)

        self.assertEqual((credential.kind, credential.hint), (CredentialKind.BYOK, "us...en"))

    def test_without_any_key_it_says_where_to_send_ones_own(self) -> None:
        with self.assertRaisesRegex(Unauthenticated, "Authorization, and the bridge token in X-AI"):
            openai(keys=[]).credential(None)


class RouteTests(BridgeTestCase):
    def route(self, path: bytes, method: bytes = b"POST") -> object:
        found = [each for each in OPENAI_ROUTES if each.matches(path) and method in each.methods]
        return found[0] if found else None

    def test_both_apis_are_intercepted_with_and_without_the_version(self) -> None:
        for path, api in (
            (b"/v1/chat/completions", Api.CHAT_COMPLETIONS),
            (b"/chat/completions", Api.CHAT_COMPLETIONS),
            (b"/v1/responses", Api.RESPONSES),
            (b"/responses", Api.RESPONSES),
        ):
            route = self.route(path)

            self.assertEqual((route.traffic, route.api), (Traffic.INTERCEPTED, api), path)  # type: ignore[attr-defined]

    def test_what_is_kept_is_about_its_id(self) -> None:
        for path in (b"/v1/responses/resp_1", b"/v1/responses/resp_1/input_items"):
            self.assertEqual(self.route(path, b"GET").stored_id(path), "resp_1")  # type: ignore[attr-defined]
        path = b"/conversations/conv_1/items/msg_2"
        self.assertEqual(self.route(path, b"DELETE").stored_id(path), "conv_1")  # type: ignore[attr-defined]

    def test_compacting_is_about_no_id(self) -> None:
        path = b"/v1/responses/compact"

        self.assertIsNone(self.route(path).stored_id(path))  # type: ignore[attr-defined]

    def test_what_a_privileged_key_could_do_is_not_served(self) -> None:
        for path in (b"/v1/completions", b"/v1/files", b"/v1/fine_tuning/jobs", b"/v1/batches",
                     b"/v1/organization/admin_api_keys", b"/v1/responses/"):  # fmt: skip
            for method in (b"GET", b"POST", b"DELETE"):
                self.assertIsNone(self.route(path, method), path)
