"""The provider bedrock: its entry, its established options, and what of them cannot work."""

from __future__ import annotations

from bridge.config.aws import BedrockSettings
from bridge.domain.identity import Secret
from bridge.providers.regions import BedrockProtocol
from tests.config.support import ConfigCase

SONNET = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "global.anthropic.claude-haiku-4-5-20251001-v1:0"


def listed(fields: str) -> str:
    return f"aibridge: {{providers: [{{type: bedrock, {fields}}}]}}"


class EntryTests(ConfigCase):
    def bedrock(self, fields: str, **environ: str) -> BedrockSettings:
        (provider,) = self.load(listed(fields), environ=environ).providers
        assert provider.bedrock is not None
        return provider.bedrock

    def address(self, fields: str) -> str:
        return self.load(listed(fields)).providers[0].base_url

    def test_the_address_follows_from_region_and_protocol(self) -> None:
        """China has its own domain."""
        for fields, expected in (
            ("region: us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
            ("region: cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            (
                "region: eu-west-1, protocol: mantle",
                "https://bedrock-mantle.eu-west-1.api.aws/anthropic",
            ),
            (
                "region: us-east-1, base_url: 'https://proxy.example/aws/'",
                "https://proxy.example/aws",
            ),
        ):
            self.assertEqual(self.address(fields), expected)

    def test_the_region_follows_from_aws_own_address(self) -> None:
        """It is signed."""
        address = "base_url: 'https://vpce-1.bedrock-runtime.us-gov-west-1.vpce.amazonaws.com'"

        self.assertEqual(self.bedrock(address).region, "us-gov-west-1")

    def test_everything_is_read(self) -> None:
        """And the secrets do not show."""
        found = self.bedrock(
            "region: us-east-1, protocol: mantle, access_key: AKIAEXAMPLE, session_token: t,"
            " access_key_secret: '${SECRET}', role_arn: 'arn:aws:iam::1:role/x', external_id: e,"
            " model: m, small_fast_model: s",
            SECRET="the-secret",
        )

        self.assertEqual(
            found,
            BedrockSettings(
                region="us-east-1",
                protocol=BedrockProtocol.MANTLE,
                access_key="AKIAEXAMPLE",
                access_key_secret=Secret("the-secret"),
                session_token=Secret("t"),
                role_arn="arn:aws:iam::1:role/x",
                external_id="e",
                model="m",
                small_fast_model="s",
            ),
        )
        self.assertNotIn("the-secret", repr(found))

    def test_what_cannot_work_is_refused(self) -> None:
        """With the field that is wrong."""
        for fields, expected in (
            ("model: m", ".region: must be given"),
            ("region: nowhere", ".region: is not an AWS region"),
            ("region: us-east-1, access_key: id", ".access_key: needs access_key_secret as well"),
            ("region: us-east-1, access_key_secret: s", ".access_key_secret: needs access_key as"),
            ("region: us-east-1, session_token: s", ".session_token: needs access_key as well"),
            ("region: us-east-1, external_id: s", ".external_id: needs role_arn as well"),
            ("region: us-east-1, role_arn: admin", ".role_arn: must be arn:aws:iam::"),
            ("region: us-east-1, protocol: http", ".protocol: must be invoke or mantle, not"),
            (
                "region: us-east-1, key: k",
                ".key: has no meaning for a provider of the type",
            ),
            (
                "region: us-east-1, access_key: a, access_key_secret: s, profile: p",
                ".profile: and access_key cannot both be given",
            ),
        ):
            self.assert_problem(f"aibridge.providers[0]{expected}", self.problems(listed(fields)))

    def test_options_fill_what_the_entry_leaves_out(self) -> None:
        """A list without secrets can be in a repository."""
        found = self.bedrock(
            "region: us-east-1",
            AIBRIDGE_BEDROCK_ACCESS_KEY="AKIAEXAMPLE",
            AIBRIDGE_BEDROCK_ACCESS_KEY_SECRET="s",
        )

        self.assertEqual((found.access_key, found.access_key_secret), ("AKIAEXAMPLE", Secret("s")))

    def test_options_that_say_something_else_are_refused(self) -> None:
        """Nobody can know which is meant."""
        problems = self.problems(
            listed("region: us-east-1"), environ={"AIBRIDGE_BEDROCK_REGION": "eu-west-1"}
        )

        self.assert_problem("aibridge.bedrock_region: is another value than the listed", problems)


class EstablishedTests(ConfigCase):
    def names(self, environ: dict[str, str], text: str = "") -> dict[str, str]:
        return {each.name: each.type for each in self.load(text, environ=environ).providers}

    def test_it_is_served_for_anthropic_too_where_that_has_no_key(self) -> None:
        """As the established gateway has it."""
        region = {"CODER_AIBRIDGE_BEDROCK_REGION": "us-east-1"}

        self.assertEqual(self.names(region), {"anthropic": "bedrock", "bedrock": "bedrock"})
        self.assertEqual(
            self.names({**region, "CODER_AIBRIDGE_ANTHROPIC_KEY": "k"}),
            {"anthropic": "anthropic", "bedrock": "bedrock"},
        )
        self.assertEqual(
            self.names(region, "aibridge: {providers: [{type: anthropic}]}"),
            {"anthropic": "anthropic", "bedrock": "bedrock"},
        )

    def test_its_models_have_defaults(self) -> None:
        """Clients of Anthropic's API name models that Bedrock calls otherwise."""
        settings = self.load(environ={"CODER_AIBRIDGE_BEDROCK_REGION": "us-east-1"})

        for each in settings.providers:
            assert each.bedrock is not None
            self.assertEqual(each.bedrock.model, SONNET)
            self.assertEqual(each.bedrock.small_fast_model, HAIKU)

    def test_an_address_that_names_no_region_needs_one(self) -> None:
        """Which is signed."""
        problems = self.problems(environ={"AIBRIDGE_BEDROCK_BASE_URL": "https://proxy.example"})

        self.assert_problem("aibridge.bedrock_base_url: needs aibridge.bedrock_region", problems)
