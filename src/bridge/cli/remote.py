"""A bridge reached over its management API: one request at a time, errors as sentences.

Blocks, and needs no reactor: a command asks and waits.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click
import msgspec

from bridge.domain.identity import Secret

T = TypeVar("T")

AWAY_EXIT = 3
"""The bridge or its database cannot be reached."""
REFUSED_EXIT = 4
"""The token is not accepted, or does not allow that."""
USAGE_EXIT = 2
SECONDS = 60.0
"""Limit of every single wait for the bridge."""

_API = "/api/v2/aibridge"
_TYPES = ("application/json", "application/x-ndjson", "text/csv")
_DONE = (200, 201)
_PIECE = 1 << 16
_LARGEST_ERROR = 1 << 20
_TOKEN = re.compile(r"[\x21-\x7e]+")


class RemoteError(click.ClickException):
    """Why a bridge did not answer as it should; the message is for the terminal."""

    def __init__(self, message: str, *, exit_code: int, status: int | None = None) -> None:
        """Keep sentence and exit code, and the status of HTTP where there was an answer."""
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance
        self.status = status


class _Validation(msgspec.Struct):
    field: str = ""
    detail: str = ""


class _Problem(msgspec.Struct):
    """The body of an error of the management API."""

    message: str
    detail: str = ""
    validations: tuple[_Validation, ...] = ()


class Remote:
    """One bridge, asked in the name of one token."""

    def __init__(self, *, url: str, token: Secret, insecure: bool = False) -> None:
        """Connect to nothing yet.

        Args:
            url: `https://host[:port]`, with a path if the bridge is served below one.
            token: of scope manage.
            insecure: send the token over plain HTTP to another machine all the same.

        Raises:
            RemoteError: the URL or the token is none.
        """
        parts = urlsplit(url if "://" in url else f"https://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise RemoteError(f"{url!r} is no URL of a bridge.", exit_code=USAGE_EXIT)
        if parts.username is not None or parts.query or parts.fragment:
            msg = "The URL of a bridge has no user, query or fragment; the token stands elsewhere."
            raise RemoteError(msg, exit_code=USAGE_EXIT)
        if parts.scheme == "http" and not _loopback(parts.hostname) and not insecure:
            msg = (
                f"{parts.scheme}://{parts.netloc} would carry the token unprotected; use https "
                "(AIBRIDGE_INSECURE=true allows it)."
            )
            raise RemoteError(msg, exit_code=USAGE_EXIT)
        if not _TOKEN.fullmatch(token.reveal()):
            raise RemoteError("That is no token.", exit_code=USAGE_EXIT)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._base = parts.path.rstrip("/").removesuffix(_API) + _API
        self._token = token

    def get(self, path: str, params: Mapping[str, str], returns: type[T]) -> T:
        """Return the answer to `GET path`.

        Raises:
            RemoteError: there is none, or it is none of a bridge of this version.
        """
        return self.ask("GET", path, params, None, returns)

    def ask(
        self, method: str, path: str, params: Mapping[str, str], body: object, returns: type[T]
    ) -> T:
        """Return the answer to `method path`, sent once.

        Args:
            method: of HTTP.
            path: below the API's prefix.
            params: of the query.
            body: sent as JSON; None sends nothing.
            returns: what the answer's JSON is.

        Raises:
            RemoteError: there is none, or it is none of a bridge of this version. What was to be
                changed may have been changed all the same when the bridge broke off.
        """
        with self._answer(method, path, params, body) as response:
            answer = self._read(response)
        try:
            return msgspec.json.decode(answer, type=returns)
        except msgspec.MsgspecError as error:
            msg = f"What {self.origin} answers is not understood; is it of another version?"
            raise RemoteError(msg, exit_code=1) from error

    @contextmanager
    def stream(
        self, path: str, params: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """Give headers and body of the answer to `GET path`, the body in pieces as they come.

        Raises:
            RemoteError: there is none, or, from the iterator, it broke off.
        """
        with self._answer("GET", path, params, None) as response:
            yield (
                {name.lower(): value for name, value in response.getheaders()},
                self._pieces(response),
            )

    @contextmanager
    def _answer(
        self, method: str, path: str, params: Mapping[str, str], body: object
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        target = self._base + quote(path)
        if params:
            target += f"?{urlencode(params)}"
        headers = {
            "Authorization": f"Bearer {self._token.reveal()}",
            "Accept": "*/*",
            "User-Agent": "aibridge",
        }
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        try:
            try:
                connection.request(method, target, body=content, headers=headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._away(error) from error
            if response.status not in _DONE:
                raise self._refused(response)
            if not _ours(response):
                raise self._no_bridge()
            yield response
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=SECONDS, context=context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        return b"".join(self._pieces(response))

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read1(_PIECE):
                yield piece
            if response.length:
                raise http.client.IncompleteRead(b"")
        except (OSError, http.client.HTTPException, ValueError) as error:
            msg = f"{self.origin} broke off in the middle of its answer."
            raise RemoteError(msg, exit_code=AWAY_EXIT) from error

    def _away(self, error: Exception) -> RemoteError:
        match error:
            case ssl.SSLCertVerificationError():
                why = f"its certificate is not trusted: {error.verify_message}"
            case ssl.SSLError():
                why = "it does not speak TLS"
            case socket.gaierror():
                why = "its name is not known"
            case TimeoutError():
                why = f"it did not answer within {SECONDS:.0f} s"
            case ConnectionRefusedError():
                why = "nobody listens there"
            case OSError():
                why = error.strerror or "the connection broke"
            case _:
                return self._no_bridge()
        return RemoteError(f"{self.origin} cannot be reached: {why}.", exit_code=AWAY_EXIT)

    def _no_bridge(self) -> RemoteError:
        msg = f"What answers at {self.origin}{self._base} is no AI Bridge."
        return RemoteError(msg, exit_code=AWAY_EXIT)

    def _refused(self, response: http.client.HTTPResponse) -> RemoteError:
        status = response.status
        try:
            problem = msgspec.json.decode(response.read(_LARGEST_ERROR), type=_Problem)
        except (msgspec.MsgspecError, OSError, http.client.HTTPException):
            return self._no_bridge()
        if not _ours(response):
            return self._no_bridge()
        details = [
            problem.detail,
            *(f"{each.field}: {each.detail}" for each in problem.validations),
        ]
        said = " ".join([problem.message, *(each for each in details if each)])
        if status in (401, 403):
            return RemoteError(f"{self.origin} refuses the token: {said}", exit_code=REFUSED_EXIT)
        if status == 400:
            return RemoteError(said, exit_code=USAGE_EXIT)
        if status >= 500:
            return RemoteError(f"{self.origin}: {said}", exit_code=AWAY_EXIT)
        return RemoteError(said, exit_code=1, status=status)


def _ours(response: http.client.HTTPResponse) -> bool:
    """Return whether an answer looks like one of the management API."""
    kind = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
    return kind in _TYPES and response.getheader("x-content-type-options") == "nosniff"


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
