"""Lets a bridge under test say, at SIGUSR2, how many objects of some kinds it holds.

Imported by Python itself at its start, when this directory is in PYTHONPATH. AIBRIDGE_SOAK_COUNTS
names the file that is replaced by a JSON object of counts.
"""

import gc
import json
import os
import signal
from collections import Counter
from pathlib import Path

_FILE = os.environ.get("AIBRIDGE_SOAK_COUNTS", "")
_KINDS = ("Deferred", "DelayedCall", "Server", "Client")
"""Deferreds; calls to come; connections from clients and to upstreams, as Twisted names them."""


def _answer(number, frame):
    gc.collect()
    found = gc.get_objects()
    kinds = (type(each) for each in found)
    counts = Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith("twisted."))
    said = {"objects": len(found), **{kind: counts[kind] for kind in _KINDS}}
    new = Path(f"{_FILE}.new")
    new.write_text(json.dumps(said))
    new.replace(_FILE)


if _FILE:
    signal.signal(signal.SIGUSR2, _answer)
