"""Endpoints of the management API, each declared once: route, parameters, answer, errors.

From the declaration come the route under every prefix, the check of query and body, and the
OpenAPI description (`web.openapi`). To add one, write a coroutine that takes an `Asked` and
returns a msgspec value (or bytes, after setting its own headers), and add an `Endpoint` for it to
the list in `web.management`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from bridge.domain.errors import Forbidden, InvalidRequest, Validation
from bridge.domain.identity import Actor, Role
from bridge.store.filters import moment
from bridge.web.access import Access
from bridge.web.incoming import BridgeRequest
from bridge.web.router import Router

MAX_OFFSET = 10_000_000
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something that a caller may say in the query, or says in the path."""

    name: str
    description: str
    schema: Mapping[str, object]
    """JSON Schema of the value."""
    where: Literal["query", "path"] = "query"
    with_slashes: bool = False
    """Only in a path: the value is the rest of it, slashes included."""
    required: bool = False
    """Nothing is a 400; always so in a path."""
    decides: bool = False
    """Without it the answer may be a 409: several users have what is asked for."""

    @property
    def longest(self) -> int | None:
        """How many characters the value may have; None for any number."""
        most = self.schema.get("maxLength")
        return most if isinstance(most, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request to an endpoint, checked against its declaration."""

    request: BridgeRequest
    actor: Actor
    path: Mapping[str, str]
    """Values of the parameters in the path."""
    query: Mapping[str, str]
    """Values of those in the query that were given."""
    body: Any = None
    """Of the type that the endpoint takes; None where it takes none."""

    @property
    def visible_to(self) -> UUID | None:
        """Whose records may be seen; None for everybody's."""
        return None if Role.AUDITOR in self.actor.roles else self.actor.id

    def text(self, name: str) -> str:
        """Return a parameter of the query, "" when it was not given."""
        return self.query.get(name, "")

    def limit(self, *, default: int, most: int) -> int:
        """Return `limit`; nothing and 0 are the default.

        Raises:
            InvalidRequest: it is no number from 0 to `most`.
        """
        return self._number("limit", most, "0 (the default)") or default

    def offset(self) -> int:
        """Return `offset`; nothing is 0.

        Raises:
            InvalidRequest: it is no number from 0 to MAX_OFFSET.
        """
        return self._number("offset", MAX_OFFSET, "0")

    def uuid(self, name: str) -> UUID | None:
        """Return a parameter that is an id; None when it was not given, or is empty.

        Raises:
            InvalidRequest: it is no UUID.
        """
        text = self.text(name)
        if not text:
            return None
        try:
            found: UUID | None = UUID(text)
        except ValueError:
            found = None
        if found is None or str(found) != text.lower():  # UUID takes other forms too
            raise wrong(name, f"{text[:64]!r} is not a UUID")
        return found

    def moment(self, name: str) -> datetime | None:
        """Return a parameter that is a time; None when it was not given, or is empty.

        Raises:
            InvalidRequest: it is no time as in RFC 3339.
        """
        text = self.text(name)
        try:
            return moment(text) if text else None
        except ValueError as error:
            raise wrong(name, str(error)) from None

    def _number(self, name: str, most: int, least: str) -> int:
        text = self.text(name)
        if not text:
            return 0
        if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= most:
            return int(text)
        raise wrong(name, f"must be a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path and method."""

    name: str
    """Unique: the operationId."""
    path: str
    """Below the prefixes, parameters in braces: `/sessions/{session_id}`."""
    summary: str
    """One sentence."""
    answer: Callable[[Asked], Awaitable[object]]
    """Gives what `returns` says; raises BridgeError."""
    returns: object
    """A type that msgspec knows, of the JSON that is answered."""
    parameters: Sequence[Parameter] = ()
    method: str = "GET"
    takes: type | None = None
    """Type of the JSON in the request's body; None for no body."""
    roles: frozenset[Role] = frozenset()
    """Only for users who have one of them; empty for everybody."""
    media: Sequence[str] = ("application/json",)
    """Types that the answer may have; those that are not JSON are written by `answer` itself."""
    not_found: str = ""
    """What a 404 means; "" when there is none."""
    conflict: str = ""
    """What a 409 means; "" when there is none, but for parameters that decide."""
    status: int = 200
    """Of an answer that is no error."""

    @property
    def rule(self) -> str:
        """The path as a rule for Klein."""
        kinds = {each.name: "rest:" if each.with_slashes else "" for each in self.parameters}
        return _PLACE.sub(lambda found: f"<{kinds[found[1]]}{found[1]}>", self.path)


LIMIT = "At most so many; 0 is the default."


def limit(default: int, most: int) -> Parameter:
    """Return the parameter `limit`."""
    schema = {"type": "integer", "minimum": 0, "maximum": most, "default": default}
    return Parameter(name="limit", description=LIMIT, schema=schema)


UUID_OR_NOTHING: Mapping[str, object] = {
    "anyOf": [{"type": "string", "format": "uuid"}, {"const": ""}]
}
"""Schema of an id in the query."""
OFFSET = Parameter(
    name="offset",
    description="So many are left out first. Asking for what comes after the last one is faster.",
    schema={"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
)


def wrong(field: str, detail: str) -> InvalidRequest:
    """Return the error that says what is wrong with one parameter."""
    return InvalidRequest("The query cannot be read.", [Validation(field=field, detail=detail)])


def serve(
    app: Router, access: Access, endpoints: Sequence[Endpoint], prefixes: Sequence[bytes]
) -> None:
    """Add routes for `endpoints` to `app`, under each of the prefixes."""
    for endpoint in endpoints:
        handler = _handler(app, access, endpoint)
        for prefix in prefixes:
            rule = prefix.decode("ascii") + endpoint.rule
            app.route(rule, methods=[endpoint.method])(handler)


def _handler(app: Router, access: Access, endpoint: Endpoint) -> Callable[..., Awaitable[bytes]]:
    async def handler(request: BridgeRequest, **path: str) -> bytes:
        actor = access.manager(request)
        try:
            _must_have_role(actor, endpoint)
            asked = Asked(
                request=request,
                actor=actor,
                path=path,
                query=_query(request, endpoint),
                body=_body(request, endpoint),
            )
            found = await endpoint.answer(asked)
        except Forbidden as error:
            access.refused(request, error, actor)
            raise
        return (
            found if isinstance(found, bytes) else app.json(request, found, status=endpoint.status)
        )

    handler.__name__ = endpoint.name
    return handler


def _must_have_role(actor: Actor, endpoint: Endpoint) -> None:
    if endpoint.roles and not endpoint.roles & actor.roles:
        names = " or ".join(sorted(role.value for role in endpoint.roles))
        raise Forbidden(f"This is for users with the role {names}.")


def _query(request: BridgeRequest, endpoint: Endpoint) -> Mapping[str, str]:
    """Return what is asked, or say everything that is wrong with it."""
    known = {each.name: each for each in endpoint.parameters if each.where == "query"}
    args: Mapping[bytes, list[bytes]] = request.args
    problems: list[Validation] = []
    found: dict[str, str] = {}
    for key, values in args.items():
        name = key.decode("utf-8", "replace")
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there are none"
            detail = f"not a parameter; {there}"
            problems.append(Validation(field=name[:64], detail=detail))
        elif len(values) > 1:
            problems.append(Validation(field=name, detail="given more than once"))
        else:
            try:
                found[name] = values[0].decode("utf-8")
            except UnicodeDecodeError:
                problems.append(Validation(field=name, detail="must be UTF-8"))
                continue
            most = known[name].longest
            if most is not None and len(found[name]) > most:
                problems.append(Validation(field=name, detail=f"longer than {most} characters"))
    if problems:
        raise InvalidRequest("The query cannot be read.", problems)
    return found


def _body(request: BridgeRequest, endpoint: Endpoint) -> object:
    """Return what the body says.

    Raises:
        InvalidRequest: it is not what the endpoint takes.
    """
    if endpoint.takes is None:
        return None
    try:
        return msgspec.json.decode(request.body.content, type=endpoint.takes)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        sentence, _, path = str(error).partition(" - at `$")
        problem = Validation(field=path.strip(".`") or "body", detail=sentence)
        raise InvalidRequest(f"The body cannot be read: {error}", [problem]) from None
