"""Provider: where requests go, which of them may, and what authenticates them there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

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
    runs_model: bool = False
    """Whether a passthrough costs what an intercepted request does, and counts as one."""
    error_api: Api | None = None
    """The dialect of our own errors on a passthrough; None for the provider's."""
    subtree: bool = False
    """Whether the `*` at the end of the pattern stands for any number of segments, not just one."""
    own_credential_only: bool = False
    """Whether the organisation's credential is never sent here, because of what it could do."""
    stored: bool = False
    """Whether the first segment that `*` stands for is the id of an object that the provider keeps,
    and under the organisation's key keeps for everybody."""
    builds_in: Api | None = None
    """The dialect in which the body of a passthrough may name such objects."""
    makes_in: Api | None = None
    """The dialect in which the answer of a passthrough names one that has just been made."""
    refuses_websocket: bool = False
    """Whether clients may try a WebSocket here first, and have to hear that there is none."""
    shape: re.Pattern[bytes] | None = None
    """Matches this route's paths whole, where a `*` stands before the end of the pattern."""

    @property
    def counts(self) -> bool:
        """Whether a request here counts against a user's limits."""
        return self.api is not None or self.runs_model

    @property
    def request_api(self) -> Api | None:
        """The dialect that the body is read in; None when it is not read."""
        return self.api or self.builds_in

    @property
    def answer_api(self) -> Api | None:
        """The dialect that the answer is read in; None when it is not read."""
        return self.api or self.makes_in

    def matches(self, path: bytes) -> bool:
        """Return whether `path`, raw and safe, is this route's."""
        if self.shape is not None:
            return self.shape.fullmatch(path) is not None
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


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is asked, before it says where and in whose name."""

    method: bytes
    path_and_query: bytes
    """What came after the provider's name, byte for byte."""
    headers: Sequence[Header]
    """Those of the client that pass; nothing in them authenticates."""
    body: bytes
    model: str
    """"" when the request names none."""
    streaming: bool


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The same as it goes upstream."""

    target: bytes
    """Path and query."""
    headers: Sequence[Header]
    body: bytes


class Frames(Protocol):
    """Turns an answer's bytes into server-sent events, where a provider frames them otherwise."""

    for_client: bool
    """Whether the client gets the events too; else it gets the provider's bytes as they came."""

    def feed(self, chunk: bytes) -> bytes:
        """Take upstream's next bytes; return the events that they complete."""

    def finish(self) -> bytes:
        """Say that upstream has ended; return what that completes, an error event of a cut one."""


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
    def encoded_slash_in(self) -> re.Pattern[bytes] | None:
        """Whole paths in which `%2F` is part of a name; None for nowhere."""

    @property
    def rewords_errors(self) -> bool:
        """Whether `error_body` has to see errors."""

    @property
    def own_headers(self) -> Sequence[bytes]:
        """Lower-case names of the headers that may hold a user's own credential, best first."""

    def family(self, api: Api | None) -> str:
        """Return the wire family, what the `provider` column says, of a request in `api`."""

    def target(self, path_and_query: bytes) -> bytes:
        """Return the target upstream for what came after the provider's name, byte for byte."""

    @property
    def credentials(self) -> Sequence[Credential]:
        """The organisation's, best first; the same for as long as the provider lives."""

    def credential(self, own: UserCredential | None) -> Credential:
        """Return the user's own credential if there is one, else the best of the organisation's.

        Raises:
            Unauthenticated: the organisation has none here and the user sent none.
        """

    def named_in_path(self, path: bytes) -> tuple[str, bool] | None:
        """Return the model that a path names, and whether it asks for a stream; mostly None."""

    def sent_model(self, asked: Asked) -> str:
        """Return what the model that is asked for is called upstream."""

    def slow_to_prepare(self, asked: Asked) -> bool:
        """Return whether `prepare` takes longer than the reactor may be kept."""

    def prepare(self, asked: Asked, credential: Credential) -> Prepared:
        """Return a request as it goes upstream, in the name of `credential`.

        Where `slow_to_prepare` says so it is called in a thread.

        Raises:
            BadRequest: it cannot be said in the provider's words.
            PayloadTooLarge: likewise, because its body unpacks to more than is allowed.
            Unavailable: what signs it is not to be had at the moment.
        """

    def frames(self, route: Route, content_type: bytes | None) -> Frames | None:
        """Return what reads an answer that is framed in another way than its API; mostly None."""

    def error_body(
        self, route: Route, status: int, headers: Sequence[Header], body: bytes
    ) -> tuple[int, bytes] | None:
        """Return status and body of an error in the words of `route`'s API; None to pass it."""

    def start(self) -> None:
        """Begin to look after credentials that have to be renewed."""

    async def close(self) -> None:
        """Look after nothing any more."""
