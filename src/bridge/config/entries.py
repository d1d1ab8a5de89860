"""Providers as they are written: entries of the YAML list, and numbered variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bridge.config import aws, options
from bridge.config.document import Node
from bridge.config.kinds import BASE_URL, BOOLEAN, SECRET, TEXT, TEXTS, Kind, choice
from bridge.config.recording import CONTENTS, LEVEL
from bridge.config.settings import problem
from bridge.config.sources import INDEXED_PROVIDER, PROVIDER_PATHS, suggestion
from bridge.domain.identity import Secret

T = TypeVar("T")

FIELDS: Mapping[str, str] = {
    "name": "Lower-case letters, digits and single dashes; the first segment of the provider's "
    "paths. The type, when left out.",
    "type": "anthropic, openai, bedrock, copilot or demo.",
    "base_url": "Where the provider is; the type's own address, when left out.",
    "key": "Our credential: a text, ${VARIABLE} or file:/path. Without one, users must bring "
    "their own.",
    "keys": "Several credentials in order of preference, instead of key.",
    "key_header": "Header that carries our credential: authorization (as Bearer), x-api-key, or "
    "api-key as Azure wants it. The type's own, when left out.",
    "organization": "OpenAI organisation on whose account our key asks.",
    "project": "OpenAI project on whose account our key asks.",
    "send_actor_headers": "Overrides aibridge.send_actor_headers for this provider.",
    "stored_objects": "Overrides aibridge.stored_objects for this provider.",
    "forward_scope_headers": "Overrides aibridge.forward_scope_headers for this provider.",
    "include_usage": "Whether token counts are asked for on chat streams whose client does not; "
    "true unless the provider refuses stream_options.",
    "max_retries": "Overrides aibridge.max_retries for this provider.",
    "fallback": "Names of providers of the same API that are asked when this one answers 429 or "
    "5xx, or cannot be reached; never with a user's own credential.",
    "record": "A group such as {prompts: off, tool_inputs: off, thoughts: off}: what is not "
    "recorded of requests to this provider, beyond what record.* says.",
    "fallback_models": "What models are called at those providers, where their names differ.",
}
"""The fields of an entry, with their documentation."""
_KEY_HEADER = choice("authorization", "x-api-key", "api-key")


def _account(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", text):
        msg = "must be one word of printable ASCII characters"
        raise ValueError(msg)
    return text


_ACCOUNT = Kind(name="text", parse=_account, show=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A provider as it was written; None is what was left out."""

    label: str
    """What problems call it: `aibridge.providers[1]`."""
    origin: str
    name: str | None = None
    type: str | None = None
    base_url: str | None = None
    keys: tuple[Secret, ...] | None = None
    """Empty when a key was written but is empty."""
    key_variables: Mapping[Secret, str] = dataclasses.field(default_factory=dict)
    """The environment's variable that a key was taken from, for those that were."""
    send_actor_headers: bool | None = None
    key_header: str | None = None
    organization: str | None = None
    project: str | None = None
    stored_objects: str | None = None
    forward_scope_headers: bool | None = None
    include_usage: bool | None = None
    max_retries: int | None = None
    fallback: tuple[str, ...] = ()
    fallback_models: tuple[tuple[str, str], ...] = ()
    record: tuple[tuple[str, str], ...] = ()
    bedrock: aws.BedrockSettings | None = None
    """What only the type bedrock has."""


def entries_in_document(document: Node, problems: list[str]) -> tuple[Entry, ...] | None:
    """Return the entries of the YAML list, or None when there is no list."""
    lists = [(path, node) for path in PROVIDER_PATHS if (node := document.find(path)) is not None]
    if not lists:
        return None
    if len(lists) > 1:
        written = " and ".join(path for path, _ in lists)
        problems.append(problem(lists[0][0], f"{written} are two spellings of one option"))
    path, node = lists[0]
    if node.value is None:
        return ()
    if not isinstance(node.value, list):
        problems.append(problem(path, "must be a list of providers", node.place))
        return ()
    read = (_entry_from_node(f"{path}[{n}]", item, problems) for n, item in enumerate(node.value))
    return tuple(entry for entry in read if entry)


def entries_in_environment(environ: Mapping[str, str], problems: list[str]) -> tuple[Entry, ...]:
    """Return the providers given by `CODER_AI_GATEWAY_PROVIDER_<N>_<FIELD>` variables."""
    groups: dict[int, dict[str, tuple[str, str]]] = {}
    for variable in sorted(environ):
        match = INDEXED_PROVIDER.fullmatch(variable)
        if match is None or not environ[variable]:
            continue
        fields = groups.setdefault(int(match[1]), {})
        field = match[2].lower().removeprefix("bedrock_")
        other, text = fields.setdefault(field, (variable, environ[variable]))
        if text != environ[variable]:
            sentence = f"and {other} are two spellings of one option with different values"
            problems.append(f"environment {variable}: {sentence}")
    if sorted(groups) != list(range(len(groups))):
        numbers = ", ".join(str(n) for n in sorted(groups))
        problems.append(f"environment PROVIDER_<N>: numbers start at 0 without gaps, not {numbers}")
    return tuple(_entry_from_variables(n, groups[n], problems) for n in sorted(groups))


def _entry_from_node(label: str, node: Node, problems: list[str]) -> Entry | None:
    if not isinstance(node.value, dict):
        problems.append(problem(label, "must be a group with name, type and so on", node.place))
        return None
    reader = _Fields(label, node.members, problems)
    problems.extend(reader.unknown())
    return Entry(
        label=label,
        origin=node.place,
        name=reader.get("name", TEXT),
        type=reader.get("type", TEXT),
        base_url=reader.get("base_url", BASE_URL) or None,
        keys=reader.keys(),
        key_variables=reader.key_variables,
        send_actor_headers=reader.get("send_actor_headers", BOOLEAN),
        key_header=reader.get("key_header", _KEY_HEADER),
        organization=reader.get("organization", _ACCOUNT),
        project=reader.get("project", _ACCOUNT),
        stored_objects=reader.get("stored_objects", options.STORED_OBJECTS.kind),
        forward_scope_headers=reader.get("forward_scope_headers", BOOLEAN),
        include_usage=reader.get("include_usage", BOOLEAN),
        max_retries=reader.get("max_retries", options.MAX_RETRIES.kind),
        fallback=reader.get("fallback", TEXTS) or (),
        fallback_models=reader.texts("fallback_models"),
        record=reader.texts("record", LEVEL, known=CONTENTS),
        bedrock=aws.bedrock_settings(reader) if reader.is_bedrock() else None,
    )


def _entry_from_variables(
    n: int, fields: Mapping[str, tuple[str, str]], problems: list[str]
) -> Entry:
    nodes: dict[str, Node] = {}
    for field, (variable, text) in fields.items():
        place = f"environment {variable}"
        value: object = text
        if field == "keys":
            value = [
                Node(value=key.strip(), place=place, variables=(variable,))
                for key in text.split(",")
            ]
        nodes[field] = Node(value=value, place=place, variables=(variable,))
    first = min(variable for variable, _ in fields.values())
    prefix = f"{first.partition('_PROVIDER_')[0]}_PROVIDER_{n}"
    label = f"environment {prefix}"
    return _entry_from_node(label, Node(value=nodes, place=label), problems) or Entry(
        label=label, origin=label
    )


class _Fields:
    """Reads the fields of one entry, noting what is wrong."""

    def __init__(self, label: str, members: Mapping[str, Node], problems: list[str]) -> None:
        self._label = label
        self._members = members
        self._problems = problems
        self.key_variables: dict[Secret, str] = {}
        """Filled by `keys`."""

    def get(self, name: str, kind: Kind[T]) -> T | None:
        """Return the field, or None when it is left out or wrong."""
        node = self._members.get(name)
        if node is None or node.value is None:
            return None
        return self._read(f"{self._label}.{name}", node, kind)

    def keys(self) -> tuple[Secret, ...] | None:
        """Return the credentials from `key` or `keys`; None when neither is written."""
        key, keys = self._members.get("key"), self._members.get("keys")
        if key is not None and keys is not None:
            sentence = "key and keys cannot both be given"
            self._problems.append(problem(self._label, sentence, keys.place))
        if keys is None:
            if key is None:
                return None
            secret = self._credential(f"{self._label}.key", key)
            return (secret,) if secret else ()
        if not isinstance(keys.value, list):
            sentence = "must be a list of credentials"
            self._problems.append(problem(f"{self._label}.keys", sentence, keys.place))
            return ()
        read = [
            self._credential(f"{self._label}.keys[{n}]", node) for n, node in enumerate(keys.value)
        ]
        found = tuple(secret for secret in read if secret)
        if len(set(found)) != len(found):
            sentence = "lists a credential twice"
            self._problems.append(problem(f"{self._label}.keys", sentence, keys.place))
        return found

    def texts(
        self, name: str, kind: Kind[str] = TEXT, known: Collection[str] = ()
    ) -> tuple[tuple[str, str], ...]:
        """Return the members of a group, by name; none when it is left out or wrong.

        Args:
            name: the group.
            kind: of its members.
            known: the names that there are; none for any.
        """
        node = self._members.get(name)
        if node is None or node.value is None:
            return ()
        label = f"{self._label}.{name}"
        if not isinstance(node.value, dict):
            self._problems.append(problem(label, "must be a group of texts", node.place))
            return ()
        for key, each in node.members.items():
            if known and key not in known:
                sentence = f"is not an option{suggestion(key, known)}"
                self._problems.append(problem(f"{label}.{key}", sentence, each.place))
        read = (
            (key, self._read(f"{label}.{key}", each, kind)) for key, each in node.members.items()
        )
        return tuple((key, text) for key, text in read if text)

    def is_bedrock(self) -> bool:
        """Return whether the entry is of the type bedrock."""
        node = self._members.get("type") or self._members.get("name")
        return node is not None and node.value == "bedrock"

    def unknown(self) -> Iterator[str]:
        """Yield a problem for every field that does not exist."""
        known = set(FIELDS) | (set(aws.FIELDS) if self.is_bedrock() else set())
        for name, node in self._members.items():
            if name not in known:
                sentence = f"is not an option{suggestion(name, known)}"
                yield problem(f"{self._label}.{name}", sentence, node.place)

    def _credential(self, label: str, node: Node) -> Secret | None:
        secret = self._read(label, node, SECRET) if node.value is not None else None
        if secret and node.variables:
            self.key_variables[secret] = node.variables[0]
        return secret

    def _read(self, label: str, node: Node, kind: Kind[T]) -> T | None:
        try:
            return kind.read(node.plain())
        except ValueError as e:
            self._problems.append(problem(label, str(e), node.place))
            return None
