"""Metrics of the real bridge: on the operations port, of what has really happened."""

from __future__ import annotations

import json
from pathlib import Path

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import Kind
from tests.acceptance.running import AcceptanceCase, Shared, message
from tests.support.bridge_process import BridgeProcess, eventually

PROVIDERS = [{"name": "demo", "type": "demo"}]
SECONDS = 20.0
TOLD = frozenset(
    {
        *(catalogue.BREAKER_STATE, catalogue.KEYS, catalogue.INFLIGHT, catalogue.STREAMS),
        catalogue.WORKERS,
    }
)
"""Gauges that are there only while there is something to tell."""


def demo(directory: Path) -> BridgeProcess:
    """Return a bridge with the demo provider, that tells a SIEM."""
    settings = {
        "aibridge": {"providers": PROVIDERS},
        "siem": {"file": str(directory / "siem.jsonl")},
    }
    return BridgeProcess(directory=directory, settings=settings)


shared = Shared(demo)


class MetricsTests(AcceptanceCase):
    def setUp(self) -> None:
        self.bridge = shared.get()

    def scrape(self, accept: str = "text/plain") -> str:
        status, _, body = self.bridge.ask(
            "GET", "/metrics", token=None, headers={"Accept": accept},
            port=self.bridge.operations_port,
        )  # fmt: skip
        self.assertEqual(status, 200)
        return body.decode()

    def value(self, metric: str, /, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.scrape())
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )

    def test_keys_show_in_the_numbers_and_in_the_status(self) -> None:
        """Which of them are good is what an operator asks first."""
        status, _, body = self.bridge.ask(
            "GET", "/status", token=None, port=self.bridge.operations_port
        )

        self.assertEqual(status, 200)
        details = json.loads(body)
        self.assertEqual([each["state"] for each in details["providers"][0]["keys"]], ["ok"])
        self.assertEqual(details["circuit_breakers"], [])
        self.assertEqual(self.value("aibridge_key_pool_state", provider="demo", state="valid"), 1)

    def test_a_request_shows_in_the_numbers(self) -> None:
        """As soon as the client has its answer the counters have it too."""
        before = self.value("aibridge_interceptions_total")

        status, _, _ = self.bridge.ask(
            "POST", "/demo/v1/messages", message("demo-tool", "Count me", stream=True,
            tools=[{"name": "get_weather", "input_schema": {"type": "object"}}]),
        )  # fmt: skip

        self.assertEqual(status, 200)
        self.assertEqual(self.value("aibridge_interceptions_total") - before, 1)
        labels = {"provider": "demo", "model": "demo-tool"}
        self.assertGreater(self.value("aibridge_tokens_total", type="output", **labels), 0)
        self.assertEqual(self.value("aibridge_prompts_total", **labels), 1)
        self.assertEqual(self.value("aibridge_non_injected_tool_selections_total", **labels), 1)
        self.assertEqual(self.value("aibridge_time_to_first_byte_seconds_count", **labels), 1)
        self.assertGreater(self.value("aibridge_overhead_seconds_count", provider="demo"), 0)
        self.assertGreater(self.value("aibridge_journal_fsync_duration_seconds_count"), 0)

    def test_a_refusal_shows_in_the_numbers(self) -> None:
        status, _, _ = self.bridge.ask(
            "POST", "/demo/v1/messages", message("demo-text", "x"), token="aib_nobody"
        )

        self.assertEqual(status, 401)
        self.assertGreater(
            self.value("aibridge_refusals_total", status="401", code="unauthenticated"), 0
        )

    def test_every_gauge_can_be_read(self) -> None:
        """What the catalogue promises of the journal, the database and the process is there."""

        def connected() -> bool:
            return self.value("aibridge_store_connected", kind="embedded") == 1

        eventually(connected, seconds=SECONDS, what="the database")
        for gauge, what in (
            ("aibridge_auth_snapshot_age_seconds", "the tokens"),
            ("aibridge_siem_records_pending", "the SIEM's file"),
        ):
            eventually(
                lambda gauge=gauge: f"\n{gauge} " in self.scrape(),  # type: ignore[misc]
                seconds=SECONDS,
                what=what,
            )
        found = {
            sample.name
            for family in text_string_to_metric_families(self.scrape())
            for sample in family.samples
        }
        promised = {
            f"aibridge_{metric.name}"
            for metric in catalogue.ALL
            if metric.kind is Kind.GAUGE and metric not in TOLD
        }

        self.assertEqual(promised - found, set())
        self.assertEqual(set(catalogue.STANDARD) - found, set())
        self.assertEqual(self.value("aibridge_provider_info", provider_name="demo"), 1)
        self.assertEqual(self.value("aibridge_metrics_faults_total"), 0)

    def test_openmetrics_is_for_who_accepts_it(self) -> None:
        text = self.scrape("application/openmetrics-text; version=1.0.0")

        self.assertTrue(text.endswith("# EOF\n"))
        self.assertGreater(len(list(openmetrics_families(text))), 40)

    def test_clients_cannot_read_metrics(self) -> None:
        """Not with a token, not as an administrator, not without."""
        for token in (None, "dev", "admin"):
            for path in ("/metrics", "/demo/metrics", "/api/v2/aibridge/metrics"):
                status, _, body = self.bridge.ask("GET", path, token=token)

                self.assertIn(status, (401, 403, 404), path)
                self.assertNotIn(b"aibridge_ready", body)

    def test_no_name_of_a_user_is_in_the_metrics(self) -> None:
        self.bridge.ask("POST", "/demo/v1/messages", message("demo-text", "A secret prompt"))

        text = self.scrape()
        self.assertNotIn("initiator_id", text)
        self.assertNotIn("admin", text)
        self.assertNotIn("secret prompt", text)
