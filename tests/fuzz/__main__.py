"""`make fuzz`: runs every target for ten minutes, and stops at the first thing that it finds.

    make fuzz                              ten minutes each
    make fuzz FUZZ_SECONDS=60 TARGETS="sse chat"

What it found is printed as small as hypothesis can make it, with the seed. Make a test of it.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.running import fuzz
from tests.fuzz.targets import TARGETS, clear

SECONDS = 600.0


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", default=[], metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each target")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None, help="where the counts are written")
    given = parser.parse_args()
    if unknown := set(given.targets) - {each.name for each in TARGETS}:
        parser.error(f"no target {', '.join(sorted(unknown))}")
    seed = given.seed if given.seed is not None else secrets.randbelow(2**31)
    counts = {}
    failed = False
    for target in TARGETS:
        if given.targets and target.name not in given.targets:
            continue
        began = time.monotonic()
        try:
            count, last = fuzz(target, seconds=given.seconds, number=seed)
            verdict = "nothing found"
        except Exception:  # noqa: BLE001  # whatever it is, it was found
            traceback.print_exc()
            count, last, failed = -1, seed, True
            verdict = "FOUND, see above"
        seconds = time.monotonic() - began
        counts[target.name] = {"executions": count, "seconds": round(seconds)}
        print(
            f"{target.name}: {count} executions in {seconds:.0f} s, seeds {seed} to {last}: "
            f"{verdict}",
            flush=True,
        )
    clear()
    if given.json is not None:
        given.json.write_text(json.dumps(counts, indent=2) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
