"""The table in docs/metrics.rst; to write it anew: `python -m tests.telemetry.metrics_page`."""

from __future__ import annotations

from pathlib import Path

from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import Kind, Metric

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.rst"
MARK = ".. The table is made from the catalogue: python -m tests.telemetry.metrics_page\n"


def table() -> str:
    """Return the table of all metrics."""
    rows = "".join(map(_row, catalogue.ALL))
    standard = ", ".join(f"``{name}``" for name in catalogue.STANDARD)
    return (
        ".. list-table::\n   :header-rows: 1\n   :widths: 34 10 24 8 44\n\n"
        "   * - Name\n     - Type\n     - Labels\n     - Label sets\n     - Meaning\n"
        f"{rows}\nOf the process, on Linux, without a prefix: {standard}.\n"
    )


def page(text: str) -> str:
    """Return the page `text` with the table as it should be."""
    return f"{text.partition(MARK)[0]}{MARK}\n{table()}"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"``{label}``" for label in metric.labels) or "none"
    doc = metric.doc
    if metric.kind is Kind.HISTOGRAM:
        doc += f" Up to {', '.join(f'{limit:g}' for limit in metric.buckets)}."
    star = " \\*" if metric.by_user else ""
    return (
        f"   * - ``{metric.name}``{star}\n"
        f"     - {metric.kind.value}\n     - {labels}\n     - {metric.most}\n     - {doc}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
