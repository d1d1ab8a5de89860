"""Token counts are taken as providers tell them, and no more of them than a record should hold."""

from __future__ import annotations

from bridge.dialects.tally import Tally
from tests.support.cases import BridgeTestCase


class TallyTestCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tally = Tally(
            counts={"input", "details.cached"},
            extra={"details.audio": "input_audio"},
            texts={"tier"},
        )


class CountTests(TallyTestCase):
    """The last count that was told is the one that counts."""

    def test_a_later_count_replaces_an_earlier_one(self) -> None:
        self.tally.take({"input": 3, "details": {"cached": 2}})
        self.tally.take({"input": 5})

        self.assertEqual(self.tally.told("input"), 5)
        self.assertEqual(self.tally.told("details.cached"), 2)

    def test_null_takes_nothing_back(self) -> None:
        self.tally.take({"input": 3})
        self.tally.take({"input": None})
        self.tally.take(None)

        self.assertEqual((self.tally.told("input"), self.tally.odd), (3, False))

    def test_known_counts_without_a_column_have_names_of_ours(self) -> None:
        self.tally.take({"details": {"audio": 7}})

        self.assertEqual(self.tally.extra(), {"input_audio": 7})
        self.assertEqual(self.tally.metadata(), {})

    def test_the_first_name_that_was_told_counts(self) -> None:
        self.tally.take({"details": {"cached": 0}, "input": 4})

        self.assertEqual(self.tally.told("missing", "details.cached", "input"), 0)


class OddTests(TallyTestCase):
    """What cannot be counted with is said."""

    def odd(self, usage: object) -> bool:
        self.tally.take({"input": 3})

        self.tally.take(usage)

        self.assertEqual(self.tally.told("input"), 3)
        return self.tally.odd

    def test_a_text_for_a_count(self) -> None:
        self.assertTrue(self.odd({"input": "4"}))

    def test_a_truth_value_for_a_count(self) -> None:
        self.assertTrue(self.odd({"input": True}))

    def test_less_than_nothing(self) -> None:
        self.assertTrue(self.odd({"input": -1}))

    def test_more_than_a_column_holds(self) -> None:
        self.assertTrue(self.odd({"input": 2**63}))

    def test_a_fraction(self) -> None:
        self.assertTrue(self.odd({"input": 1.5}))

    def test_an_inner_count(self) -> None:
        self.assertTrue(self.odd({"details": {"audio": []}}))

    def test_a_list_for_everything(self) -> None:
        self.assertTrue(self.odd([1]))

    def test_an_unknown_count_of_any_type_is_not_odd(self) -> None:
        self.assertFalse(self.odd({"weather": "fine", "details": {"weather": [1]}}))


class CachedTests(BridgeTestCase):
    """What the cache read and wrote is part of the input where a provider says so."""

    def setUp(self) -> None:
        super().setUp()
        self.tally = Tally(
            counts={"input", "read", "hits", "written"},
            extra={},
            texts=(),
            whole="input",
            cached=(("read", "hits"), ("written",)),
        )

    def test_the_rest_is_what_the_cache_had_no_part_in(self) -> None:
        self.tally.take({"input": 100, "read": 60, "hits": 60, "written": 30})

        self.assertEqual((self.tally.uncached, self.tally.odd), (10, False))

    def test_all_of_it_may_have_been_cached(self) -> None:
        self.tally.take({"input": 60, "hits": 60})

        self.assertEqual((self.tally.uncached, self.tally.odd), (0, False))

    def test_more_than_all_of_it_is_odd(self) -> None:
        self.tally.take({"input": 60, "read": 40, "written": 21})

        self.assertEqual((self.tally.uncached, self.tally.odd), (-1, True))

    def test_only_the_last_counts_decide(self) -> None:
        self.tally.take({"input": 0, "read": 40})

        self.tally.take({"input": 60})

        self.assertFalse(self.tally.odd)


class BoundTests(TallyTestCase):
    """What a provider tells beyond what we know is kept, up to a bound."""

    def test_unknown_counts_are_kept(self) -> None:
        self.tally.take({"steps": 2, "details": {"steps": 1}})

        self.assertEqual(self.tally.metadata(), {"steps": 2, "details.steps": 1})
        self.assertFalse(self.tally.seen)

    def test_more_than_thirty_two_unknown_counts_are_not_kept(self) -> None:
        for number in range(100):
            self.tally.take({f"unknown_{number}": number, "details": {f"inner_{number}": 1}})

        self.assertEqual(len(self.tally.metadata()), 32)

    def test_those_that_are_kept_go_on_counting(self) -> None:
        self.tally.take({f"unknown_{number}": 1 for number in range(100)})

        self.tally.take({"unknown_0": 2, "unknown_99": 2, "input": 4})

        self.assertEqual(self.tally.metadata()["unknown_0"], 2)
        self.assertNotIn("unknown_99", self.tally.metadata())
        self.assertEqual(self.tally.told("input"), 4)

    def test_a_long_name_is_not_kept(self) -> None:
        self.tally.take({"x" * 64: 1, "y" * 65: 2})

        self.assertEqual(self.tally.metadata(), {"x" * 64: 1})

    def test_a_long_text_is_cut(self) -> None:
        self.tally.take({"tier": "t" * 1000})

        self.assertEqual(self.tally.metadata(), {"tier": "t" * 64})
