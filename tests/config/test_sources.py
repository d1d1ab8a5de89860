"""Every option by every name it has, and what is said of names that nobody has."""

from __future__ import annotations

from bridge.config import options
from bridge.domain.identity import Secret
from tests.config.support import ConfigCase

SETUP_PAGE = (
    "ENABLED", "OPENAI_KEY", "OPENAI_BASE_URL", "ANTHROPIC_KEY", "ANTHROPIC_BASE_URL",
    "BEDROCK_REGION", "BEDROCK_ACCESS_KEY", "BEDROCK_ACCESS_KEY_SECRET", "BEDROCK_MODEL",
    "BEDROCK_SMALL_FAST_MODEL", "BEDROCK_BASE_URL", "RETENTION", "STRUCTURED_LOGGING",
    "MAX_CONCURRENCY", "RATE_LIMIT", "ALLOW_BYOK", "SEND_ACTOR_HEADERS",
    "CIRCUIT_BREAKER_ENABLED",
)  # fmt: skip


class EstablishedNameTests(ConfigCase):
    """What a setup page of the established gateway says works here."""

    def test_the_newer_prefix_of_a_variable(self) -> None:
        """CODER_AI_GATEWAY_…"""
        settings = self.load(environ={"CODER_AI_GATEWAY_MAX_CONCURRENCY": "7"})

        self.assertEqual(settings[options.MAX_CONCURRENCY], 7)

    def test_our_own_prefix_of_a_variable(self) -> None:
        """AIBRIDGE_…"""
        settings = self.load(environ={"AIBRIDGE_MAX_CONCURRENCY": "7"})

        self.assertEqual(settings[options.MAX_CONCURRENCY], 7)

    def test_the_newer_flag(self) -> None:
        """--ai-gateway-…"""
        settings = self.load(flags={"ai-gateway-rate-limit": "7"})

        self.assertEqual(settings[options.RATE_LIMIT], 7)

    def test_the_newer_group_of_the_file(self) -> None:
        """ai_gateway:"""
        settings = self.load("ai_gateway: {structured_logging: true}")

        self.assertTrue(settings[options.STRUCTURED_LOGGING])

    def test_the_oddly_spelled_flag(self) -> None:
        """--aibridge-bedrock-small-fastmodel is how it is."""
        settings = self.load(flags={"aibridge-bedrock-small-fastmodel": "m"})

        self.assertEqual(settings[options.BEDROCK_SMALL_FAST_MODEL], "m")

    def test_all_variables_of_the_setup_page_are_known(self) -> None:
        """None of them is warned about."""
        names = SETUP_PAGE
        known = {name for option in options.ALL for name in option.environment}

        self.assertEqual([name for name in names if f"CODER_AIBRIDGE_{name}" not in known], [])
        self.assertEqual([name for name in names if f"CODER_AI_GATEWAY_{name}" not in known], [])

    def test_the_body_limit_has_two_paths(self) -> None:
        """aibridge.max_body_bytes is limits.max_body."""
        self.assertEqual(self.load("aibridge: {max_body_bytes: 8MiB}")[options.MAX_BODY], 8 << 20)


class TwoSpellingTests(ConfigCase):
    def test_different_values_in_the_environment_are_refused(self) -> None:
        """Nobody guesses which was meant."""
        problems = self.problems(
            environ={"CODER_AIBRIDGE_RETENTION": "1d", "CODER_AI_GATEWAY_RETENTION": "2d"}
        )

        self.assert_problem(
            "aibridge.retention: environment CODER_AIBRIDGE_RETENTION and environment "
            "CODER_AI_GATEWAY_RETENTION are two spellings of one option with different values",
            problems,
        )
        self.assertEqual(len(problems), 1)

    def test_different_values_in_the_file_are_refused(self) -> None:
        """Both places are named."""
        problems = self.problems("aibridge: {retention: 1d}\nai_gateway: {retention: 2d}\n")

        self.assertIn("aibridge.retention (bridge.yaml:1)", problems[0])
        self.assertIn("ai_gateway.retention (bridge.yaml:2)", problems[0])

    def test_different_values_in_flags_are_refused(self) -> None:
        """Flags are no exception."""
        problems = self.problems(flags={"aibridge-retention": "1d", "ai-gateway-retention": "2d"})

        self.assert_problem("aibridge.retention: flag --aibridge-retention and", problems)

    def test_one_value_in_two_words_is_fine(self) -> None:
        """24h is 1d."""
        settings = self.load("aibridge: {retention: 24h}\nai_gateway: {retention: 1d}\n")

        self.assertEqual(settings[options.RETENTION], 86400)

    def test_a_wrong_value_is_reported_even_where_another_source_counts(self) -> None:
        """It would come to light at the worst time."""
        problems = self.problems("aibridge: {retention: x}", flags={"aibridge-retention": "1d"})

        self.assert_problem("aibridge.retention: 'x' is not a duration", problems)


class EmptyTests(ConfigCase):
    def test_an_empty_variable_is_not_set(self) -> None:
        """A template that leaves a variable empty changes nothing."""
        settings = self.load("aibridge: {retention: 1d}", environ={"CODER_AIBRIDGE_RETENTION": ""})

        self.assertEqual(settings[options.RETENTION], 86400)

    def test_an_empty_variable_counts_where_empty_means_something(self) -> None:
        """log_human "" turns it off."""
        self.assertEqual(self.load(environ={"AIBRIDGE_LOG_HUMAN": ""})[options.LOG_HUMAN], "")

    def test_a_key_without_a_value_is_not_set(self) -> None:
        """`retention:` alone is nothing."""
        self.assertEqual(
            self.load("aibridge:\n  retention:\n").origin(options.RETENTION), "default"
        )


class FallbackTests(ConfigCase):
    def test_the_vendors_variable_gives_way(self) -> None:
        """ANTHROPIC_API_KEY lies in many environments; our own name counts before it."""
        settings = self.load(
            environ={"ANTHROPIC_API_KEY": "sk-theirs", "CODER_AIBRIDGE_ANTHROPIC_KEY": "sk-ours"}
        )

        self.assertEqual(settings.providers[0].keys, (Secret("sk-ours"),))

    def test_the_vendors_variable_is_enough(self) -> None:
        """With it alone, /anthropic/ has a key."""
        settings = self.load(environ={"ANTHROPIC_API_KEY": "sk-theirs"})

        self.assertEqual(settings.providers[0].keys, (Secret("sk-theirs"),))


class UnknownTests(ConfigCase):
    def test_an_unknown_key_in_a_group_suggests_its_neighbour(self) -> None:
        """A typo is found by its group."""
        self.assert_problem(
            "limits.first_bite: is not an option; did you mean first_byte?",
            self.problems("limits: {first_bite: 1s}"),
        )

    def test_an_option_in_the_wrong_group_is_found(self) -> None:
        """It says where it belongs."""
        self.assert_problem(
            "retention: is not an option; did you mean aibridge.retention?",
            self.problems("retention: 1d"),
        )

    def test_a_group_that_is_a_value_is_refused(self) -> None:
        """`limits: 3` is no group."""
        self.assert_problem("limits: must be a group of options", self.problems("limits: 3"))

    def test_a_value_that_is_a_group_is_refused(self) -> None:
        """And the other way round."""
        self.assert_problem(
            "listen: must be a text or list of texts, not a group of options",
            self.problems("listen: {port: 1}"),
        )

    def test_a_list_with_holes_is_refused(self) -> None:
        """Lists hold texts."""
        self.assert_problem("listen: must be a list of texts", self.problems("listen: [1, null]"))

    def test_a_truth_value_for_a_number_is_refused(self) -> None:
        """YAML's `yes` is not 1."""
        self.assert_problem(
            "aibridge.rate_limit: must be a whole number, not a truth value",
            self.problems("aibridge: {rate_limit: yes}"),
        )

    def test_a_number_for_a_truth_value_is_refused(self) -> None:
        """1 is not true in the file, where true can be written."""
        self.assert_problem(
            "aibridge.enabled: must be a truth value, not a number",
            self.problems("aibridge: {enabled: 1}"),
        )
