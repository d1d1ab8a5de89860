"""Provider: where requests go, which of them may, and what authenticates them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.domain.identity import Credential, UserCredential
from bridge.domain.interception import Api, Traffic
from bridge.wire.headers import Header

GET = frozenset({b"GET", b"HEAD"})
POST = frozenset({b"POST"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One thing that a provider may be asked."""

    pattern: str
    """For people, records and metric labels, e.g. `/v1/models/*`."""
    methods: frozenset[bytes]
    traffic: Traffic
    api: Api | None
    """The dialect of an intercepted route; None for passthrough."""
    subtree: bool = False
    """Whether the `*` at the end of the pattern stands for any number of segments, not just one."""
    stored: bool = False
    """Whether the first segment that `*` stands for is the id of an object that the provider keeps,
    and under the organisation's key keeps for everybody."""
    builds_on_stored: bool = False
    """Whether the body of a passthrough may name such objects, as one of the Responses API does."""
    makes_stored: bool = False
    """Whether the answer of a passthrough names such an object that has just been made."""

    def matches(self, path: bytes) -> bool:
        """Return whether `path`, raw and safe, is this route's."""
        pattern = self.pattern.encode("ascii")
        if not pattern.endswith(b"*"):
            return path == pattern
        rest = path[len(pattern) - 1 :]
        return (
            path.startswith(pattern[:-1])
            and (self.subtree or b"/" not in rest)
            and rest.strip(b"/") != b""
        )

    def stored_id(self, path: bytes) -> str | None:
        """Return the id of the kept object that `path` is about, None when it is about none."""
        if not self.stored:
            return None
        rest = path[len(self.pattern) - 1 :]
        return rest.partition(b"/")[0].decode("ascii")


class Provider(Protocol):
    """A configured upstream. Knows no API's JSON, and nothing of recording."""

    @property
    def name(self) -> str:
        """The configured instance, first segment of its paths."""

    @property
    def origin(self) -> str:
        """`https://host[:port]` that all requests go to."""

    @property
    def error_api(self) -> Api:
        """The dialect of our own errors on this provider's paths where no route says another."""

    @property
    def routes(self) -> Sequence[Route]:
        """Everything that may be asked; the rest is 404."""

    @property
    def own_headers(self) -> Sequence[bytes]:
        """Lower-case names of the headers that may hold a user's own credential, best first."""

    def family(self, api: Api | None) -> str:
        """Return the wire family, what the `provider` column says, of a request in `api`."""

    def target(self, path_and_query: bytes) -> bytes:
        """Return the target upstream for what came after the provider's name, byte for byte."""

    def credential(self, own: UserCredential | None) -> Credential:
        """Choose what authenticates a request.

        Raises:
            Unauthenticated: the organisation has no key here and the user sent none.
        """

    def headers(self, own: Credential) -> Sequence[Header]:
        """Return what is sent upstream to authenticate, and to say on whose account."""
