"""A visit: one request of somebody who is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from bridge.domain.errors import Forbidden
from bridge.domain.identity import Actor, Role
from bridge.web.incoming import BridgeRequest


class Fields(dict[str, str]):
    """What a form or an address says; "" for what it does not say."""

    def __missing__(self, name: str) -> str:
        """Return what is said of something that is not there."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who asks for a page, from where, and with what."""

    request: BridgeRequest
    actor: Actor
    source: str
    """The client's address."""
    cookie: str
    """Of the session; never shown."""
    form_token: str
    """What forms of this session carry."""
    origin: str
    """`http://127.0.0.1:4001`, as the browser calls us."""
    query: Fields
    """Of the address: the first value of each name, empty ones left out."""
    form: Fields
    """What was sent, checked to be from a form of ours; empty for a GET."""

    @property
    def owner(self) -> bool:
        """Whether they manage."""
        return Role.OWNER in self.actor.roles

    @property
    def auditor(self) -> bool:
        """Whether they read everybody's records."""
        return Role.AUDITOR in self.actor.roles

    @property
    def visible_to(self) -> UUID | None:
        """Whose records they may see; None for everybody's."""
        return None if self.auditor else self.actor.id

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.request.path.decode("latin-1")

    def must_own(self) -> None:
        """Let owners pass.

        Raises:
            Forbidden: they are none.
        """
        if not self.owner:
            raise Forbidden("Only owners manage users.")

    def here(self, **changes: object) -> str:
        """Return the address of this page with parts of its query changed; None leaves one out."""
        query = {**self.query, **changes}
        kept = {name: str(value) for name, value in query.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path


def query_of(request: BridgeRequest) -> Fields:
    """Return the query of an address, with U+FFFD for what is not UTF-8."""
    args: Mapping[bytes, list[bytes]] = request.args
    return Fields(
        (name.decode("utf-8", "replace"), values[0].decode("utf-8", "replace").strip())
        for name, values in args.items()
        if values[0].strip()
    )
