"""`make loss`: plays scenarios one after another, and prints a table and a file of JSON.

    make loss                              all of them, 10 000 requests each
    make loss SCENARIOS="a c"              some
    make loss LOSS_REQUESTS=1000 LOSS_RATE=50 LOSS_SEED=7

The exit code is 1 when a record is lost, doubled or wrong, or too many requests were refused.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from tests.loss.scenarios import SCENARIOS, play, playable

REQUESTS = 10_000
RATE = 40.0
_COLUMNS = {
    "requests": "asked",
    "complete": "complete",
    "aborted": "left",
    "broken": "broken off",
    "refused": "refused",
    "lost": "lost",
    "doubled": "doubled",
    "wrong_state": "wrong state",
    "wrong_tokens": "wrong tokens",
    "other": "other",
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table of reStructuredText."""
    headings = ["in the middle of the load", *_COLUMNS.values()]
    cells = [
        [f"{row['scenario']}: {row['title']}"]
        + ([str(row[column]) for column in _COLUMNS] if "lost" in row else [row["skipped"]])
        for row in rows
    ]
    cells = [row + [""] * (len(headings) - len(row)) for row in cells]
    for row, found in zip(cells, rows, strict=True):
        if found.get("forgotten"):
            row[6] = f"0 (+{found['forgotten']})"
    widths = [max(len(row[n]) for row in [headings, *cells]) for n in range(len(headings))]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headings, *cells]
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def main() -> int:
    """Play what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.loss")
    parser.add_argument("scenarios", nargs="*", default=[], metavar="SCENARIO")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None, help="where the rows are written")
    given = parser.parse_args()
    # So that nothing is left behind by who is told to end either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    known = {each.name for each in SCENARIOS}
    if unknown := set(given.scenarios) - known:
        parser.error(
            f"no scenario {', '.join(sorted(unknown))}; there are {' '.join(sorted(known))}"
        )
    seed = given.seed if given.seed is not None else secrets.randbelow(2**31)
    print(f"seed {seed}, {given.requests} requests at {given.rate:g}/s in each row", flush=True)
    rows: list[dict[str, Any]] = []
    failed = False
    for scenario in SCENARIOS:
        if given.scenarios and scenario.name not in given.scenarios:
            continue
        reason = playable(scenario)
        if reason:
            rows.append({"scenario": scenario.name, "title": scenario.title, "skipped": reason})
            print(f"{scenario.name}: not played: {reason}", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="aibridge-loss-") as directory:
            try:
                row = play(
                    scenario, Path(directory), seed=seed, requests=given.requests, rate=given.rate
                )
            except Exception:  # noqa: BLE001  # the other rows are wanted
                traceback.print_exc()
                failed = True
                reason = "failed, see above"
                rows.append({"scenario": scenario.name, "title": scenario.title, "skipped": reason})
                continue
        rows.append(row)
        failed = failed or bool(row["problems"])
        verdict = "; ".join(row["problems"]) or "as it must be"
        print(f"{scenario.name}: {verdict} ({row['seconds']:.0f} s); {'; '.join(row['notes'])}")
        for fault in row["faults"]:
            print(f"    {fault}")
        sys.stdout.flush()
    print(table(rows))
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
