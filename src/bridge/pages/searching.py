"""Searching: a page's filter fields and its search box, made one search."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_PLAIN = re.compile(r"[^\s\":]+")


def whole_search(
    query: Mapping[str, str],
    fields: Sequence[str] = ("initiator", "client", "provider_name", "model", "status"),
) -> str:
    """Return the search in the language of lists that fields and search box mean together.

    Args:
        query: of the address: `q`, one value for each field, and `from` and `to`, times in UTC as
            browsers send them (`2026-01-31T12:00`).
        fields: names of the fields, which are keys of the language.
    """
    parts = [query["q"]] if query.get("q") else []
    parts += [element(name, query[name]) for name in fields if query.get(name)]
    for name, key in (("from", "started_after"), ("to", "started_before")):
        if query.get(name):
            parts.append(element(key, rfc3339(query[name])))
    return " ".join(parts)


def element(key: str, value: str) -> str:
    """Return `key:value`, with quotes where the value needs them."""
    value = value.replace('"', "")
    return f"{key}:{value}" if _PLAIN.fullmatch(value) else f'{key}:"{value}"'


def rfc3339(text: str) -> str:
    """Return a browser's time as RFC 3339; what is none stays, to be told so."""
    found = _LOCAL_TIME.fullmatch(text)
    if found is None:
        return text
    return f"{text}Z" if found[1] else f"{text}:00Z"
