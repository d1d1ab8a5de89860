"""However many names clients make up, the series stay as few as the catalogue says."""

from __future__ import annotations

from msgspec.structs import replace

from bridge.domain.interception import EndState
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import MOST_VALUES, OTHER, Kind, Metric, Names
from bridge.telemetry.families import MAX_VALUE, Family, Vocabulary, Words, cleaned
from bridge.telemetry.gauges import bounded
from bridge.telemetry.lanes import MAX_LANES
from tests.telemetry.test_metrics import CALL, PLAIN, USAGE, MetricsCase

FLOOD = 10_000


class FloodTests(MetricsCase):
    def test_ten_thousand_models_tools_and_clients_leave_bounded_series(self) -> None:
        """Memory here and in Prometheus does not depend on what clients call things."""
        for n in range(FLOOD):
            recording = self.begin(model=f"model-{n}", client=f"client-{n}")
            self.end(recording, last=[USAGE, replace(CALL, tool=f"tool-{n}")])

        self.assertEqual(len(self.labels("model", "aibridge_tokens_total")), 201)
        self.assertEqual(len(self.labels("client", "aibridge_interceptions_total")), 51)
        tools = self.labels("name", "aibridge_non_injected_tool_selections_total")
        self.assertEqual(len(tools), 501)
        self.assertEqual(self.value("aibridge_interceptions_total"), FLOOD)
        self.assertEqual(self.value("aibridge_tokens_total", type="input"), FLOOD * 300)
        lines = [line for line in self.exposition().splitlines() if not line.startswith("#")]
        self.assertLess(len(lines), 8_000)
        self.assertLessEqual(len(self.metrics._counted.lanes._lanes), MAX_LANES)

    def test_made_up_models_do_not_crowd_out_real_ones(self) -> None:
        """Somebody asked for a thousand models that do not exist; the real one has its name."""
        for n in range(1_000):
            self.end(self.begin(model=f"nonsense-{n}"), EndState.UPSTREAM_ERROR)

        self.end(self.begin(model="sonnet"), EndState.UPSTREAM_ERROR)
        self.end(self.begin(model="sonnet"))

        counted = "aibridge_interceptions_total"
        self.assertEqual(self.value(counted, model="sonnet"), 1)
        self.assertEqual(len(self.labels("model", counted)), 102)

    def test_models_of_one_provider_leave_room_for_another_s(self) -> None:
        for n in range(300):
            self.end(self.begin(model=f"model-{n}"))
        self.end(self.begin(provider_name="other-claude", model="sonnet"))

        self.assertEqual(self.value("aibridge_interceptions_total", model="sonnet"), 1)

    def test_many_requests_under_way_are_few_series(self) -> None:
        """A name that no finished record has yet takes no room."""
        held = [self.begin(model=f"model-{n}") for n in range(1_000)]

        self.assertEqual(
            self.samples("aibridge_interceptions_inflight"),
            {(("model", OTHER), ("provider", "claude"), ("route", "/v1/messages")): len(held)},
        )

    def test_an_interception_with_countless_tools_keeps_few_names(self) -> None:
        self.journal.most_at_once = FLOOD
        recording = self.begin()
        recording.observe(1, [replace(CALL, tool=f"tool-{n}") for n in range(5_000)])

        self.assertLessEqual(len(recording.tally._tools), 1_001)
        self.end(recording)
        self.assertEqual(self.value("aibridge_non_injected_tool_selections_total"), 5_000)

    def test_strange_names_leave_an_exposition_that_can_be_read(self) -> None:
        """Line breaks, quotes, half a surrogate, and a name of a megabyte."""
        strange = ['a"b\\c', "line\nbreak\x00", "half \ud800", "x" * 1_000_000, "  ", "Grüße"]
        for name in strange:
            self.end(self.begin(model=name, client=name))

        found = self.labels("model", "aibridge_interceptions_total")
        self.assertEqual(
            found, {'a"b\\c', "line_break_", "half _", "x" * MAX_VALUE, "unknown", "Grüße"}
        )

    def test_breakers_of_made_up_models_are_bounded(self) -> None:
        for n in range(FLOOD):
            self.metrics.breaker_changed("claude", "/v1/messages", f"model-{n}", "closed", "open")

        self.assertEqual(len(self.samples("aibridge_circuit_breaker_state")), 101)

    def labels(self, label: str, metric: str) -> set[str]:
        return {dict(found)[label] for found in self.samples(metric)}


class FamilyTests(MetricsCase):
    def test_a_family_never_has_more_label_sets_than_declared(self) -> None:
        """Clients' names give way first, then everything."""
        metric = Metric(
            name="x_total", kind=Kind.COUNTER, doc="X.", labels=("status", "model"), most=200
        )
        family = Family(metric, names=Names.AIBRIDGE, user_label=False)

        for n in range(1_000):
            family.cell((str(n % 7), f"model-{n}")).value += 1
        for n in range(1_000):
            family.cell((str(n), "model")).value += 1

        samples = family.exposed().samples
        self.assertLessEqual(len(samples), 200)
        self.assertEqual(sum(each.value for each in samples), 2_000)
        self.assertIn({"status": "3", "model": OTHER}, [each.labels for each in samples])
        self.assertIn({"status": OTHER, "model": OTHER}, [each.labels for each in samples])

    def test_readings_have_no_more_label_sets_than_declared(self) -> None:
        values = {("p", f"model-{n}", "/r"): 1.0 for n in range(5_000)}

        found = bounded(catalogue.INFLIGHT, values)

        self.assertEqual(len(found), catalogue.INFLIGHT.most)
        self.assertEqual(sum(found.values()), 5_000)

    def test_every_label_has_a_limit(self) -> None:
        labels = {label for metric in catalogue.ALL for label in metric.labels}

        self.assertEqual(labels - set(MOST_VALUES), set())

    def test_a_known_name_stays_known_when_the_room_is_used_up(self) -> None:
        words = Words(4)

        kept = [words.value(name) for name in "abcdef"]

        self.assertEqual(kept, ["a", "b", "c", "d", OTHER, OTHER])
        self.assertEqual(words.value("a"), "a")
        self.assertEqual(words.known("e"), OTHER)

    def test_a_model_of_no_name_is_called_unknown(self) -> None:
        self.assertEqual(Vocabulary().model("claude", ""), "unknown")
        self.assertEqual(cleaned(" \t"), "unknown")

    def test_one_scrape_s_text_has_no_series_twice(self) -> None:
        """Two names that are cleaned alike are one series, not a broken exposition."""
        self.end(self.begin(model="a\n"))
        self.end(self.begin(model="a\t"))

        text = self.metrics.scrape({}, PLAIN)().body.decode()
        lines = [line.rpartition(" ")[0] for line in text.splitlines() if line[0] != "#"]
        self.assertEqual(len(lines), len(set(lines)))
