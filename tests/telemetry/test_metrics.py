"""Metrics: what an operator can read of finished records, and of what the bridge is told."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from bridge.domain.clock import utc
from bridge.domain.errors import Overloaded, Unavailable
from bridge.domain.identity import CredentialKind
from bridge.domain.ids import uuid7
from bridge.domain.interception import (
    Api,
    Ending,
    EndState,
    Interception,
    Leg,
    ToolResult,
    Traffic,
)
from bridge.domain.observations import ModelThought, TokenUsage, ToolUsage, UsageSource
from bridge.domain.secrets import Secrets
from bridge.recording.making import leg_of
from bridge.recording.recorder import Levels, Recorder, Recording
from bridge.recording.redaction import Redaction
from bridge.recording.refusals import Refusals
from bridge.telemetry.metrics import Metrics
from tests.support.cases import BridgeTestCase
from tests.support.gateway import ADA, TOKEN, KnownTokens, MemoryJournal

USAGE = TokenUsage(
    response_id="msg_1",
    input_tokens=300,
    output_tokens=20,
    cache_read_input_tokens=5,
    cache_write_input_tokens=0,
    source=UsageSource.PROVIDER_FINAL,
    extra={"web_search_requests": 1},
    metadata={"service_tier": "standard", "iterations": 7},
)
CALL = ToolUsage(response_id="msg_1", tool_call_id="toolu_1", tool="Bash", input='{"cmd":"ls"}')
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class MetricsCase(BridgeTestCase):
    """Interceptions as the recorder writes them down."""

    names = "aibridge"
    user_label = False

    def setUp(self) -> None:
        super().setUp()
        self.journal = MemoryJournal()
        self.metrics = Metrics(names=self.names, user_label=self.user_label, clock=self.clock)
        self.recorder = Recorder(
            journal=self.journal, levels=Levels(), clock=self.clock, counting=self.metrics
        )

    def begin(self, **facts: Any) -> Recording:
        now = self.clock.seconds()
        told: dict[str, Any] = {
            "id": uuid7(now),
            "started_at": utc(now),
            "traffic": Traffic.INTERCEPTED,
            "actor": KnownTokens().actors[TOKEN],
            "provider": "anthropic",
            "provider_name": "claude",
            "api": Api.MESSAGES,
            "method": "POST",
            "route": "/v1/messages",
            "model": "sonnet",
            "streaming": True,
            "client": "Claude Code",
            "client_session_id": None,
            "user_agent": "",
            "correlating_tool_call_id": None,
            "credential_kind": CredentialKind.CENTRALIZED,
            "credential_hint": "sk-a...wxyz",
            "prompt": "Hello",
            "bytes_in": 10,
        }
        return self.recorder.begin(Interception(**(told | facts)))

    def end(
        self,
        recording: Recording,
        state: EndState = EndState.COMPLETED,
        last: Sequence[Any] = (),
        leg: Leg | None = None,
        **facts: Any,
    ) -> None:
        told: dict[str, Any] = {
            "at": utc(self.clock.seconds()),
            "state": state,
            "http_status": 200,
            "ttfb_ms": 300,
            "duration_ms": 4_000,
            "bytes_out": 30,
            "response_sha256": None,
            "client_sha256": None,
        }
        recording.end(Ending(**(told | facts)), leg, last)

    def leg(self, n: int = 1, outcome: str = "completed", status: int | None = 200) -> Leg:
        return Leg(
            n=n,
            provider_name="claude",
            model="sonnet",
            credential_hint="",
            status=status,
            started_at=utc(self.clock.seconds()),
            ttfb_ms=1,
            duration_ms=2,
            outcome=outcome,
        )

    def exposition(self, accept: str = PLAIN) -> str:
        return self.metrics.scrape({}, accept)().body.decode()

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return label set → value of every sample of that name."""
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.exposition())
            for sample in family.samples
            if sample.name == name
        }

    def value(self, metric: str, /, **labels: str) -> float:
        """Return the sum of the samples that have these labels."""
        return sum(
            value
            for found, value in self.samples(metric).items()
            if labels.items() <= dict(found).items()
        )


class InterceptionTests(MetricsCase):
    def test_a_completed_interception_is_one_series_of_each_metric(self) -> None:
        """One request leaves one label set, named as dashboards expect."""
        self.end(self.begin(), last=[USAGE], leg=self.leg())

        labels = {
            "provider": "claude",
            "model": "sonnet",
            "status": "completed",
            "route": "/v1/messages",
            "method": "POST",
            "client": "Claude Code",
        }
        self.assertEqual(
            self.samples("aibridge_interceptions_total"), {tuple(sorted(labels.items())): 1.0}
        )
        self.assertEqual(len(self.samples("aibridge_interceptions_duration_seconds_count")), 1)
        self.assertEqual(self.value("aibridge_prompts_total", model="sonnet"), 1.0)

    def test_nothing_is_counted_before_the_end(self) -> None:
        """Numbers are those of finished records."""
        recording = self.begin()
        recording.observe(1, [USAGE, CALL])

        self.assertEqual(self.samples("aibridge_tokens_total"), {})
        self.assertEqual(self.samples("aibridge_non_injected_tool_selections_total"), {})

    def test_an_end_that_cannot_be_written_is_not_counted(self) -> None:
        """What is not in the record is not in the numbers."""
        recording = self.begin()
        self.journal.broken = True

        self.assertRaises(Unavailable, self.end, recording)

        self.assertEqual(self.samples("aibridge_interceptions_total"), {})

    def test_tokens_are_counted_by_type(self) -> None:
        """The four types, and further counts that are known by name; nothing else."""
        self.end(self.begin(), last=[USAGE])

        self.assertEqual(
            {dict(labels)["type"]: value for labels, value in
             self.samples("aibridge_tokens_total").items()},
            {"input": 300, "output": 20, "cache_read_input_tokens": 5,
             "cache_write_input_tokens": 0, "web_search_requests": 1},
        )  # fmt: skip

    def test_a_later_count_of_a_leg_replaces_the_earlier(self) -> None:
        """A stream tells cumulative counts; their sum would be wrong."""
        recording = self.begin()
        recording.observe(1, [replace(USAGE, output_tokens=1)])
        self.end(recording, last=[USAGE])

        self.assertEqual(self.value("aibridge_tokens_total", type="output"), 20)
        self.assertEqual(self.value("aibridge_tokens_total", type="input"), 300)
        self.assertEqual(self.value("aibridge_token_usages_total", source="provider_final"), 1)

    def test_counts_that_follow_the_end_are_added(self) -> None:
        """What is drained after the client has gone was paid for as well."""
        recording = self.begin()
        recording.observe(1, [USAGE])
        self.end(recording, EndState.CLIENT_ABORT)
        recording.observe(1, [replace(USAGE, output_tokens=50, source=UsageSource.DRAINED)])
        recording.observe(2, [CALL])

        self.assertEqual(self.value("aibridge_tokens_total", type="output"), 50)
        self.assertEqual(self.value("aibridge_tokens_total", type="input"), 300)
        self.assertEqual(self.value("aibridge_non_injected_tool_selections_total"), 1)

    def test_tokens_of_several_legs_add_up(self) -> None:
        recording = self.begin()
        recording.observe(1, [USAGE])
        recording.observe(2, [USAGE])
        self.end(recording)

        self.assertEqual(self.value("aibridge_tokens_total", type="input"), 600)

    def test_tools_are_counted_by_who_ran_them(self) -> None:
        """The client's own, and those that the bridge ran, are two metrics."""
        injected = replace(CALL, tool="search", injected=True, server_url="https://mcp.example/")
        recording = self.begin()
        recording.observe(1, [CALL, CALL, injected, ModelThought(content="x", source="thinking")])
        self.end(recording)

        self.assertEqual(self.value("aibridge_non_injected_tool_selections_total", name="Bash"), 2)
        self.assertEqual(
            self.value("aibridge_injected_tool_invocations_total", name="search",
                       server="https://mcp.example/"), 1
        )  # fmt: skip
        self.assertEqual(self.value("aibridge_non_injected_tool_selections_total"), 2)

    def test_prompts_that_are_not_recorded_count_all_the_same(self) -> None:
        self.recorder = Recorder(
            journal=self.journal,
            levels=Levels(prompts=False),
            clock=self.clock,
            counting=self.metrics,
        )
        self.end(self.begin())
        self.end(self.begin(prompt=None))

        self.assertEqual(self.value("aibridge_prompts_total"), 1)

    def test_results_of_tools_are_counted_by_how_they_ended(self) -> None:
        """Recorded or not; some APIs cannot say that a call failed."""
        results = [
            ToolResult(call_id=str(n), size_bytes=1, is_error=error, content=None)
            for n, error in enumerate((True, False, False, None))
        ]

        self.begin(tool_results=results)

        name = "aibridge_tool_results_total"
        self.assertEqual(self.value(name, provider="claude", outcome="error"), 1)
        self.assertEqual(self.value(name, provider="claude", outcome="ok"), 2)
        self.assertEqual(self.value(name, provider="claude", outcome="unknown"), 1)

    def test_secrets_are_counted_by_what_they_were(self) -> None:
        secrets = Secrets(counted=self.metrics.redacted)
        self.recorder = Recorder(
            journal=self.journal,
            levels=Levels(),
            clock=self.clock,
            counting=self.metrics,
            redaction=Redaction(secrets),
        )
        github = "ghp_" + "a1B2" * 9

        self.begin(prompt=f"{github} and {github}, password=hunter2hunter2")
        recording = self.begin()
        recording.observe(1, [replace(CALL, input='{"api_token": "q7Wz81LkPq0x92mVbT4nR6sY"}')])

        name = "aibridge_redactions_total"
        self.assertEqual(self.value(name, secret="github-token"), 2)
        self.assertEqual(self.value(name, secret="password"), 1)
        self.assertEqual(self.value(name, secret="token"), 1)

    def test_kinds_of_secrets_are_bounded(self) -> None:
        for number in range(300):
            self.metrics.redacted(f"kind-{number}", 1)

        self.assertEqual(self.value("aibridge_redactions_total", secret="other"), 200)

    def test_every_end_state_is_told_apart(self) -> None:
        """A client that leaves is no fault of the provider."""
        self.end(self.begin(), EndState.CLIENT_ABORT)
        self.end(self.begin(), EndState.UPSTREAM_ERROR, error_type="overloaded")
        self.end(self.begin())

        ends = "aibridge_ends_total"
        self.assertEqual(self.value(ends, state="client_abort"), 1)
        self.assertEqual(self.value(ends, state="upstream_error", error_type="overloaded"), 1)
        self.assertEqual(self.value(ends, state="completed", kind="intercepted"), 1)
        self.assertEqual(self.value("aibridge_interceptions_total", status="failed"), 2)

    def test_passthrough_is_counted_by_the_pattern_of_its_route(self) -> None:
        """It is no interception in the sense of the other metrics."""
        self.end(
            self.begin(
                traffic=Traffic.PASSTHROUGH, route="/v1/models/*", method="GET", model="",
                prompt=None,
            )
        )  # fmt: skip

        self.assertEqual(
            self.samples("aibridge_passthrough_total"),
            {(("method", "GET"), ("provider", "claude"), ("route", "/v1/models/*")): 1.0},
        )
        self.assertEqual(self.samples("aibridge_interceptions_total"), {})
        self.assertEqual(self.value("aibridge_ends_total", kind="passthrough"), 1)

    def test_times_are_seconds(self) -> None:
        recording = self.begin()
        self.clock.advance(0.004)
        self.end(recording, leg=self.leg())

        self.assertEqual(self.value("aibridge_interceptions_duration_seconds_sum"), 4.0)
        self.assertEqual(self.value("aibridge_time_to_first_byte_seconds_sum"), 0.3)
        self.assertAlmostEqual(self.value("aibridge_overhead_seconds_sum"), 0.004, places=5)
        buckets = "aibridge_interceptions_duration_seconds_bucket"
        self.assertEqual(self.value(buckets, le="2.0"), 0)
        self.assertEqual(self.value(buckets, le="5.0"), 1)
        self.assertEqual(self.value(buckets, le="+Inf"), 1)

    def test_an_answer_without_a_body_has_no_first_byte(self) -> None:
        self.end(self.begin(), EndState.UPSTREAM_ERROR, ttfb_ms=None)

        self.assertEqual(self.samples("aibridge_time_to_first_byte_seconds_count"), {})

    def test_a_second_leg_shows_as_another_attempt(self) -> None:
        """Retries and failover can be seen."""
        recording = self.begin()
        recording.write(
            [leg_of(recording.interception, self.leg(1, "error_status", 429), self.clock.seconds())]
        )
        self.end(recording, leg=self.leg(2))

        legs = "aibridge_legs_total"
        self.assertEqual(self.value(legs, outcome="error_status", attempt="first"), 1)
        self.assertEqual(self.value(legs, outcome="completed", attempt="again"), 1)
        self.assertEqual(self.value("aibridge_upstream_responses_total", code="429"), 1)
        self.assertEqual(self.value("aibridge_overhead_seconds_count"), 1)

    def test_what_lacks_detail_or_was_altered_is_counted(self) -> None:
        self.end(self.begin(), partially_observed=True, client_sha256="00")

        self.assertEqual(self.value("aibridge_partially_observed_total"), 1)
        self.assertEqual(self.value("aibridge_altered_answers_total"), 1)
        self.assertEqual(self.value("aibridge_body_bytes_total", bytes="in"), 10)
        self.assertEqual(self.value("aibridge_body_bytes_total", bytes="out"), 30)

    def test_what_is_under_way_is_seen_until_its_end(self) -> None:
        self.end(self.begin())
        recording = self.begin()
        self.begin(traffic=Traffic.PASSTHROUGH)

        running = self.samples("aibridge_interceptions_inflight")
        streams = self.value("aibridge_streams_open", provider="claude")
        self.end(recording)

        self.assertEqual(
            running,
            {(("model", "sonnet"), ("provider", "claude"), ("route", "/v1/messages")): 1.0},
        )
        self.assertEqual(streams, 1)
        self.assertEqual(
            self.samples("aibridge_interceptions_inflight"), dict.fromkeys(running, 0.0)
        )

    def test_an_interception_whose_end_was_lost_does_not_stay(self) -> None:
        """Nothing seems to run for ever because the journal failed."""
        recording = self.begin()
        self.journal.broken = True
        self.assertRaises(Unavailable, self.end, recording)
        del recording
        gc.collect()  # the failure holds on to where it came from

        self.assertEqual(self.value("aibridge_interceptions_inflight"), 0)

    def test_a_fault_of_the_metrics_costs_only_the_numbers(self) -> None:
        """The interception is recorded and ends as if there were none."""
        recording = self.begin()
        self.end(recording, last=[USAGE], bytes_out="broken")
        self.end(self.begin(), bytes_out="broken")

        self.assertTrue(recording.ended)
        self.assertEqual(self.value("aibridge_metrics_faults_total"), 2)


class EstablishedNamesTests(MetricsCase):
    """`metrics.names: coder_aibridged`, `metrics.user_label: true`."""

    names = "coder_aibridged"
    user_label = True

    def test_dashboards_of_the_established_gateway_find_their_names(self) -> None:
        self.end(self.begin(), last=[USAGE])

        user = str(ADA)
        for name in ("interceptions_total", "prompts_total", "tokens_total"):
            self.assertGreater(self.value(f"coder_aibridged_{name}", initiator_id=user), 0, name)
        self.assertEqual(self.value("coder_aibridged_interceptions_duration_seconds_count"), 1)

    def test_no_other_name_is_told(self) -> None:
        names = {
            family.name.split("_")[0]
            for family in text_string_to_metric_families(self.exposition())
        }

        self.assertEqual(names, {"coder", "process"})


class NoUserTests(MetricsCase):
    def test_no_user_is_in_the_metrics_unless_asked_for(self) -> None:
        self.end(self.begin(), last=[USAGE])

        self.assertNotIn("initiator_id", self.exposition())
        self.assertNotIn(str(ADA), self.exposition())


class ToldTests(MetricsCase):
    """What other parts say."""

    def test_a_circuit_breaker_s_life_can_be_followed(self) -> None:
        circuit = ("claude", "/v1/messages", "sonnet")

        self.metrics.breaker_changed(*circuit, "closed", "open")
        self.metrics.breaker_rejected(*circuit)
        opened = self.value("aibridge_circuit_breaker_state")
        self.metrics.breaker_changed(*circuit, "open", "half-open")
        trying = self.value("aibridge_circuit_breaker_state")
        self.metrics.breaker_changed(*circuit, "half-open", "closed")

        self.assertEqual((opened, trying), (1.0, 0.5))
        self.assertEqual(self.value("aibridge_circuit_breaker_state"), 0.0)
        self.assertEqual(self.value("aibridge_circuit_breaker_trips_total", model="sonnet"), 1)
        self.assertEqual(self.value("aibridge_circuit_breaker_rejects_total"), 1)

    def test_a_state_that_is_none_is_a_fault(self) -> None:
        self.metrics.breaker_changed("claude", "/v1/messages", "sonnet", "closed", "ajar")

        self.assertEqual(self.value("aibridge_metrics_faults_total"), 1)

    def test_there_is_no_breaker_before_its_first_change(self) -> None:
        self.assertEqual(self.samples("aibridge_circuit_breaker_state"), {})

    def test_keys_are_counted(self) -> None:
        self.metrics.keys_are("claude", valid=1, temporary=2, permanent=0)
        self.metrics.key_put_away("claude", "rate_limited")
        self.metrics.keys_exhausted("claude", "auth_failed")
        self.metrics.keys_tried("claude", 3)

        self.assertEqual(self.value("aibridge_key_pool_state", state="temporary"), 2)
        self.assertEqual(
            self.value("aibridge_key_pool_state_transitions_total", reason="rate_limited"), 1
        )
        self.assertEqual(self.value("aibridge_key_pool_exhaustions_total"), 1)
        self.assertEqual(self.value("aibridge_key_pool_failover_attempts_bucket", le="3.0"), 1)

    def test_a_configuration_that_cannot_be_read_shows(self) -> None:
        """The two moments drift apart."""
        self.clock.advance(400)
        self.metrics.reloaded(succeeded=False)

        attempted = self.value("aibridge_providers_last_reload_timestamp_seconds")
        succeeded = self.value("aibridge_providers_last_reload_success_timestamp_seconds")
        self.assertEqual(attempted - succeeded, 400)

        self.metrics.reloaded(succeeded=True)

        self.assertEqual(
            self.value("aibridge_providers_last_reload_success_timestamp_seconds"), attempted
        )

    def test_refusals_are_counted_though_no_row_can_be_written(self) -> None:
        """A full journal is when an operator looks at them."""
        self.journal.broken = True
        refusals = Refusals(
            append=self.metrics.counting_refusals(self.journal.append), clock=self.clock
        )

        for _ in range(3):
            refusals.note(Overloaded("No room."), actor=None, path="/x", source="192.0.2.1")
        refusals.close()

        self.assertEqual(self.value("aibridge_refusals_total", status="503", code="overloaded"), 3)

    def test_a_disk_is_timed(self) -> None:
        test = self

        class SlowDisk:
            def write(self, fd: int, data: bytes, /) -> int:
                return len(data)

            def truncate(self, fd: int, length: int, /) -> None:
                pass

            def sync(self, fd: int, /) -> None:
                test.clock.advance(0.02)

            def allocate(self, fd: int, length: int, /) -> None:
                pass

        files = self.metrics.timed(SlowDisk())

        self.assertEqual(files.write(1, b"abc"), 3)
        files.sync(1)

        self.assertAlmostEqual(
            self.value("aibridge_journal_fsync_duration_seconds_sum"), 0.02, places=5
        )
        self.assertEqual(self.value("aibridge_journal_fsync_duration_seconds_count"), 1)


class ExpositionTests(MetricsCase):
    def test_both_formats_can_be_read(self) -> None:
        """OpenMetrics for who accepts it, text for all others."""
        self.end(self.begin(), last=[USAGE, CALL], leg=self.leg())

        scraped = self.metrics.scrape({}, OPENMETRICS)()
        families = {each.name for each in openmetrics_families(scraped.body.decode())}

        self.assertTrue(scraped.content_type.startswith("application/openmetrics-text"))
        self.assertIn("aibridge_interceptions", families)
        self.assertTrue(self.metrics.scrape({}, "")().content_type.startswith("text/plain"))

    def test_a_scrape_is_of_the_moment_it_was_asked_for(self) -> None:
        """The text is made on a thread while requests go on."""
        recording = self.begin()
        later = self.metrics.scrape({}, PLAIN)
        self.end(recording)

        self.assertIn("aibridge_interceptions_inflight{", later().body.decode())

    def test_details_that_are_missing_are_left_out(self) -> None:
        """A fault in one reading costs no other."""
        text = self.metrics.scrape({"ready": True}, PLAIN)().body.decode()

        self.assertIn("\naibridge_ready 1.0\n", text)
        self.assertNotIn("\naibridge_journal_bytes ", text)
