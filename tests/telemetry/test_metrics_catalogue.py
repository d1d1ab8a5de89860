"""What is written about metrics names only metrics that exist: page, alerts, dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from bridge.dialects.chat_completions import usage as chat_completions
from bridge.dialects.messages import usage as messages
from bridge.dialects.responses import usage as responses
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import FURTHER_TOKEN_TYPES, Kind
from tests.support.cases import BridgeTestCase
from tests.telemetry.metrics_page import PAGE, page

ETC = Path(__file__).resolve().parents[2] / "etc"
ALERTS = ETC / "prometheus-alerts.yaml"
DASHBOARD = ETC / "grafana-dashboard.json"
_METRIC = re.compile(r"\b(?:aibridge|process)_[a-z_]+\b")
_SELECTOR = re.compile(r"([a-z_]+)\{([^}]*)\}")
_ADDED = {"instance", "job"}
# By Prometheus, to every series.


def series() -> set[str]:
    """Return every name that a sample may have."""
    names = set(catalogue.STANDARD)
    for metric in catalogue.ALL:
        name = f"aibridge_{metric.name}"
        ends = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {name + end for end in ends}
    return names


def labels_of(name: str) -> set[str]:
    """Return the labels that a series of this name has."""
    for metric in catalogue.ALL:
        full = f"aibridge_{metric.name}"
        if name in {full, f"{full}_bucket", f"{full}_sum", f"{full}_count"}:
            return {*metric.labels, "le", *_ADDED}
    return _ADDED


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def expressions() -> list[str]:
    """Return every expression of the alerts and the dashboard."""
    return [each["expr"] for each in alerts()] + [
        target["expr"] for panel in panels() for target in panel.get("targets", ())
    ]


class CatalogueTests(BridgeTestCase):
    def test_names_are_as_prometheus_wants_them(self) -> None:
        """Counters end in _total, nothing else does, and no name is there twice."""
        names = [metric.name for metric in catalogue.ALL]

        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(
            [each.name for each in catalogue.ALL
             if each.name.endswith("_total") != (each.kind is Kind.COUNTER)], []
        )  # fmt: skip
        self.assertEqual([name for name in names if not re.fullmatch("[a-z_]+", name)], [])

    def test_no_label_can_hold_an_id(self) -> None:
        """A user's id is there only when it is asked for."""
        labels = {label for metric in catalogue.ALL for label in metric.labels}

        self.assertEqual([label for label in labels if label.endswith("id")], [])

    def test_the_worst_case_fits_into_a_prometheus(self) -> None:
        """All label sets of all metrics at once; a small Prometheus holds a million series."""
        self.assertLess(sum(metric.samples for metric in catalogue.ALL), 120_000)

    def test_every_further_token_type_is_one_that_records_have(self) -> None:
        """And every one that a dialect tells apart is counted."""
        known = {
            name
            for usage in (messages, chat_completions, responses)
            for name in usage._EXTRA.values()
        }

        self.assertEqual(known, FURTHER_TOKEN_TYPES)

    def test_the_page_has_the_catalogue_s_table(self) -> None:
        """Mend it with: python -m tests.telemetry.metrics_page"""
        text = PAGE.read_text("utf-8")

        self.assertEqual(text, page(text))


class WrittenTests(BridgeTestCase):
    def test_every_metric_in_an_expression_exists(self) -> None:
        named = {name for each in expressions() for name in _METRIC.findall(each)}

        self.assertEqual(named - series(), set())
        self.assertGreater(len(named), 30)

    def test_every_label_in_a_selector_exists(self) -> None:
        wrong = [
            (name, label)
            for expression in expressions()
            for name, inside in _SELECTOR.findall(expression)
            for label in re.findall(r"([a-z_]+)\s*[=!]", inside)
            if label not in labels_of(name)
        ]

        self.assertEqual(wrong, [])

    def test_parentheses_match(self) -> None:
        wrong = [
            each for each in expressions()
            if any(each.count(a) != each.count(b) for a, b in ("()", "{}", "[]"))
        ]  # fmt: skip

        self.assertEqual(wrong, [])


class AlertTests(BridgeTestCase):
    def test_every_alert_says_what_is_wrong_and_what_to_do(self) -> None:
        for rule in alerts():
            self.assertRegex(rule["alert"], "^AIBridge[A-Z][A-Za-z]+$")
            self.assertIn(rule["labels"]["severity"], {"critical", "warning"})
            self.assertRegex(rule["annotations"]["summary"], r"\.$")
            self.assertRegex(rule["annotations"]["description"], r"^\S.{40,}\.$")

    def test_alerts_have_different_names(self) -> None:
        names = [rule["alert"] for rule in alerts()]

        self.assertEqual(len(names), len(set(names)))
        self.assertGreater(len(names), 15)


class DashboardTests(BridgeTestCase):
    def test_the_data_source_can_be_chosen(self) -> None:
        """The dashboard names nobody's own Prometheus."""
        dashboard = json.loads(DASHBOARD.read_text("utf-8"))
        (source,) = [
            each for each in dashboard["templating"]["list"] if each["type"] == "datasource"
        ]
        uids = set(re.findall(r'"uid": "([^"]*)"', DASHBOARD.read_text("utf-8")))

        self.assertEqual(source["query"], "prometheus")
        self.assertEqual(uids, {"${datasource}", "aibridge"})

    def test_every_panel_shows_something(self) -> None:
        for panel in panels():
            self.assertTrue(panel["title"])
            self.assertEqual(set(panel["gridPos"]), {"h", "w", "x", "y"})
            if panel["type"] == "row":
                continue
            self.assertEqual(panel["datasource"]["type"], "prometheus")
            self.assertTrue(panel["targets"], panel["title"])
            letters = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(letters), len(set(letters)))

    def test_panels_lie_side_by_side(self) -> None:
        """No two cover the same place, and none leaves the grid of 24 columns."""
        taken: set[tuple[int, int]] = set()
        for panel in panels():
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            self.assertLessEqual(at["x"] + at["w"], 24)
            self.assertEqual(taken & cells, set(), panel["title"])
            taken |= cells

    def test_panels_have_ids_of_their_own(self) -> None:
        ids = [panel["id"] for panel in panels()]

        self.assertEqual(len(ids), len(set(ids)))
