"""The search language of lists: `model:claude-sonnet-4-5 client:"Claude Code" alice`.

Elements are separated by spaces; each is `key:value`, or a bare word, and all bare words together
name the initiator. A value with spaces or colons stands in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bridge.domain.errors import InvalidRequest, Validation
from bridge.domain.ids import day_of
from bridge.domain.interception import EndState, Traffic

RUNNING = "running"
"""The `status` of interceptions that have not ended; no others are listed with them."""

ENDED_WITHIN = timedelta(hours=2)
"""How long before `ended_after` an interception may have begun: there is no index of ends."""

_MAX_QUERY = 4096
_UUID_VERSION = 7
_ME = "me"
_FIELD_OF_QUERY = "q"
_STATUSES = (*(state.value for state in EndState), RUNNING)
_KINDS = tuple(kind.value for kind in Traffic)
_ELEMENT = re.compile(r'(?:"[^"]*"|[^\s"])+')
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)


class InvalidFilter(InvalidRequest):
    """A search that cannot be understood."""

    def __init__(self, validations: tuple[Validation, ...]) -> None:
        """Keep everything that is wrong with it."""
        super().__init__("Invalid search.", validations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which interceptions are wanted; None leaves a question open."""

    initiator_id: UUID | None = None
    initiator_name: str | None = None
    provider: str | None = None
    """Wire family."""
    provider_name: str | None = None
    """Configured instance."""
    model: str | None = None
    client: str | None = None
    session_id: str | None = None
    status: str | None = None
    """An end state, or RUNNING; None is any end state."""
    kind: str = Traffic.INTERCEPTED.value
    started_after: datetime | None = None
    """Inclusive."""
    started_before: datetime | None = None
    """Exclusive."""
    ended_after: datetime | None = None
    """Inclusive; finds only what began at most ENDED_WITHIN before."""


def parse(q: str, *, me: UUID | None = None) -> Filter:
    """Read a search.

    Args:
        q: as the user wrote it; "" finds everything.
        me: who `initiator:me` is.

    Raises:
        InvalidFilter: with all that is wrong.
    """
    if len(q) > _MAX_QUERY:
        raise InvalidFilter((_wrong(f"longer than {_MAX_QUERY} characters"),))
    problems: list[Validation] = []
    fields: dict[str, str] = {}
    words: list[str] = []
    if q.count('"') % 2:
        problems.append(_wrong('a " is never closed'))
    else:
        for key, value in _elements(q, problems):
            if key is None:
                words.append(value)
            elif key in fields:
                problems.append(Validation(field=key, detail="given more than once"))
            else:
                fields[key] = value
    if words and "initiator" in fields:
        detail = f"given more than once: also by the bare words {' '.join(words)!r}"
        problems.append(Validation(field="initiator", detail=detail))
    elif words:
        fields["initiator"] = " ".join(words)
    return _filter(fields, me, problems)


def filter_from(fields: Mapping[str, str], *, me: UUID | None = None) -> Filter:
    """Make a filter of `fields`, named like the keys of the search language.

    Raises:
        InvalidFilter: with all that is wrong.
    """
    return _filter(fields, me, [])


def with_initiator_called(q: str, name: str, other: str, *, bare: bool) -> str:
    """Return the text `q` with `other` for `name` where that is whom it searches for.

    Args:
        q: as somebody wrote it; it need not be a search that can be understood.
        name: of a user, exactly.
        other: what the user is called instead; needs no quotes.
        bare: a word without a key names the initiator, too.
    """

    def renamed(match: re.Match[str]) -> str:
        pieces = _outside_quotes(match.group())
        texts = [piece.replace('"', "") for piece in pieces]
        if bare and texts == [name]:
            return other
        if len(texts) == 2 and texts[0].lower() == "initiator" and texts[1] == name:
            return f"{pieces[0]}:{other}"
        return match.group()

    return _ELEMENT.sub(renamed, q)


def page_id(text: str) -> UUID:
    """Return the id after which a page begins; only ids that we could have made will do.

    Raises:
        InvalidFilter: it is none.
    """
    try:
        found: UUID | None = UUID(text)
        day_of(UUID(text))
    except (ValueError, OverflowError):
        found = None
    if found is None or found.version != _UUID_VERSION:
        detail = f"{text[:64]!r} is not the id of an interception"
        raise InvalidFilter((Validation(field="after_id", detail=detail),))
    return found


def _elements(q: str, problems: list[Validation]) -> Iterator[tuple[str | None, str]]:
    """Yield (key, value); the key is None for a bare word."""
    for match in _ELEMENT.finditer(q):
        element = match.group()
        pieces = _outside_quotes(element)
        texts = [piece.replace('"', "") for piece in pieces]
        if len(pieces) == 1:
            yield None, texts[0]
        elif not pieces[0] or not pieces[-1]:
            problems.append(_wrong(f"{element!r} must not begin or end with ':'"))
        elif len(pieces) > 2:
            detail = f"{element!r} has more than one ':'; put the value in double quotes"
            problems.append(_wrong(detail))
        else:
            yield texts[0].lower(), texts[1]


def _outside_quotes(element: str) -> list[str]:
    """Return what stands between the colons that are not in quotes."""
    pieces = [""]
    for number, part in enumerate(element.split('"')):
        quoted = number % 2 == 1
        first, *more = [part] if quoted else part.split(":")
        pieces[-1] += f'"{first}"' if quoted else first
        pieces.extend(more)
    return pieces


def _filter(fields: Mapping[str, str], me: UUID | None, problems: list[Validation]) -> Filter:
    members: dict[str, object] = {}
    for key, value in fields.items():
        read = _READ.get(key)
        if read is None:
            detail = f"not a key to search by; there are {', '.join(sorted(_READ))}"
            problems.append(Validation(field=key, detail=detail))
            continue
        try:
            members.update(_initiator(value, me) if key == "initiator" else {key: read(value)})
        except ValueError as error:
            problems.append(Validation(field=key, detail=str(error)))
    after, before = members.get("started_after"), members.get("started_before")
    if isinstance(after, datetime) and isinstance(before, datetime) and before <= after:
        detail = "must be later than started_after"
        problems.append(Validation(field="started_before", detail=detail))
    if problems:
        raise InvalidFilter(tuple(problems))
    return Filter(**members)  # type: ignore[arg-type]  # each reader gives its member's type


def _initiator(value: str, me: UUID | None) -> dict[str, object]:
    if value.lower() == _ME:
        if me is None:
            msg = "'me' is nobody here; name a user"
            raise ValueError(msg)
        return {"initiator_id": me}
    try:
        return {"initiator_id": UUID(value)}
    except ValueError:
        return {"initiator_name": _text(value)}


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        value = "\0"
    if "\0" in value:
        msg = "must be text, without NUL"
        raise ValueError(msg)
    return value


def moment(value: str) -> datetime:
    """Return the time that `value` says, in UTC.

    Raises:
        ValueError: it is none as in RFC 3339; the message says so.
    """
    try:
        if _RFC3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a 13th month, say: told like any other
    msg = f'{value!r} is not a time as in RFC 3339; write for example "2026-01-31T12:00:00Z"'
    raise ValueError(msg)


def _status(value: str) -> str:
    return _one_of(_STATUSES, value)


def _kind(value: str) -> str:
    return _one_of(_KINDS, value)


def _one_of(known: tuple[str, ...], value: str) -> str:
    if value in known:
        return value
    msg = f"{value!r} is none of {', '.join(known)}"
    raise ValueError(msg)


def _wrong(detail: str) -> Validation:
    return Validation(field=_FIELD_OF_QUERY, detail=detail)


_READ: Mapping[str, Callable[[str], object]] = {
    "initiator": _text,
    "provider": _text,
    "provider_name": _text,
    "model": _text,
    "client": _text,
    "session_id": _text,
    "status": _status,
    "kind": _kind,
    "started_after": moment,
    "started_before": moment,
    "ended_after": moment,
}
