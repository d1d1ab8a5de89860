"""Together: the parent's details with those of its workers, as one bridge's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

_GRAVITY = {"ok": 0, "closed": 0, "cooling": 1, "half-open": 1, "half_open": 1, "out": 2, "open": 2}
"""Of what workers say of a key or a circuit breaker, the worst is shown."""


def together(own: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the details of the whole.

    Args:
        own: the parent's, as `Status` has them.
        workers: each one's own, as far as they are known.
    """
    details = dict(own)
    details["gateway"] = {
        name: value if isinstance(value, bool) else value + _sum(workers, "gateway", name)
        for name, value in own["gateway"].items()
    }
    details["logs"] = {
        "lines_lost": own["logs"]["lines_lost"] + _sum(workers, "logs", "lines_lost")
    }
    journals = [each["journal"] for each in workers]
    details["journal"] = replace(
        own["journal"],
        unsent_bytes=own["journal"].unsent_bytes + sum(each["unsent_bytes"] for each in journals),
        accepting=own["journal"].accepting and all(each["accepting"] for each in journals),
        problem=next(
            (each["problem"] for each in journals if each["problem"]), own["journal"].problem
        ),
    )
    if workers:
        details["providers"] = _providers([each["providers"] for each in workers])
        details["circuit_breakers"] = _worst(
            (each for worker in workers for each in worker["circuit_breakers"]),
            ("provider", "endpoint", "model"),
        )
    return details


def _sum(workers: Sequence[Mapping[str, Any]], part: str, name: str) -> Any:
    return sum(each[part][name] for each in workers)


def _providers(several: Sequence[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """Return the providers of the first, with the worst that is said of each key."""
    found: list[Mapping[str, Any]] = []
    for provider in several[0]:
        same = [each for all_ in several for each in all_ if each["name"] == provider["name"]]
        keys = [
            max((each["keys"][n] for each in same if n < len(each["keys"])), key=_gravity)
            for n in range(len(provider["keys"]))
        ]
        found.append({**provider, "keys": keys})
    return found


def _worst(states: Iterable[Mapping[str, Any]], by: tuple[str, ...]) -> list[Mapping[str, Any]]:
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for each in states:
        key = tuple(each[name] for name in by)
        if key not in found or _gravity(each) > _gravity(found[key]):
            found[key] = each
    return list(found.values())


def _gravity(state: Mapping[str, Any]) -> int:
    return _GRAVITY.get(str(state["state"]), 0)
