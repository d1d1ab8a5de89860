"""A process that appends until it is killed, and prints the number of each record it has appended.

Run as `python -m tests.journal.appending_child ROOT`. First it prints the id of an interception
that it never ends.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from structlog.testing import CapturingLogger
from twisted.internet.task import Clock

from bridge.domain.ids import uuid7
from tests.journal.samples import NOW, new_journal, started, tool


def main(root: Path) -> None:
    clock = Clock()
    clock.rightNow = NOW
    journal = new_journal(root, clock, log=CapturingLogger(), segment_bytes=1 << 16)
    identifier = uuid7(NOW)
    journal.append([started(identifier)])
    print(identifier, flush=True)
    for n in itertools.count(1):
        journal.append([tool(identifier, n, text="x" * 200)])
        print(n, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
