"""Tokens of the Responses API are counted once, whatever a provider leaves out."""

from __future__ import annotations

from bridge.dialects.responses.usage import new_tally, take, usage_from
from bridge.domain.observations import TokenUsage, UsageSource
from tests.support.cases import BridgeTestCase


def read(usage: object, *, tool_usage: object = None, service_tier: object = None) -> TokenUsage:
    tally = new_tally()
    take(tally, usage=usage, tool_usage=tool_usage, service_tier=service_tier)
    return usage_from(tally, "resp_1", UsageSource.PROVIDER_FINAL)


class UsageTests(BridgeTestCase):
    """Input excludes what the cache read and wrote."""

    def test_cache_reads_and_writes_are_taken_off_the_input(self) -> None:
        counted = read(
            {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                "output_tokens": 5,
            }
        )

        self.assertEqual(
            (
                counted.input_tokens,
                counted.cache_read_input_tokens,
                counted.cache_write_input_tokens,
                counted.output_tokens,
            ),
            (10, 60, 30, 5),
        )

    def test_input_is_never_below_nothing(self) -> None:
        counted = read({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 2}})

        self.assertEqual(counted.input_tokens, 0)

    def test_only_what_was_given_is_extra(self) -> None:
        self.assertEqual(read({"input_tokens": 1, "output_tokens": 2}).extra, {})

    def test_tools_that_ran_are_counted(self) -> None:
        counted = read(
            {"input_tokens": 1},
            tool_usage={"web_search": {"num_requests": 3}, "image_gen": {"input_tokens": 9}},
        )

        self.assertEqual(counted.extra, {"web_search_requests": 3})
        self.assertEqual(counted.metadata, {"tool_usage.image_gen.input_tokens": 9})

    def test_tools_that_did_not_run_are_no_news(self) -> None:
        counted = read({"input_tokens": 1}, tool_usage={"web_search": {"num_requests": 0}})

        self.assertEqual((counted.extra, counted.metadata), ({}, {}))

    def test_a_tier_without_counts_is_nothing(self) -> None:
        tally = new_tally()

        take(tally, usage=None, tool_usage={"web_search": {"num_requests": 1}}, service_tier="flex")

        self.assertFalse(tally.seen)
        self.assertFalse(tally.odd)

    def test_counts_of_another_type_are_odd(self) -> None:
        tally = new_tally()

        take(tally, usage=[1], tool_usage="x", service_tier=5)

        self.assertTrue(tally.odd)
