"""Providers from the list, from numbered variables, and from the established options."""

from __future__ import annotations

from bridge.config.providers import RESERVED_NAMES
from bridge.domain.identity import Secret
from tests.config.support import ConfigCase

TOKEN = "aib_" + "0" * 12 + "_" + "0" * 49


def listed(fields: str) -> str:
    return f"aibridge: {{providers: [{{{fields}}}]}}"


class ListTests(ConfigCase):
    def test_a_type_alone_is_enough(self) -> None:
        """Name and address follow from it."""
        (provider,) = self.load(listed("type: anthropic")).providers

        self.assertEqual(
            (provider.name, provider.base_url), ("anthropic", "https://api.anthropic.com")
        )
        self.assertTrue(provider.own_keys_only)

    def test_several_of_one_type_have_their_names(self) -> None:
        """Instances are told apart."""
        settings = self.load(
            "aibridge: {providers: [{type: anthropic, name: a}, {type: anthropic, name: b}]}"
        )

        self.assertEqual([each.name for each in settings.providers], ["a", "b"])

    def test_an_empty_list_is_no_provider(self) -> None:
        """Management alone works."""
        self.assertEqual(self.load("aibridge: {providers: []}").providers, ())

    def test_a_key_that_expands_to_nothing_means_own_keys_only(self) -> None:
        """`${ANTHROPIC_API_KEY:-}` unset."""
        (provider,) = self.load(listed("type: anthropic, key: '${NOPE:-}'")).providers

        self.assertEqual((provider.keys, provider.own_keys_only), ((), True))

    def test_several_keys_keep_their_order(self) -> None:
        """The first is preferred."""
        (provider,) = self.load(listed("type: anthropic, keys: [one, two]")).providers

        self.assertEqual(provider.keys, (Secret("one"), Secret("two")))

    def test_a_trailing_slash_of_the_address_does_not_matter(self) -> None:
        """Both are written."""
        (provider,) = self.load(listed("type: anthropic, base_url: 'https://x/y/'")).providers

        self.assertEqual(provider.base_url, "https://x/y")

    def test_actor_headers_follow_the_gateway_unless_set(self) -> None:
        """A provider may say otherwise."""
        settings = self.load(
            """\
            aibridge:
              send_actor_headers: true
              providers: [{type: anthropic}, {type: demo, send_actor_headers: false}]
            """
        )

        self.assertEqual([each.send_actor_headers for each in settings.providers], [True, False])

    def test_a_bedrock_entry_is_found_by_its_region(self) -> None:
        """As its options say."""
        (provider,) = self.load(listed("type: bedrock, region: eu-central-1")).providers

        self.assertEqual(provider.base_url, "https://bedrock-runtime.eu-central-1.amazonaws.com")
        assert provider.bedrock is not None
        self.assertEqual(provider.bedrock.region, "eu-central-1")


class RefusedEntryTests(ConfigCase):
    def refused(self, fields: str, expected: str) -> None:
        self.assert_problem(f"aibridge.providers[0]{expected}", self.problems(listed(fields)))

    def test_an_unknown_type_is_refused_with_the_known_ones(self) -> None:
        """A typo gets a suggestion."""
        self.refused("type: antropic, name: x", ".type: must be one of anthropic, openai")

    def test_neither_name_nor_type_is_refused(self) -> None:
        """An entry is somebody."""
        self.refused("key: k", ": needs a name and a type")

    def test_an_unknown_field_is_refused(self) -> None:
        """With a suggestion."""
        self.refused(
            "type: anthropic, baseurl: 'https://x'",
            ".baseurl: is not an option; did you mean base_url?",
        )

    def test_a_field_of_another_type_is_refused(self) -> None:
        """Regions are of bedrock."""
        self.refused("type: anthropic, region: x", ".region: is not an option")

    def test_an_entry_that_is_no_group_is_refused(self) -> None:
        """A name alone is not enough."""
        self.assert_problem(
            "aibridge.providers[0]: must be a group", self.problems("aibridge: {providers: [a]}")
        )

    def test_a_list_that_is_none_is_refused(self) -> None:
        """So is a group in its place."""
        self.assert_problem(
            "aibridge.providers: must be a list", self.problems("aibridge: {providers: {a: 1}}")
        )

    def test_a_name_with_capitals_is_refused(self) -> None:
        """It is a path."""
        self.refused("type: anthropic, name: Claude", ".name: must be lower-case")

    def test_a_name_with_a_slash_is_refused(self) -> None:
        """It is one segment of it."""
        self.refused("type: anthropic, name: a/b", ".name: must be lower-case")

    def test_a_name_with_two_dashes_is_refused(self) -> None:
        """As the established gateway has it."""
        self.refused("type: anthropic, name: a--b", ".name: must be lower-case")

    def test_an_overlong_name_is_refused(self) -> None:
        """64 characters are too many."""
        self.refused(f"type: anthropic, name: {'a' * 64}", ".name: must be lower-case")

    def test_no_path_of_ours_can_be_a_name(self) -> None:
        """All of them, now and later."""
        expected = {
            "api", "ui", "healthz", "readyz", "metrics", "static", "v1", "mcp", ".well-known",
            "interceptions", "sessions", "models", "clients", "providers", "usage", "search",
            "export", "users", "tokens", "audit", "holds", "keys", "proxy", "serve",
        }  # fmt: skip

        self.assertEqual(RESERVED_NAMES, expected)

    def test_a_path_of_ours_is_refused(self) -> None:
        """With the reason."""
        self.refused("type: anthropic, name: api", ".name: api is a path of the bridge itself")

    def test_a_name_that_is_taken_is_refused(self) -> None:
        """With who has it."""
        self.assert_problem(
            "aibridge.providers[1].name: anthropic is already the name of aibridge.providers[0]",
            self.problems("aibridge: {providers: [{type: anthropic}, {type: anthropic}]}"),
        )

    def test_key_and_keys_are_refused(self) -> None:
        """One of them."""
        self.refused("type: anthropic, key: a, keys: [b]", ": key and keys cannot both")

    def test_a_doubled_key_is_refused(self) -> None:
        """Failing over to the same key is no failover."""
        self.refused("type: anthropic, keys: [a, a]", ".keys: lists a credential twice")

    def test_a_key_with_a_line_end_is_refused(self) -> None:
        """It would be two headers."""
        self.refused('type: anthropic, key: "a\\r\\nx: y"', ".key: must be one word")

    def test_an_address_without_a_scheme_is_refused(self) -> None:
        """`broker.example` is no URL."""
        self.refused("type: anthropic, base_url: broker.example", ".base_url: must be http(s)://")

    def test_an_address_with_a_query_is_refused(self) -> None:
        """Paths are put behind it."""
        self.refused(
            "type: anthropic, base_url: 'https://x/?k=1'",
            ".base_url: must be http(s)://host[:port][/path], without a query",
        )

    def test_an_address_with_an_impossible_port_is_refused(self) -> None:
        """Ports end at 65535."""
        self.refused("type: anthropic, base_url: 'https://x:99999'", ".base_url: must be http(s)")

    def test_an_address_that_is_no_address_is_refused(self) -> None:
        """A lone bracket is no host."""
        self.refused("type: anthropic, base_url: 'http://[x', key: k", ".base_url: must be http(s)")

    def test_a_type_that_is_none_is_the_only_problem(self) -> None:
        """What its address would be, nobody knows."""
        (problem,) = self.problems(listed("name: x, type: open-ai"))

        self.assertIn(".type: must be one of", problem)

    def test_an_address_of_an_endpoint_is_refused(self) -> None:
        """Clients' paths are put behind it."""
        for path in ("chat/completions", "responses", "messages"):
            self.refused(
                f"type: openai, base_url: 'https://x/v1/{path}/'",
                f".base_url: must end before /{path}, which is appended to it",
            )
        self.refused(
            "type: anthropic, base_url: 'https://x/v1/messages'",
            ".base_url: must end before /v1/messages, which is appended",
        )

    def test_an_address_of_anthropics_with_a_version_is_refused(self) -> None:
        """Clients' paths have one."""
        self.refused(
            "type: anthropic, base_url: 'https://x/v1/'", ".base_url: must end before /v1, which"
        )

    def test_a_bedrock_without_a_place_is_refused(self) -> None:
        """There is no address for all regions."""
        self.refused("type: bedrock", ".region: must be given")


class BridgeTokenTests(ConfigCase):
    """A token of a bridge is nothing that a vendor may be sent."""

    def assert_left_out(self, variable: str, text: str | None, environ: dict[str, str]) -> None:
        settings = self.load(text, environ=environ)

        self.assertEqual([each.keys for each in settings.providers], [()])
        (warning,) = settings.warnings
        self.assertIn(f": {variable} in the environment holds a token of an AI Bridge", warning)
        self.assertNotIn(TOKEN, warning)

    def test_written_in_the_file_it_is_refused(self) -> None:
        """Somebody meant it."""
        self.assert_problem(
            "aibridge.providers[0]: is given a token of an AI Bridge as its key",
            self.problems(listed(f"type: anthropic, key: {TOKEN}")),
        )
        self.assert_problem(
            "aibridge.providers[0]: is given a token of an AI Bridge as its key",
            self.problems(listed(f"type: openai, keys: [sk-1, {TOKEN}]")),
        )

    def test_the_vendors_variable_is_left_out(self) -> None:
        """It is set in the shell of everybody who uses a bridge."""
        self.assert_left_out("ANTHROPIC_API_KEY", None, {"ANTHROPIC_API_KEY": TOKEN})

    def test_a_variable_that_the_file_names_is_left_out(self) -> None:
        """As in etc/bridge.yaml; the same token may lie in other variables too."""
        self.assert_left_out(
            "OPENAI_API_KEY",
            listed("type: openai, key: '${OPENAI_API_KEY:-}'"),
            {"ANTHROPIC_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": TOKEN},
        )

    def test_a_variable_that_an_option_of_the_file_names_is_left_out(self) -> None:
        """The established spelling."""
        self.assert_left_out("MY_KEY", "aibridge: {anthropic_key: '${MY_KEY}'}", {"MY_KEY": TOKEN})

    def test_a_numbered_variable_is_left_out(self) -> None:
        """The type is the name's."""
        self.assert_left_out(
            "AIBRIDGE_PROVIDER_0_KEY",
            None,
            {"AIBRIDGE_PROVIDER_0_TYPE": "openai", "AIBRIDGE_PROVIDER_0_KEY": TOKEN},
        )

    def test_the_other_keys_stay(self) -> None:
        """Only what is none is left out."""
        settings = self.load(
            listed("type: openai, keys: ['${A}', '${B}']"), environ={"A": TOKEN, "B": "sk-1"}
        )

        self.assertEqual(settings.providers[0].keys, (Secret("sk-1"),))

    def test_a_default_in_the_file_is_written_there(self) -> None:
        """`${KEY:-…}` without KEY is no variable's."""
        self.assert_problem(
            "aibridge.providers[0]: is given a token of an AI Bridge as its key",
            self.problems(listed(f"type: openai, key: '${{KEY:-{TOKEN}}}'")),
        )

    def test_one_for_another_bridge_is_fine(self) -> None:
        """Bridges may stand behind one another."""
        listing = f"type: anthropic, key: {TOKEN}, base_url: 'https://other.example'"

        self.assertEqual(self.load(listed(listing)).providers[0].keys, (Secret(TOKEN),))


class EstablishedTests(ConfigCase):
    def test_anthropic_by_environment_alone(self) -> None:
        """Key and address of a compatible broker."""
        (provider,) = self.load(
            environ={
                "CODER_AIBRIDGE_ANTHROPIC_KEY": "k",
                "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": "https://broker.example/anthropic/",
            }
        ).providers

        self.assertEqual(
            (provider.name, provider.keys, provider.base_url),
            ("anthropic", (Secret("k"),), "https://broker.example/anthropic"),
        )

    def test_anthropic_by_flag_alone(self) -> None:
        """The same as a flag."""
        (provider,) = self.load(flags={"aibridge-anthropic-key": "k"}).providers

        self.assertEqual(provider.keys, (Secret("k"),))

    def test_openai_beside_anthropic(self) -> None:
        """Both are there, openai because it was asked for."""
        settings = self.load(environ={"CODER_AIBRIDGE_OPENAI_KEY": "k"})

        self.assertEqual([each.name for each in settings.providers], ["anthropic", "openai"])
        self.assertEqual(settings.providers[1].base_url, "https://api.openai.com/v1")

    def test_bedrock_by_region(self) -> None:
        """Its address follows from it."""
        settings = self.load(
            environ={
                "CODER_AIBRIDGE_BEDROCK_REGION": "us-east-1",
                "CODER_AIBRIDGE_BEDROCK_ACCESS_KEY": "id",
                "CODER_AIBRIDGE_BEDROCK_ACCESS_KEY_SECRET": "secret",
            }
        )

        self.assertEqual(
            settings.providers[1].base_url, "https://bedrock-runtime.us-east-1.amazonaws.com"
        )

    def test_bedrocks_address_wins_over_its_region(self) -> None:
        """As the established gateway has it."""
        settings = self.load(
            environ={
                "CODER_AIBRIDGE_BEDROCK_REGION": "us-east-1",
                "CODER_AIBRIDGE_BEDROCK_BASE_URL": "https://vpc.example",
            }
        )

        self.assertEqual(settings.providers[1].base_url, "https://vpc.example")

    def test_half_of_a_bedrock_key_is_refused(self) -> None:
        """An id without its secret signs nothing."""
        problems = self.problems(
            environ={"AIBRIDGE_BEDROCK_ACCESS_KEY": "id", "AIBRIDGE_BEDROCK_REGION": "us-east-1"}
        )

        self.assert_problem(
            "aibridge.bedrock_access_key: needs aibridge.bedrock_access_key_secret", problems
        )

    def test_a_bedrock_key_without_a_place_is_refused(self) -> None:
        """It has to be somewhere."""
        problems = self.problems(
            environ={
                "AIBRIDGE_BEDROCK_ACCESS_KEY": "id",
                "AIBRIDGE_BEDROCK_ACCESS_KEY_SECRET": "s",
            }
        )

        self.assert_problem(
            "aibridge.bedrock_access_key: needs aibridge.bedrock_region or", problems
        )

    def test_a_region_that_is_none_is_refused(self) -> None:
        """It becomes part of a host's name."""
        problems = self.problems(environ={"AIBRIDGE_BEDROCK_REGION": "evil.example/"})

        self.assert_problem("aibridge.bedrock_region: is not an AWS region", problems)

    def test_an_option_fills_what_the_entry_leaves_out(self) -> None:
        """A list without keys can be in a repository."""
        (provider,) = self.load(
            listed("type: anthropic"), environ={"CODER_AIBRIDGE_ANTHROPIC_KEY": "k"}
        ).providers

        self.assertEqual(provider.keys, (Secret("k"),))

    def test_a_variable_takes_the_place_of_what_the_file_says(self) -> None:
        """Flag, environment, YAML: here as everywhere."""
        (provider,) = self.load(
            listed("type: anthropic, key: filed, base_url: 'https://filed.example'"),
            environ={
                "CODER_AIBRIDGE_ANTHROPIC_KEY": "k",
                "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": "https://broker.example",
            },
        ).providers

        self.assertEqual(
            (provider.keys, provider.base_url), ((Secret("k"),), "https://broker.example")
        )

    def test_the_file_contradicting_itself_is_refused(self) -> None:
        """Two spellings, one source."""
        problems = self.problems(
            """\
            aibridge:
              anthropic_key: one
              providers: [{type: anthropic, key: two}]
            """
        )

        self.assert_problem(
            "aibridge.providers[0].key: and aibridge.anthropic_key (bridge.yaml:2) are two "
            "spellings",
            problems,
        )

    def test_a_name_of_another_type_is_refused(self) -> None:
        """The key of anthropic does not go to a provider that is only called so."""
        problems = self.problems(
            listed("type: openai, name: anthropic"),
            environ={"CODER_AIBRIDGE_ANTHROPIC_KEY": "k"},
        )

        self.assert_problem(
            "aibridge.anthropic_key: is set, but the provider anthropic is of the type openai",
            problems,
        )


class NumberedTests(ConfigCase):
    def test_a_provider_by_numbered_variables(self) -> None:
        """As the established gateway has it."""
        (provider,) = self.load(
            environ={
                "CODER_AI_GATEWAY_PROVIDER_0_TYPE": "anthropic",
                "CODER_AI_GATEWAY_PROVIDER_0_NAME": "team-a",
                "CODER_AI_GATEWAY_PROVIDER_0_KEYS": "one, two",
                "CODER_AI_GATEWAY_PROVIDER_0_BASE_URL": "https://x.example",
            }
        ).providers

        self.assertEqual(
            (provider.name, provider.keys, provider.base_url),
            ("team-a", (Secret("one"), Secret("two")), "https://x.example"),
        )

    def test_a_gap_in_the_numbers_is_refused(self) -> None:
        """A forgotten one is not skipped."""
        problems = self.problems(environ={"AIBRIDGE_PROVIDER_1_TYPE": "anthropic"})

        self.assert_problem("environment PROVIDER_<N>: numbers start at 0", problems)

    def test_an_unknown_field_is_refused(self) -> None:
        """With the variable's name."""
        problems = self.problems(
            environ={"AIBRIDGE_PROVIDER_0_TYPE": "anthropic", "AIBRIDGE_PROVIDER_0_COLOUR": "x"}
        )

        self.assert_problem("environment AIBRIDGE_PROVIDER_0.colour: is not an option", problems)

    def test_two_prefixes_with_different_values_are_refused(self) -> None:
        """Nobody guesses."""
        problems = self.problems(
            environ={
                "AIBRIDGE_PROVIDER_0_TYPE": "anthropic",
                "CODER_AIBRIDGE_PROVIDER_0_TYPE": "openai",
            }
        )

        self.assert_problem("environment CODER_AIBRIDGE_PROVIDER_0_TYPE: and", problems)

    def test_the_name_of_a_listed_one_is_taken(self) -> None:
        """The list comes first."""
        problems = self.problems(
            listed("type: anthropic"), environ={"AIBRIDGE_PROVIDER_0_TYPE": "anthropic"}
        )

        self.assert_problem(
            "environment AIBRIDGE_PROVIDER_0.name: anthropic is already the name of", problems
        )
