"""The tree of errors that we answer ourselves; an upstream's 4xx or 5xx is an answer, not an error.

A BridgeError says what is wrong; the caller's dialect decides how it looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from bridge.domain.identity import Holder


class BridgeError(Exception):
    """An error whose message is safe for the client: no paths, SQL, keys or upstream hosts."""

    status: ClassVar[int] = 500
    """HTTP status."""
    code: ClassVar[str] = "internal"
    """Our neutral name; each dialect maps it to its own error type."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep the sentence for the client and, where it helps, the seconds to wait."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class BadRequest(BridgeError):
    """The request cannot be read."""

    status = 400
    code = "bad_request"


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with what a caller asked."""

    field: str
    detail: str


class InvalidRequest(BadRequest):
    """A request of which several things are wrong, each named."""

    def __init__(self, message: str, validations: Sequence[Validation]) -> None:
        """Keep the sentence and what is wrong with which field."""
        super().__init__(message)
        self.validations = tuple(validations)


class Unauthenticated(BridgeError):
    """No token, or not one of ours, or no longer good."""

    status = 401
    code = "unauthenticated"

    def __init__(self, message: str, *, holder: Holder | None = None) -> None:
        """Keep the sentence and, of a token that was good once, whose it is."""
        super().__init__(message)
        self.holder = holder


class Forbidden(BridgeError):
    """Known, but not allowed."""

    status = 403
    code = "forbidden"


class NotFound(BridgeError):
    """Nothing there that the caller may see."""

    status = 404
    code = "not_found"


class Conflict(BridgeError):
    """Something else is there already."""

    status = 409
    code = "conflict"


class UpgradeRefused(BridgeError):
    """Another protocol was asked for on this connection; clients then speak HTTP at once."""

    status = 426
    code = "upgrade_refused"


class PayloadTooLarge(BridgeError):
    """The body is over the limit."""

    status = 413
    code = "too_large"


class RateLimited(BridgeError):
    """Too many requests from this caller."""

    status = 429
    code = "rate_limited"


class Overloaded(BridgeError):
    """No room now: capacity, memory, draining."""

    status = 503
    code = "overloaded"


class Unavailable(BridgeError):
    """Switched off, or the journal cannot take a record."""

    status = 503
    code = "unavailable"


class UpstreamUnreachable(BridgeError):
    """No connection to the provider, or it broke before an answer."""

    status = 502
    code = "upstream_unreachable"


class UpstreamTimedOut(BridgeError):
    """The provider did not answer within a limit."""

    status = 504
    code = "upstream_timeout"


class UpstreamNotConnected(UpstreamTimedOut):
    """There was no connection within a limit, so the provider has not heard of the request."""


class UpstreamBroke(BridgeError):
    """The provider's answer ended before it was complete."""

    status = 502
    code = "upstream_broke"


class InternalError(BridgeError):
    """Our own fault."""

    status = 500
    code = "internal"
