"""The providers in force: written entries joined with the established single-provider options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bridge.config import options
from bridge.config.aws import BedrockSettings
from bridge.config.document import Node
from bridge.config.entries import Entry, entries_in_document, entries_in_environment
from bridge.config.settings import KNOWN_TYPES, ProviderSettings, Value, problem
from bridge.config.sources import suggestion
from bridge.config.table import Option
from bridge.domain.identity import Secret
from bridge.providers.regions import is_region, region_in

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
LONGEST_NAME = 63
RESERVED_NAMES = frozenset(
    {
        "api", "ui", "healthz", "readyz", "metrics", "static", "v1", "mcp", ".well-known",
        "interceptions", "sessions", "models", "clients", "providers", "usage", "search", "export",
        "users", "tokens", "audit", "holds", "keys", "proxy", "serve",
    }
)  # fmt: skip
"""First path segments that are, or may become, our own."""
_BASE_URLS = {
    "anthropic": options.ANTHROPIC_BASE_URL.default,
    "openai": options.OPENAI_BASE_URL.default,
    "copilot": "https://api.githubcopilot.com",
    "demo": "",
}
_STANDING_IN = {
    "anthropic": frozenset({"messages"}),
    "bedrock": frozenset({"messages"}),
    "openai": frozenset({"chat", "responses"}),
    "demo": frozenset({"messages", "chat", "responses"}),
}
"""APIs in which a provider of a type can be asked with a key of the organisation's."""

Values = Mapping[Option[Any], Value[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Established:
    """A provider given by its own options, e.g. `aibridge.anthropic_key`."""

    name: str
    key: Value[Secret]
    base_url: Value[str]
    always: bool
    """Whether it exists even when nobody set any of its options."""

    @property
    def given(self) -> bool:
        """Whether somebody asked for it; a fallback variable does not."""
        return self.base_url.given or self.key_meant

    @property
    def key_meant(self) -> bool:
        """Whether the key was set by a name of its own."""
        return self.key.given and bool(self.key.value) and not self.key.ambient


def providers_from(
    document: Node, environ: Mapping[str, str], values: Values, problems: list[str]
) -> tuple[ProviderSettings, ...]:
    """Return the providers in the order in which they are written.

    The list of the file, then numbered variables, then those given by the established options
    alone. `anthropic` exists without being asked for when there is no list and no numbered one.
    What is wrong is appended to `problems`.
    """
    listed = entries_in_document(document, problems)
    numbered = entries_in_environment(environ, problems)
    entries = [_named(entry, problems) for entry in (*(listed or ()), *numbered)]
    nobody_said = listed is None and not numbered
    for established in _established(values, anthropic_always=nobody_said):
        _join(entries, established, problems)
    _join_bedrock(entries, values, problems)
    _refuse_doubles(entries, problems)
    _refuse_foreign_fields(entries, problems)
    _refuse_impossible_aws(entries, problems)
    _refuse_wrong_fallbacks(entries, problems)
    return tuple(_settled(entry, values) for entry in entries)


def _named(entry: Entry, problems: list[str]) -> Entry:
    """Return the entry with name and type filled in from each other, and checked."""
    name = entry.name if entry.name is not None else entry.type
    type_ = entry.type if entry.type is not None else name
    if name is None or type_ is None:
        problems.append(problem(entry.label, "needs a name and a type", entry.origin))
        return replace(entry, name="", type="")
    if type_ not in KNOWN_TYPES:
        sentence = f"must be one of {', '.join(KNOWN_TYPES)}{suggestion(type_, KNOWN_TYPES)}"
        problems.append(problem(f"{entry.label}.type", sentence, entry.origin))
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        sentence = "must be lower-case letters and digits, in words joined by single dashes"
        problems.append(problem(f"{entry.label}.name", sentence, entry.origin))
    elif name in RESERVED_NAMES:
        sentence = f"{name} is a path of the bridge itself; choose another name"
        problems.append(problem(f"{entry.label}.name", sentence, entry.origin))
    return replace(entry, name=name, type=type_)


def _established(values: Values, *, anthropic_always: bool) -> tuple[_Established, ...]:
    return (
        _Established(
            name="anthropic",
            key=values[options.ANTHROPIC_KEY],
            base_url=values[options.ANTHROPIC_BASE_URL],
            always=anthropic_always,
        ),
        _Established(
            name="openai",
            key=values[options.OPENAI_KEY],
            base_url=values[options.OPENAI_BASE_URL],
            always=False,
        ),
    )


def _bedrock_key(values: Values, problems: list[str], *, listed: bool) -> Value[Secret]:
    """Return the access key of the established bedrock provider; what is missing is a problem."""
    key: Value[Secret] = values[options.BEDROCK_ACCESS_KEY]
    secret: Value[Secret] = values[options.BEDROCK_ACCESS_KEY_SECRET]
    region, address = values[options.BEDROCK_REGION], values[options.BEDROCK_BASE_URL]
    if bool(key.value) != bool(secret.value):
        lone, missing = (key, secret) if key.value else (secret, key)
        problems.append(problem(lone.path, f"needs {missing.path} as well", lone.origin))
    if region.value and not is_region(region.value):
        problems.append(problem(region.path, "is not an AWS region", region.origin))
    nowhere = not region.value and not region_in(address.value)
    if nowhere and not listed and (key.value or address.value):
        said = address if address.value else key
        other = region.path if address.value else f"{region.path} or {address.path}"
        problems.append(problem(said.path, f"needs {other} as well", said.origin))
    return key


def _join_bedrock(entries: list[Entry], values: Values, problems: list[str]) -> None:
    """Add the established bedrock provider, or fill what its entry left out.

    Without an entry and a key for anthropic it is served under that name too.
    """
    position = next((n for n, entry in enumerate(entries) if entry.name == "bedrock"), None)
    key = _bedrock_key(values, problems, listed=position is not None)
    region, address = values[options.BEDROCK_REGION], values[options.BEDROCK_BASE_URL]
    given = next((each for each in (address, region, key) if each.given and each.value), None)
    if given is None:
        return
    settings = BedrockSettings(
        region=region.value,
        access_key=key.value.reveal(),
        access_key_secret=values[options.BEDROCK_ACCESS_KEY_SECRET].value,
    )
    if position is not None:
        entry = entries[position]
        if entry.bedrock is None:
            sentence = f"is set, but the provider bedrock is of the type {entry.type}"
            problems.append(problem(given.path, sentence, given.origin))
            return
        filled, contradicted = entry.bedrock.filled(settings)
        if contradicted or (entry.base_url and address.value not in ("", entry.base_url)):
            sentence = "is another value than the listed provider bedrock has; keep one"
            problems.append(problem(given.path, sentence, given.origin))
        base_url = entry.base_url or address.value or None
        entries[position] = replace(entry, bedrock=filled, base_url=base_url)
        return
    established = Entry(
        label=given.path,
        origin=given.origin,
        name="bedrock",
        type="bedrock",
        base_url=address.value or None,
        bedrock=replace(
            settings,
            model=values[options.BEDROCK_MODEL].value,
            small_fast_model=values[options.BEDROCK_SMALL_FAST_MODEL].value,
        ),
    )
    entries.append(established)
    keyless = [n for n, entry in enumerate(entries) if entry.name == "anthropic" and not entry.keys]
    if keyless and entries[keyless[0]].origin == "default":
        entries[keyless[0]] = replace(established, name="anthropic")


def _join(entries: list[Entry], established: _Established, problems: list[str]) -> None:
    """Fill what the entry of that name left out, or add it; contradictions are problems."""
    position = next((n for n, entry in enumerate(entries) if entry.name == established.name), None)
    key, address = established.key, established.base_url
    if position is None:
        if established.always or established.given:
            said = address if address.given else key
            entries.append(
                Entry(
                    label=said.path,
                    origin=said.origin,
                    name=established.name,
                    type=established.name,
                    base_url=address.value,
                    keys=(key.value,) if key.value else (),
                    key_variables=_variable_of(key),
                )
            )
        return
    entry = entries[position]
    if entry.type != established.name:
        if established.given:
            given = key if established.key_meant else address
            sentence = f"is set, but the provider {entry.name} is of the type {entry.type}"
            problems.append(problem(given.path, sentence, given.origin))
        return
    entries[position] = _filled(entry, established, problems)


def _filled(entry: Entry, established: _Established, problems: list[str]) -> Entry:
    """Return the entry with the key and address that its own options say."""
    key, address = established.key, established.base_url
    keys, base_url, variables = entry.keys, entry.base_url, entry.key_variables
    missing = keys is None or (established.key_meant and not keys)
    other = established.key_meant and key.value not in (keys or ())
    if key.value and (
        missing or (other and _counts_more(key, entry, f"{entry.label}.key", problems))
    ):
        keys = (key.value,)
        variables = _variable_of(key)
    other = address.given and (base_url or "").rstrip("/") != address.value.rstrip("/")
    if other and (
        base_url is None or _counts_more(address, entry, f"{entry.label}.base_url", problems)
    ):
        base_url = address.value
    return replace(entry, keys=keys, base_url=base_url, key_variables=variables)


def _variable_of(key: Value[Secret]) -> Mapping[Secret, str]:
    return {key.value: key.variables[0]} if key.variables else {}


def _counts_more(value: Value[Any], entry: Entry, label: str, problems: list[str]) -> bool:
    """Say whether an option is set in a source that goes before the entry's.

    In one source the two contradict each other, which is a problem.
    """
    mine, theirs = _rank(value.origin), _rank(entry.origin)
    if mine == theirs:
        problems.append(_contradiction(label, entry.origin, value))
    return mine < theirs


def _rank(origin: str) -> int:
    """Return how early a source is asked: flags, the environment, the file."""
    ranks = {"flag": 0, "environment": 1}
    return ranks.get(origin.partition(" ")[0], 2)


def _contradiction(label: str, origin: str, other: Value[Any]) -> str:
    sentence = (
        f"and {other.path} ({other.origin}) are two spellings of one option with different "
        "values; keep one"
    )
    return problem(label, sentence, origin)


def _refuse_doubles(entries: list[Entry], problems: list[str]) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.name or "", entry)
        if earlier is not entry and entry.name:
            sentence = f"{entry.name} is already the name of {earlier.label}"
            problems.append(problem(f"{entry.label}.name", sentence, entry.origin))


def _refuse_foreign_fields(entries: Sequence[Entry], problems: list[str]) -> None:
    """Note fields that the entry's type has no use for."""
    for entry in entries:
        foreign = {
            "key_header": entry.type not in ("anthropic", "openai") and entry.key_header,
            "organization": entry.type != "openai" and entry.organization,
            "project": entry.type != "openai" and entry.project,
            "key": entry.type == "bedrock" and entry.keys,
        }
        for name, given in foreign.items():
            if given:
                sentence = f"has no meaning for a provider of the type {entry.type}"
                problems.append(problem(f"{entry.label}.{name}", sentence, entry.origin))


def _refuse_impossible_aws(entries: Sequence[Entry], problems: list[str]) -> None:
    """Note what cannot work of the entries of the type bedrock; their options are checked alone."""
    for entry in entries:
        if entry.bedrock is None or not entry.label.partition("providers")[1]:
            continue
        _, placed = entry.bedrock.placed(entry.base_url or "")
        for name, sentence in placed.problems():
            problems.append(problem(f"{entry.label}.{name}", sentence, entry.origin))


def _refuse_wrong_fallbacks(entries: Sequence[Entry], problems: list[str]) -> None:
    """Note providers that cannot stand in for another."""
    by_name = {entry.name or "": entry for entry in entries}
    for entry in entries:
        apis = _STANDING_IN.get(entry.type or "", frozenset())
        for name in entry.fallback:
            other = by_name.get(name)
            if other is None:
                sentence = f"there is no provider {name}{suggestion(name, by_name)}"
            elif other is entry:
                sentence = f"{name} cannot stand in for itself"
            elif not apis & _STANDING_IN.get(other.type or "", frozenset()):
                sentence = f"{name} is of the type {other.type}, which speaks another API"
            else:
                continue
            problems.append(problem(f"{entry.label}.fallback", sentence, entry.origin))


def _settled(entry: Entry, values: Values) -> ProviderSettings:
    """Return the provider with its type's defaults for what was left out."""
    base_url, bedrock = entry.base_url, entry.bedrock
    if bedrock is not None:
        base_url, bedrock = bedrock.placed(base_url or "")
    if base_url is None:
        base_url = _BASE_URLS.get(entry.type or "", "")

    def said(own: T | None, option: Option[T]) -> T:
        everywhere: T = values[option].value
        return everywhere if own is None else own

    return ProviderSettings(
        name=entry.name or "",
        type=entry.type or "",
        base_url=base_url.rstrip("/"),
        keys=entry.keys or (),
        send_actor_headers=said(entry.send_actor_headers, options.SEND_ACTOR_HEADERS),
        key_header=entry.key_header or "",
        organization=entry.organization or "",
        project=entry.project or "",
        stored_objects=said(entry.stored_objects, options.STORED_OBJECTS),
        forward_scope_headers=said(entry.forward_scope_headers, options.FORWARD_SCOPE_HEADERS),
        include_usage=entry.include_usage is not False,
        max_retries=said(entry.max_retries, options.MAX_RETRIES),
        fallback=entry.fallback,
        fallback_models=dict(entry.fallback_models),
        record=dict(entry.record),
        bedrock=bedrock,
        origin=entry.origin,
        label=entry.label,
        key_variables=entry.key_variables,
    )
