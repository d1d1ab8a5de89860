"""Tools: which of the offered ones a demo model calls, and with what; pure, no I/O.

It prefers a shell, because every coding agent offers one and a harmless command shows the whole
round trip; and it fills what the schema requires, because agents check the arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

LOOK_UP = "look_up"
"""The tool of a call for which nobody offered one."""

SHELLS = frozenset(
    {
        "Bash",
        "bash",
        "shell",
        "local_shell",
        "exec_command",
        "shell_command",
        "run_shell_command",
        "run_commands",
    }
)
"""What coding agents name the tool that runs a command."""

# Some agents lose the output of a command that ends at once.
COMMAND = "echo demo && sleep 0.2"
_ARGUMENT_VECTOR = ("bash", "-lc", COMMAND)
_COMMAND_NAMES = frozenset({"command", "cmd"})
_COMMANDS_NAME = "commands"
# Cline's: several whole commands.
_PROMPT_NAME = "query"
_ALWAYS_FILLED = _COMMAND_NAMES | {_COMMANDS_NAME, _PROMPT_NAME}
_DEEPEST = 4
_MOST_ITEMS = 10
_LONGEST_REFERENCE = 8
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")

_Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as a client offers it, whatever the API."""

    name: str
    schema: object = None
    """The JSON schema of its arguments, as it came: not necessarily an object."""
    namespace: str | None = None
    """The group that it was offered in, if any."""
    free_text: bool = False
    """Whether it takes any text instead of arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a tool."""

    name: str
    namespace: str | None = None
    free_text: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Empty when the tool takes free text."""
    text: str
    """The arguments as JSON, or the free text."""


def call_of(offered: Sequence[Tool], prompt: str) -> Call:
    """Return the call that answers `prompt`, of one of the tools if there is any."""
    tool = _chosen(offered)
    if tool.free_text:
        return Call(name=tool.name, namespace=tool.namespace, free_text=True, text=prompt)
    arguments = _arguments(tool.schema, prompt)
    return Call(
        name=tool.name,
        namespace=tool.namespace,
        arguments=arguments,
        text=msgspec.json.encode(arguments).decode(),
    )


def halves(text: str) -> tuple[str, str]:
    """Return two parts that join to `text`, as arguments stream."""
    middle = len(text) // 2
    return text[:middle], text[middle:]


def _chosen(offered: Sequence[Tool]) -> Tool:
    functions = [tool for tool in offered if not tool.free_text]
    for tool in functions:
        if tool.name in SHELLS:
            return tool
    return next(iter(functions or offered), Tool(name=LOOK_UP))


def _arguments(schema: object, prompt: str) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or "properties" not in schema:
        return {_PROMPT_NAME: prompt}
    return _Filling(schema, prompt).filled(schema, _DEEPEST)


class _Filling:
    """Fills a schema with the least that it accepts; a nonsensical schema gets something."""

    def __init__(self, root: _Schema, prompt: str) -> None:
        self._root = root
        self._prompt = prompt

    def filled(self, schema: _Schema, depth: int) -> dict[str, Any]:
        """Return what `schema` requires, and what it has for a command or the prompt."""
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        named = {name for name in required if isinstance(name, str)}
        wanted = [name for name in properties if name in named or name in _ALWAYS_FILLED]
        wanted += [name for name in required if name in named and name not in properties]
        return {name: self.value(name, properties.get(name), depth - 1) for name in wanted}

    def value(self, name: str, schema: object, depth: int) -> Any:
        """Return a value of the property `name`."""
        schema = self._simple(schema)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        match _type_of(schema):
            case "string":
                return self._text(name)
            case "integer" | "number":
                return 1
            case "boolean":
                return False
            case "null":
                return None
            case "array":
                if name in _COMMAND_NAMES:
                    return list(_ARGUMENT_VECTOR)
                if name == _COMMANDS_NAME and _are_texts(schema.get("items")):
                    return [COMMAND]
                return self._items(schema, depth)
            case _:
                return self.filled(schema, depth) if depth > 0 else {}

    def _text(self, name: str) -> str:
        if name in _COMMAND_NAMES:
            return COMMAND
        return self._prompt if name == _PROMPT_NAME else "demo"

    def _items(self, schema: _Schema, depth: int) -> list[Any]:
        least = schema.get("minItems")
        if not isinstance(least, int) or depth <= 0:
            return []
        return [self.value("", schema.get("items"), depth - 1)] * min(least, _MOST_ITEMS)

    def _simple(self, schema: object) -> _Schema:
        """Follow references and take the first alternative that is not null."""
        for _ in range(_LONGEST_REFERENCE):
            if not isinstance(schema, Mapping):
                break
            if isinstance(schema.get("$ref"), str):
                schema = self._referred(schema["$ref"])
                continue
            inner = next((schema[key] for key in _ALTERNATIVES if key in schema), None)
            if not isinstance(inner, list) or not inner:
                return schema
            schema = next((each for each in inner if not _is_null(each)), inner[0])
        return {"type": "string"}

    def _referred(self, reference: str) -> object:
        found: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step) if isinstance(found, Mapping) else None
        return found


def _are_texts(items: object) -> bool:
    return isinstance(items, Mapping) and _type_of(items) == "string"


def _type_of(schema: _Schema) -> object:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "string"
    return kind


def _is_null(schema: object) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"
