"""The YAML file as a tree that remembers its lines, with every `${VAR}` filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_DEEPEST = 12
"""Options live at most four levels deep; what is deeper is refused before it can recurse."""
_MOST = 20_000
"""Values in a file; aliases of aliases could otherwise stand for billions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value in the file and where it stands."""

    value: object
    """A scalar, `list[Node]` or `dict[str, Node]`."""
    place: str
    """`etc/bridge.yaml:12`."""
    variables: tuple[str, ...] = ()
    """The environment's variables that a text was filled in from."""

    @property
    def members(self) -> Mapping[str, Node]:
        """The options in it, when it is a group; else none."""
        return self.value if isinstance(self.value, dict) else {}

    def find(self, path: str) -> Node | None:
        """Return the node at a dotted path below this one."""
        node: Node | None = self
        for name in path.split("."):
            node = node.members.get(name) if node else None
        return node

    def plain(self) -> object:
        """Return the value with the nodes of a list taken out of their shells."""
        if isinstance(self.value, list):
            return [item.value for item in self.value]
        return self.value


def load_document(path: Path, environ: Mapping[str, str], problems: list[str]) -> Node:
    """Return the content of a configuration file, every `${VAR}` filled in.

    What is wrong is appended to `problems`, a sentence each; the file counts as empty then.
    """
    empty = Node(value={}, place=str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        problems.append(f"{path}: there is no such configuration file")
        return empty
    except OSError as e:
        problems.append(f"{path}: cannot be read: {e.strerror or type(e).__name__}")
        return empty
    except UnicodeDecodeError:
        problems.append(f"{path}: is not UTF-8 text")
        return empty
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problems.append(f"{place}: is not YAML: {e.problem or e.context}")
        return empty
    except yaml.YAMLError:
        problems.append(f"{path}: is not YAML: it holds a character that YAML does not allow")
        return empty
    if root is None:
        return empty
    tree = _Reader(loader, path, environ, problems).node(root, "", 0)
    if not isinstance(tree.value, dict):
        problems.append(f"{path}: must be a group of options, one `name: value` a line")
        return empty
    return tree


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with each `${VAR}` and `${VAR:-default}` replaced; `$${` stands for `${`.

    Raises:
        ValueError: a variable is not set and has no default, or the reference is malformed.
    """

    def replacement(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        inner = _VARIABLE.fullmatch(found[1])
        if inner is None or not found[0].endswith("}"):
            msg = "holds ${ without a variable's name and }; write $${ for a literal ${"
            raise ValueError(msg)
        name, default = inner.groups()
        value = environ.get(name, "")
        if value or (default is None and name in environ):
            return value
        if default is None:
            msg = f"${{{name}}} is not set in the environment; write ${{{name}:-}} if it may be"
            raise ValueError(f"{msg} missing")
        return default

    return _REFERENCE.sub(replacement, text)


def _referred_to(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of the variables that `expand` takes something from."""
    for found in _REFERENCE.finditer(text):
        inner = _VARIABLE.fullmatch(found[1] or "")
        if inner is not None and environ.get(inner[1]):
            yield inner[1]


class _Reader:
    """Turns YAML's own nodes into ours, and says which keys are doubled or no texts."""

    def __init__(
        self, loader: yaml.SafeLoader, path: Path, environ: Mapping[str, str], problems: list[str]
    ) -> None:
        self._loader = loader
        self._path = path
        self._environ = environ
        self._problems = problems
        self._count = 0

    def node(self, node: yaml.Node, label: str, depth: int) -> Node:
        """Return our node for YAML's, `label` being its path for problems."""
        place = f"{self._path}:{node.start_mark.line + 1}"
        value: object = None
        variables: tuple[str, ...] = ()
        self._count += 1
        if self._count > _MOST:
            if self._count == _MOST + 1:
                self._problems.append(f"{self._path}: holds too many values")
        elif depth > _DEEPEST:
            self._problems.append(f"{label}: is nested too deeply ({place})")
        elif isinstance(node, yaml.MappingNode):
            value = dict(self._members(node, label, depth))
        elif isinstance(node, yaml.SequenceNode):
            value = [
                self.node(item, f"{label}[{n}]", depth + 1) for n, item in enumerate(node.value)
            ]
        else:
            value = self._scalar(node, label, place)
            variables = tuple(_referred_to(str(node.value), self._environ))
        return Node(value=value, place=place, variables=variables)

    def _members(
        self, node: yaml.MappingNode, label: str, depth: int
    ) -> Iterator[tuple[str, Node]]:
        seen: set[str] = set()
        for key, value in node.value:
            place = f"{self._path}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                self._problems.append(f"{label or 'the file'}: has a key that is no text ({place})")
                continue
            name = str(key.value)
            path = f"{label}.{name}" if label else name
            if name in seen:
                self._problems.append(f"{path}: is written twice ({place})")
            seen.add(name)
            yield name, self.node(value, path, depth + 1)

    def _scalar(self, node: yaml.Node, label: str, place: str) -> object:
        try:
            value = self._loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError):
            self._problems.append(f"{label}: is not a value that YAML understands ({place})")
            return None
        if not isinstance(value, str):
            return value
        try:
            return expand(value, self._environ)
        except ValueError as e:
            self._problems.append(f"{label}: {e} ({place})")
            return None
