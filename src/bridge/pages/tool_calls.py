"""Tool calls as people read them: edits as differences, commands as commands, the rest as JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from bridge.pages.excerpts import Excerpt

_PATHS = ("file_path", "filePath", "path", "notebook_path", "filename")
_OLD = ("old_string", "oldString", "old_str")
_NEW = ("new_string", "newString", "new_str", "new_source")
_WHOLE = ("content", "file_text", "contents")
_COMMANDS = ("command", "cmd", "script")
_PATCHES = ("patch", "input", "patchText", "patch_text")
_PATCH_BEGIN = "*** Begin Patch"
_SHORT = 120
_MOST_LINES = 600
# Comparing costs the product of the lines; longer texts are shown as taken out and put in.


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a difference."""

    kind: str
    """`add`, `del`, `hunk` or `same`."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCall:
    """What is shown of a tool call."""

    target: str
    """The file it is about; "" for none."""
    command: str
    """What is run; "" for nothing."""
    lines: Sequence[Line]
    """What it changes."""
    also: Sequence[tuple[str, str]]
    """The other arguments, where all of them are short: names and values."""
    rest: str
    """The other arguments else, as JSON; all of them where nothing is known of them."""
    cut: bool
    """Whether the arguments are longer than what is shown."""


def shown_call(arguments: Excerpt) -> ShownCall:
    """Return how a call with `arguments` is shown."""
    if arguments.cut:
        return _plain(arguments.text, cut=True)
    try:
        given = json.loads(arguments.text)
    except ValueError:
        given = None
    except RecursionError:
        given = None
    if not isinstance(given, dict):
        if _PATCH_BEGIN in arguments.text and not isinstance(given, list):
            patch = given if isinstance(given, str) else arguments.text
            return _call(lines=list(_patch_lines(patch)))
        return _plain(arguments.text if given is None else _json(given))
    return _from_members(dict(given))


def _from_members(given: dict[str, object]) -> ShownCall:
    target = _taken(given, _PATHS)
    lines: list[Line] = []
    command = ""
    if (edit := _edit(given)) is not None:
        lines += difference(*edit)
    elif isinstance(edits := given.get("edits"), list) and edits:
        read = [_edit(dict(each)) if isinstance(each, dict) else None for each in edits]
        if all(each is not None for each in read):
            del given["edits"]
            for number, each in enumerate(read, 1):
                lines.append(Line(kind="hunk", text=f"Edit {number} of {len(read)}"))
                lines += difference(*each) if each is not None else ()
    elif patch_name := next((name for name in _PATCHES if _is_patch(given.get(name))), ""):
        lines += _patch_lines(str(given.pop(patch_name)))
    elif target and (whole := _taken(given, _WHOLE)):
        lines += (Line(kind="add", text=line) for line in whole.splitlines())
    if not lines:
        command = _command(given)
        if _PATCH_BEGIN in command:
            lines, command = list(_patch_lines(command)), ""
    known = bool(target or command or lines)
    also = _short(given) if known else None
    return _call(
        target=target,
        command=command,
        lines=lines,
        also=also or (),
        rest=_json(given) if also is None else "",
    )


def difference(old: str, new: str) -> Sequence[Line]:
    """Return how `old` becomes `new`, with a few lines around each change."""
    before, after = old.splitlines(), new.splitlines()
    if len(before) > _MOST_LINES or len(after) > _MOST_LINES:
        return [
            *(Line(kind="del", text=line) for line in before),
            *(Line(kind="add", text=line) for line in after),
        ]
    # The first two lines name files, and there are none.
    found = islice(difflib.unified_diff(before, after, lineterm="", n=3), 2, None)
    return [_line(line) for line in found]


def _patch_lines(patch: str) -> Iterator[Line]:
    begin = patch.find(_PATCH_BEGIN)
    for line in patch[max(begin, 0) :].splitlines():
        if line.startswith(("*** ", "@@")):
            yield Line(kind="hunk", text=line)
        else:
            yield _line(line)


def _line(line: str) -> Line:
    kind = {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "same")
    return Line(kind=kind, text=line if kind == "hunk" else line[1:])


def _edit(given: dict[str, object]) -> tuple[str, str] | None:
    """Take old and new text out of `given`; None, and nothing taken, when they are not there."""
    old = next((name for name in _OLD if isinstance(given.get(name), str)), None)
    new = next((name for name in _NEW if isinstance(given.get(name), str)), None)
    if new is None or (old is None and new != "new_source"):
        return None
    return str(given.pop(old)) if old is not None else "", str(given.pop(new))


def _short(given: Mapping[str, object]) -> Sequence[tuple[str, str]] | None:
    """Return names and values when all of them fit into a line or two."""
    found = []
    for name, value in given.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, (dict, list)) or "\n" in text or len(text) > _SHORT:
            return None
        found.append((name, text))
    return found


def _command(given: dict[str, object]) -> str:
    for name in _COMMANDS:
        value = given.get(name)
        if isinstance(value, str) and value:
            del given[name]
            return value
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            del given[name]
            words = [str(each) for each in value]
            # A shell that is only there to run one text says nothing of its own.
            if len(words) == 3 and words[1] in ("-c", "-lc"):
                return words[2]
            return " ".join(words)
    return ""


def _taken(given: dict[str, object], names: Sequence[str]) -> str:
    for name in names:
        value = given.get(name)
        if isinstance(value, str) and value:
            del given[name]
            return value
    return ""


def _is_patch(value: object) -> bool:
    return isinstance(value, str) and _PATCH_BEGIN in value


def _plain(text: str, *, cut: bool = False) -> ShownCall:
    return _call(rest=text, cut=cut)


def _call(
    *,
    target: str = "",
    command: str = "",
    lines: Sequence[Line] = (),
    also: Sequence[tuple[str, str]] = (),
    rest: str = "",
    cut: bool = False,
) -> ShownCall:
    return ShownCall(target=target, command=command, lines=lines, also=also, rest=rest, cut=cut)


def _json(value: Mapping[str, object] | object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
