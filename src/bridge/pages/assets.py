"""Assets: style, script and icon, under names that change with what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {".css": b"text/css", ".js": b"text/javascript", ".svg": b"image/svg+xml"}
BASE = "/ui/static/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file that browsers may keep for ever."""

    path: str
    """`/ui/static/pages.0123456789ab.css`."""
    content: bytes
    content_type: bytes


def load_assets() -> Mapping[str, Asset]:
    """Return all assets by the name of their file, read from the package."""
    found = {}
    for each in files("bridge.pages").joinpath("static").iterdir():
        stem, dot, ending = each.name.rpartition(".")
        kind = _TYPES.get(dot + ending)
        if kind is None:
            continue
        content = each.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        found[each.name] = Asset(
            path=f"{BASE}{stem}.{digest}{dot}{ending}",
            content=content,
            content_type=kind + b"; charset=utf-8",
        )
    return found
