"""How fast `aibridge export` writes a file, counted by the clock on the wall, and what it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from bridge.store.embedded.server import EmbeddedServer
from bridge.store.export import Format

_COMMAND = "from bridge.cli.main import main; main()"
_TICKS = os.sysconf("SC_CLK_TCK")


async def export(server: EmbeddedServer, data_dir: Path, form: Format, *, since: date) -> str:
    """Export what is not older than a day in a process of its own, and return what that took.

    Args:
        server: runs, on `data_dir`.
        data_dir: of the database.
        form: how it is written.
        since: the first day.
    """
    with tempfile.TemporaryDirectory(prefix="aibridge-bench-export-") as directory:
        file = Path(directory) / "export"
        served = _children_seconds(server.pid)
        began = time.monotonic()
        usage = await deferToThread(_run, data_dir, form, since, file)
        seconds = time.monotonic() - began
        served = _children_seconds(server.pid) - served
        length = file.stat().st_size
        rows = await deferToThread(_count, file, form)
    ours = usage.ru_utime + usage.ru_stime
    return (
        f"export, {form.value}: {rows} interceptions in {seconds:.1f} s, start and fsync included: "
        f"{rows / seconds:.0f}/s, {length / seconds / 1e6:.0f} MB/s; processor for 1000: "
        f"{served / rows * 1e6:.0f} ms of the server, {ours / rows * 1e6:.0f} ms of the command, "
        f"whose peak was {usage.ru_maxrss / 1024:.0f} MiB"
    )


def _run(data_dir: Path, form: Format, since: date, file: Path) -> Any:
    """Run the command, and return what it used."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "export", "--from", since.isoformat(),
         "--format", form.value, "--output", str(file)],
        env={"PATH": os.environ.get("PATH", os.defpath), "AIBRIDGE_DATA_DIR": str(data_dir)},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"The export ended with {process.returncode}.")
    return usage


def _count(file: Path, form: Format) -> int:
    """Count the interceptions; nothing of what is made up has a carriage return."""
    end, headings = (b"\n", 0) if form is Format.JSONL else (b"\r", 1)
    count = -headings
    with file.open("rb") as read:
        while piece := read.read(1 << 24):
            count += piece.count(end)
    return count


def _children_seconds(process: int | None) -> float:
    """Return the processor time of a process' children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS
