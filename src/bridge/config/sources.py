"""Finding an option's value in the flags, the environment and the YAML file, in that order."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from bridge.config import options
from bridge.config.document import Node
from bridge.config.settings import Value, problem
from bridge.config.table import ALIAS, Option

T = TypeVar("T")

PROVIDER_PATHS = ("aibridge.providers", "ai_gateway.providers", "providers")
"""Where the list of providers may stand in the file."""
INDEXED_PROVIDER = re.compile(
    r"(?:CODER_AI_GATEWAY|CODER_AIBRIDGE|AIBRIDGE)_PROVIDER_(\d{1,4})_(\w+)"
)
CONFIG_VARIABLE = "AIBRIDGE_CONFIG"
"""Names the file for the command line; not an option."""
_OUR_VARIABLE = re.compile(r"(?:CODER_AI_GATEWAY|CODER_AIBRIDGE|AIBRIDGE)_\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything an option may be set by."""

    flags: Mapping[str, str]
    """Flags without their dashes."""
    environ: Mapping[str, str]
    document: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    raw: object
    path: str
    origin: str
    variables: tuple[str, ...] = ()


def resolve(option: Option[T], sources: Sources, problems: list[str]) -> Value[T]:
    """Return the value in force; what is wrong with any spelling is appended to `problems`."""
    found: list[Value[T]] = []
    for candidates in (
        _from_flags(option, sources.flags),
        _from_environment(option, option.environment, sources.environ),
        _from_document(option, sources.document),
    ):
        values = list(_read(option, candidates, problems))
        for other in values[1:]:
            if other.value != values[0].value:
                sentence = (
                    f"{_spelling(values[0])} and {_spelling(other)} are two spellings of one "
                    "option with different values; keep one"
                )
                problems.append(problem(option.path, sentence))
        found += values[:1]
    if not found:
        # What lies in the environment for everybody is not even looked at beside what is meant
        # for us: it may well be of no use to us.
        fallback = _from_environment(option, option.fallback_environment, sources.environ)
        values = list(_read(option, islice(fallback, 1), problems))
        found += [replace(value, ambient=True) for value in values]
    return found[0] if found else Value(value=option.default, path=option.path)


def unknown_keys(document: Node) -> Iterator[str]:
    """Yield a problem for every key of the file that is no option."""
    leaves = {*PROVIDER_PATHS, *(path for option in options.ALL for path in option.yaml_paths)}
    groups = {
        ".".join(names[:depth])
        for names in (path.split(".") for path in leaves)
        for depth in range(1, len(names))
    }
    yield from _unknown_in(document, "", leaves, groups)


def unknown_names(sources: Sources) -> Iterator[str]:
    """Yield a problem for every flag that no option has."""
    known = {flag for option in options.ALL for flag in option.flags}
    for flag in sorted(set(sources.flags) - known):
        yield problem(f"flag --{flag}", "is not an option" + suggestion(flag, known, "--"))


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for every variable that looks like ours and sets nothing."""
    known = {name for option in options.ALL for name in option.environment}
    for name in sorted(set(environ) - known - {CONFIG_VARIABLE}):
        if _OUR_VARIABLE.fullmatch(name) and not INDEXED_PROVIDER.fullmatch(name):
            yield f"environment {name}: has no effect{suggestion(name, known)}"


def suggestion(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return `; did you mean x?` when something known is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def _from_flags(option: Option[Any], flags: Mapping[str, str]) -> Iterator[_Candidate]:
    for name in option.flags:
        if name in flags:
            yield _Candidate(raw=flags[name], path=option.path, origin=f"flag --{name}")


def _from_environment(
    option: Option[Any], names: Iterable[str], environ: Mapping[str, str]
) -> Iterator[_Candidate]:
    for name in names:
        text = environ.get(name)
        if text is not None and (text or option.empty):
            origin = f"environment {name}"
            yield _Candidate(raw=text, path=option.path, origin=origin, variables=(name,))


def _from_document(option: Option[Any], document: Node) -> Iterator[_Candidate]:
    for path in option.yaml_paths:
        node = document.find(path)
        if node is None or node.value is None or (node.value == "" and not option.empty):
            continue
        yield _Candidate(raw=node.plain(), path=path, origin=node.place, variables=node.variables)


def _read(
    option: Option[T], candidates: Iterable[_Candidate], problems: list[str]
) -> Iterator[Value[T]]:
    for candidate in candidates:
        try:
            value = option.kind.read(candidate.raw)
        except ValueError as e:
            problems.append(problem(candidate.path, str(e), candidate.origin))
        else:
            yield Value(
                value=value,
                path=candidate.path,
                origin=candidate.origin,
                variables=candidate.variables,
            )


def _spelling(value: Value[Any]) -> str:
    in_file = not value.origin.startswith(("flag ", "environment "))
    return f"{value.path} ({value.origin})" if in_file else value.origin


def _unknown_in(node: Node, prefix: str, leaves: set[str], groups: set[str]) -> Iterator[str]:
    for name, child in node.members.items():
        path = f"{prefix}{name}"
        if path in leaves:
            continue
        if path not in groups:
            yield problem(path, f"is not an option{_similar(path, leaves | groups)}", child.place)
        elif isinstance(child.value, dict):
            yield from _unknown_in(child, f"{path}.", leaves, groups)
        elif child.value is not None:
            yield problem(path, "must be a group of options", child.place)


def _similar(path: str, known: set[str]) -> str:
    """Return a suggestion from the same group, else the same name in another group."""
    group, _, name = path.rpartition(".")
    siblings = {other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == group}
    near = suggestion(name, siblings)
    if near:
        return near
    elsewhere = sorted(
        (other for other in known if other.rpartition(".")[2] == name),
        key=lambda other: (other.startswith(ALIAS), other),
    )
    return f"; did you mean {elsewhere[0]}?" if elsewhere else suggestion(path, known)
