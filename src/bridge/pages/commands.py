"""Commands: how to get what a page shows without the page, ready to be copied."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import quote

TOKEN = "$AIBRIDGE_TOKEN"  # noqa: S105  # a variable's name
_API = "/api/v2/aibridge"


def curl(origin: str, path: str, query: Mapping[str, object] | None = None) -> str:
    """Return the command that asks the management API at `path`, below its base path."""
    parts = [f"curl -sS {shlex.quote(f'{origin}{_API}{path}')}"]
    given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
    if given:
        parts[0] = parts[0].replace("curl -sS", "curl -sSG", 1)
        parts += [f"--data-urlencode {shlex.quote(f'{name}={given[name]}')}" for name in given]
    parts.append(f'-H "Authorization: Bearer {TOKEN}"')
    return " \\\n  ".join(parts)


def segment(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")
