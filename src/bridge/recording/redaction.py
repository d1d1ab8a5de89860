"""Redaction: secrets leave a record before it is written anywhere, journal and log alike.

What the client and the provider exchange is not touched; only what is kept of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar, get_args

from msgspec.structs import replace

from bridge.domain.records import AnyRecord, Record, ToolResultBrought
from bridge.domain.secret_spans import SHORTEST_VALUE
from bridge.domain.secret_work import Work
from bridge.domain.secrets import Secrets

R = TypeVar("R", bound=Record)

_TEXTS = frozenset({"content", "error_message", "invocation_error", "prompt", "user_agent"})
_JSON = frozenset({"input"})
_MAPPINGS = frozenset({"metadata"})
_RESULTS = frozenset({"tool_results"})
_FIELDS: dict[type[Record], tuple[str, ...]] = {
    record: tuple(
        name for name in record.__struct_fields__ if name in _TEXTS | _JSON | _MAPPINGS | _RESULTS
    )
    for record in get_args(AnyRecord)
}
"""Per record, the members that say what people, models and providers said."""
_USUAL = frozenset({"metadata", "user_agent"})
"""Members that say the same few things time and again: names of counts, programs, a word or two."""
_DEEPEST = 16
_TOO_DEEP = "[redacted:too-deep]"


class Redacting(Protocol):
    """What takes the secrets out of records."""

    def redacted(
        self, record: R, own: Collection[str] = (), work: Work | None = None
    ) -> tuple[R, int]:
        """Return `record` without secrets, and how many there were.

        Args:
            record: about to be written down.
            own: credentials that came with the request.
            work: what may be judged of this record and others; beyond it texts go as a whole.

        Raises:
            Laborious: it is more than `work` allows, and that gives up; nothing was counted.
        """


class NoRedaction:
    """Leaves records as they are."""

    def redacted(
        self,
        record: R,
        own: Collection[str] = (),  # noqa: ARG002  # Redacting's
        work: Work | None = None,  # noqa: ARG002  # Redacting's
    ) -> tuple[R, int]:
        """Return `record`."""
        return record, 0


class Redaction:
    """Looks for secrets of all known kinds, and for the credentials that the bridge holds."""

    def __init__(self, secrets: Secrets) -> None:
        """Look for what `secrets` knows; see `hold`."""
        self._secrets = secrets
        self._held: tuple[str, ...] = ()
        self._held_before: tuple[str, ...] = ()
        self._known: tuple[str, ...] = ()

    def hold(self, values: Iterable[str]) -> None:
        """Look for these credentials too, and for those that were given the last time.

        Requests that began before a change are still answered about their own.
        """
        self._held_before = self._held
        self._held = tuple({value for value in values if len(value) >= SHORTEST_VALUE})
        self._known = (*self._held, *self._held_before)

    def redacted(
        self, record: R, own: Collection[str] = (), work: Work | None = None
    ) -> tuple[R, int]:
        """Return `record` without secrets, and how many there were."""
        values = (*self._known, *own) if own else self._known
        said: list[tuple[str, object]] = []
        texts: list[str] = []
        usual: list[str] = []
        flat = True
        for name in _FIELDS.get(type(record), ()):
            value = getattr(record, name)
            if value:
                said.append((name, value))
                flat = flat and _adds_texts(usual if name in _USUAL else texts, name, value)
        if flat and not self._secrets.may_be_in(texts, values, usual=usual):
            return record, 0
        work = work or Work()
        changed: dict[str, object] = {}
        count = 0
        for name, value in said:
            kept, found = self._kept(name, value, values, work)
            if found:
                changed[name] = kept
                count += found
        if not changed:
            return record, 0
        self._secrets.tell(work)
        return replace(record, **changed), count

    def _kept(
        self, name: str, value: object, values: Collection[str], work: Work
    ) -> tuple[object, int]:
        if name in _JSON and isinstance(value, str):
            return self._secrets.redacted_json(value, values, work)
        return self._value(value, values, work, 0)

    def _value(
        self, value: object, values: Collection[str], work: Work, depth: int
    ) -> tuple[object, int]:
        """Return JSON-like `value` with its strings redacted."""
        if isinstance(value, str):
            return self._secrets.redacted(value, values, work)
        if isinstance(value, ToolResultBrought):
            content, found = self._value(value.content, values, work, depth)
            return (replace(value, content=content), found) if found else (value, 0)
        if not isinstance(value, Mapping | list | tuple):
            return value, 0
        if depth >= _DEEPEST:
            return _TOO_DEEP, 1
        count = 0
        if isinstance(value, Mapping):
            members: dict[object, object] = {}
            for key, item in value.items():
                shown, found = self._value(key, values, work, depth + 1)
                members[shown], more = self._value(item, values, work, depth + 1)
                count += found + more
            return (members, count) if count else (value, 0)
        items = []
        for item in value:
            kept, found = self._value(item, values, work, depth + 1)
            items.append(kept)
            count += found
        return (items, count) if count else (value, 0)


def _adds_texts(texts: list[str], name: str, value: object) -> bool:
    """Add the strings of a record's member to `texts`; False when it is not as flat as mostly.

    In JSON secrets may hide in another spelling, so that is never looked at together with others.
    """
    if isinstance(value, str):
        texts.append(value)
        return name not in _JSON
    if not isinstance(value, dict):
        return False
    for key, item in value.items():
        if isinstance(item, str):
            texts.append(item)
        elif not isinstance(item, int | float | None):
            return False
        texts.append(key)
    return True
