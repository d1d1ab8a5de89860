"""The Klein app that everything is served by: no HTML, no redirects, no error after the first byte.

What Klein does by itself and why it must not is in the comments: it answers HTML for what it does
not know, redirects `//`, and appends an error's body to a half-sent answer (then ends it cleanly).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, TypeVar, cast

import msgspec
import structlog
from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import BaseConverter

from bridge.domain.errors import (
    BadRequest,
    BridgeError,
    InternalError,
    InvalidRequest,
    NotFound,
    Validation,
)

REQUEST_ID_HEADER = b"x-aibridge-request-id"
"""On every answer of ours; the caller's name for what the log says about it."""

_log = structlog.get_logger("bridge.web")

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every management error."""

    message: str
    detail: str = ""
    validations: Sequence[Validation] = ()


class Router(Klein):
    """A Klein app with JSON errors in the shape `{message, detail, validations}`.

    Every app of ours is one: a child does not use its parent's error handlers. A subclass may
    answer errors in another shape by overriding `error_body`.
    """

    def __init__(self) -> None:
        """Make an app without routes; Klein makes one more for every object that it is bound to."""
        super().__init__()
        self.url_map.converters["rest"] = _Rest
        self.nothing_here: Callable[[], str] = lambda: "There is nothing at this path."
        """What is said where no route is; whoever knows more may put its own here."""
        # Klein passes (request, failure), with the object that owns the app before them if any.
        self.handle_errors(Exception)(lambda *given: self._answer(given[-2], given[-1]))

    def route(self, url: str, *args: Any, **kwargs: Any) -> Callable[[Handler], Handler]:
        """Add a handler for exactly `url`: no redirects for doubled or trailing slashes."""
        kwargs.setdefault("merge_slashes", False)
        kwargs.setdefault("strict_slashes", False)
        return super().route(url, *args, **kwargs)

    def resource(self) -> KleinResource:
        """Return the resource that serves this app."""
        return _RouterResource(self)

    @staticmethod
    def json(
        request: Request,
        value: object,
        *,
        status: int = 200,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> bytes:
        """Return `value` as JSON; see `json_answer`."""
        return json_answer(request, value, status=status, headers=headers)

    def error_body(self, request: Request, error: BridgeError) -> bytes:
        """Return the body for `error` after setting status and headers."""
        return problem_answer(request, error)

    def _answer(self, request: Request, failure: Failure) -> bytes | None:
        error = failure.value
        if isinstance(error, CancelledError):
            return None  # the client has left: nobody listens
        if isinstance(error, HTTPException):
            answer = _unrouted(request, error, self.nothing_here)
        else:
            answer = as_bridge_error(request, error)
        if request.startedWriting:
            _log.info("answer cut off", request_id=request_id(request), reason=answer.message)
            cut_off(request)
            return None
        return self.error_body(request, answer)


class _Rest(BaseConverter):
    """The rest of a path as `<rest:name>`: with slashes, and line feeds, which `path` refuses."""

    part_isolating = False
    regex = "(?s:.+?)"


class MethodNotTaken(NotFound):
    """The path is there, the method is not."""

    status = 405


class _RouterResource(KleinResource):
    """Answers for itself what Klein would answer in HTML, or not at all."""

    def __init__(self, router: Router) -> None:
        """Serve `router`."""
        super().__init__(router)
        self._router = router

    def render(self, request: IRequest) -> Any:
        """Route `request`; a path, method or host that cannot even be routed is a 400."""
        served = cast("Request", request)
        try:
            b"/".join([served.method, *(served.prepath or ()), *(served.postpath or ())]).decode(
                "utf-8"
            )
            served.getRequestHostname().decode("utf-8")
            return super().render(request)
        except UnicodeDecodeError:
            error = BadRequest("The path, the method or the Host header is not valid UTF-8.")
        except HTTPException:
            # Raised by werkzeug before there is anything to route: a Host that is no host name.
            error = BadRequest("The Host header is not a host name.")
        return self._router.error_body(served, error)


def json_answer(
    request: Request,
    value: object,
    *,
    status: int = 200,
    headers: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """Return `value` as JSON after setting the answer's status and headers.

    Nothing here may be cached or guessed at: `no-store` and `nosniff`.
    """
    body = msgspec.json.encode(value)
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(body))
    for name, text in (headers or {}).items():
        request.setHeader(name, text)
    # The body of a HEAD is dropped by twisted.web; its length is kept.
    return body


def problem_answer(request: Request, error: BridgeError) -> bytes:
    """Return `error` as JSON in the management shape, with Retry-After where it helps."""
    headers = {}
    if error.retry_after is not None:
        headers[b"retry-after"] = b"%d" % max(1, ceil(error.retry_after))
    if error.status == 401:
        headers[b"www-authenticate"] = b'Bearer realm="aibridge"'
    validations = error.validations if isinstance(error, InvalidRequest) else ()
    return json_answer(
        request,
        Problem(message=error.message, validations=validations),
        status=error.status,
        headers=headers,
    )


def request_id(request: Request) -> str:
    """Return the id under which our answer and our log speak of `request`; "" when it has none."""
    values = request.responseHeaders.getRawHeaders(REQUEST_ID_HEADER)
    return values[0].decode("ascii", "replace") if values else ""


def cut_off(request: Request) -> None:
    """End an answer that has begun so that the client sees that it is not whole."""
    # `channel` is None after a disconnect and gone after finish().
    channel = getattr(request, "channel", None)
    if channel is not None:
        with contextlib.suppress(AttributeError):
            channel.forceAbortClient()


def _unrouted(
    request: Request, error: HTTPException, nothing_here: Callable[[], str]
) -> BridgeError:
    if isinstance(error, MethodNotAllowed):
        request.setHeader(b"allow", ", ".join(sorted(error.valid_methods or ())).encode("ascii"))
        return MethodNotTaken("This path does not take this method.")
    if error.code is not None and error.code != 404 and 400 <= error.code < 500:
        return BadRequest("The request cannot be read.")
    return NotFound(nothing_here())


def as_bridge_error(request: Request, error: BaseException | None) -> BridgeError:
    """Return what may be said about `error`; the rest goes to the log, once."""
    identifier = request_id(request)
    if isinstance(error, BridgeError):
        if error.__cause__ is not None:
            _log.warning(
                "request refused", request_id=identifier, status=error.status, exc_info=error
            )
        return error
    _log.error(
        "request failed",
        request_id=identifier,
        method=request.method.decode("latin-1"),
        path=request.path.decode("latin-1"),
        exc_info=error,
    )
    about = f" Mention {identifier} when you ask for help." if identifier else ""
    return InternalError(f"The bridge failed to answer; its log says why.{about}")
