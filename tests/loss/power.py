"""A power cut without a machine that one may switch off: what was not forced to disk is taken away.

The bridge has been killed. What its fsyncs had made safe is in the file that
`site/sitecustomize.py` wrote. Of what came after, a random part of each file stays, as a disk
would have it: often nothing,
sometimes half a line. A file whose name was never made safe goes.
"""

from __future__ import annotations

import random
from pathlib import Path

SITE = Path(__file__).resolve().parent / "site"
_SPARED = ("lock", "writer.lock")
"""Empty; who holds them is known to the kernel only."""


def cut_power(root: Path, log: Path, chance: random.Random) -> int:
    """Take away what was not safe in the journals below `root`, and return how many bytes.

    What is left is safe: it is noted as such, for the next cut.
    """
    sizes, names = _safe(log)
    taken = 0
    kept = []
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            kept.append(f"N {path}")
            continue
        if path.name in _SPARED:
            continue
        size = path.stat().st_size
        if str(path) not in names and chance.random() < 0.7:
            path.unlink()
            taken += size
            continue
        safe = min(sizes.get(str(path), 0), size)
        left = safe if chance.random() < 0.5 else chance.randint(safe, size)
        with path.open("r+b") as file:
            file.truncate(left)
        taken += size - left
        kept += [f"N {path}", f"F {left} {path}"]
    with log.open("a") as file:
        file.write("".join(f"{line}\n" for line in kept))
    return taken


def _safe(log: Path) -> tuple[dict[str, int], set[str]]:
    sizes: dict[str, int] = {}
    names: set[str] = set()
    for line in log.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "F":
            size, _, path = rest.partition(" ")
            sizes[path] = max(sizes.get(path, 0), int(size))
        elif kind == "N":
            names.add(rest)
    return sizes, names
