"""Raw results: one JSON file for each run, with what is needed to judge it later."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import Target

RESULTS = Path(__file__).parent / "results"


def machine() -> Mapping[str, Any]:
    """Return what kind of machine this is, and how busy it is now."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_average": os.getloadavg()[0],
    }


def machine_line() -> str:
    """Return the same in one line of text."""
    found = machine()
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB; "
        f"{found['system']}; {found['python']}; load average {found['load_average']:.1f}"
    )


def save(kind: str, raw: Mapping[str, Any], targets: Sequence[Target], began: float) -> Path:
    """Write the results of a run, and return where they are.

    Args:
        kind: of benchmark; the file's name begins with it.
        raw: everything that was measured; made of what JSON knows.
        targets: what was to be reached.
        began: when the run did, seconds since the epoch.
    """
    RESULTS.mkdir(exist_ok=True)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    path = RESULTS / f"{kind}-{moment}.json"
    whole = {
        "at": moment,
        "seconds": time.time() - began,
        "machine": machine(),
        **raw,
        "targets": [{**asdict(target), "reached": target.reached} for target in targets],
    }
    path.write_text(json.dumps(whole, indent=1) + "\n")
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
