"""Amazon Bedrock: Claude for whoever speaks the Messages API, and Bedrock's own API as it is.

Two protocols. `invoke` asks InvokeModel for what comes to `/v1/messages`, and serves Bedrock's own
paths to clients that speak them. `mantle` is AWS's endpoint that speaks the Messages API itself:
requests are only signed.

Source: docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html (read 2026-11-25);
the model of bedrock-runtime in botocore 1.44.5; the name under which requests to mantle are signed
is that in Anthropic's SDK 2.14.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from twisted.internet.interfaces import IReactorTime

from bridge.dialects.messages.bedrock import (
    ANTHROPIC_BETA,
    DEFAULT_RULES,
    BedrockRules,
    bedrock_model,
    invoke_body,
)
from bridge.dialects.messages.bedrock_errors import translated
from bridge.dialects.messages.bedrock_stream import BedrockFrames
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest, BridgeError, Unauthenticated
from bridge.domain.identity import Credential, CredentialKind, UserCredential, hint
from bridge.domain.interception import Api, Traffic
from bridge.providers.anthropic import MESSAGES_ROUTE, MESSAGES_ROUTES
from bridge.providers.aws_credentials import AwsCredentials, RenewedCredentials
from bridge.providers.interface import GET, POST, Asked, Frames, Prepared, Route
from bridge.providers.keyed import AUTHORIZATION, X_API_KEY
from bridge.providers.regions import BedrockProtocol, bedrock_address
from bridge.wire.encodings import content_coding, decode_body
from bridge.wire.headers import Header, first, media_type
from bridge.wire.paths import split_target

EVENT_STREAM = b"application/vnd.amazon.eventstream"

_STREAMING = "invoke-with-response-stream"
_SEGMENT = rb"[^/]+"
_JSON = b"application/json"
_MODEL_ID = re.compile(r"[A-Za-z0-9._:/-]{1,2048}")
_LONGEST_ERROR = 1024 * 1024
_PASSING = frozenset({b"content-type", b"accept", b"content-encoding"})
_LEAKING = re.compile(rb"canonical string|string-to-sign|x-amz-security-token", re.IGNORECASE)
_UNSIGNABLE = "Amazon Bedrock refused the gateway's signature."
_QUICK_BYTES = 64 * 1024
"""A larger body takes longer to be rewritten and signed than the reactor should be kept."""
_LEAST_ERROR_STATUS = 400


def _on_model(operation: str, traffic: Traffic) -> Route:
    """Return the route of an operation on a model, whose id may hold `:` and an encoded slash."""
    return Route(
        pattern=f"/model/*/{operation}",
        methods=POST,
        traffic=traffic,
        runs_model=operation.startswith("converse"),
        api=Api.MESSAGES if traffic is Traffic.INTERCEPTED else None,
        shape=re.compile(rb"/model/" + _SEGMENT + b"/" + operation.encode("ascii")),
    )


INVOKE_ROUTES: Sequence[Route] = (
    MESSAGES_ROUTE,
    _on_model("invoke", Traffic.INTERCEPTED),
    _on_model(_STREAMING, Traffic.INTERCEPTED),
    _on_model("converse", Traffic.PASSTHROUGH),
    _on_model("converse-stream", Traffic.PASSTHROUGH),
    _on_model("count-tokens", Traffic.PASSTHROUGH),
    Route(pattern="/inference-profiles", methods=GET, traffic=Traffic.PASSTHROUGH, api=None),
)
MANTLE_ROUTES: Sequence[Route] = tuple(
    each for each in MESSAGES_ROUTES if each.pattern.startswith("/v1/")
)

_MODEL_PATH = re.compile(rb"/model/(" + _SEGMENT + rb")/([a-z-]+)")


class Bedrock:
    """One region of Amazon Bedrock, or something that speaks its API; see Provider."""

    error_api = Api.MESSAGES
    rewords_errors = True

    def __init__(
        self,
        *,
        name: str,
        region: str,
        credentials: AwsCredentials | None,
        clock: IReactorTime,
        max_body_bytes: int,
        protocol: BedrockProtocol = BedrockProtocol.INVOKE,
        base_url: str = "",
        model: str = "",
        small_fast_model: str = "",
        rules: BedrockRules = DEFAULT_RULES,
        service: str = "",
    ) -> None:
        """Serve `name` from `region`.

        Args:
            name: the configured instance.
            region: is signed, and says where AWS is when there is no `base_url`.
            credentials: the organisation's; None means that users bring their own.
            clock: for the time in signatures.
            max_body_bytes: the most that a compressed body may unpack to.
            protocol: how AWS is spoken to.
            base_url: scheme, host, port and optional path of something else than AWS.
            model: Bedrock's id of what `/v1/messages` asks, "" for the one that the client names.
            small_fast_model: the same for requests that name a Haiku, "" for no difference.
            rules: which model takes what.
            service: name under which requests are signed, "" for AWS's own.
        """
        self._invoke = protocol is BedrockProtocol.INVOKE
        parts = urlsplit(base_url or bedrock_address(region, protocol))
        self.name = name
        self.origin = f"{parts.scheme}://{parts.netloc.lower()}"
        self.routes = INVOKE_ROUTES if self._invoke else MANTLE_ROUTES
        self.own_headers: Sequence[bytes] = (AUTHORIZATION,)
        self.encoded_slash_in: re.Pattern[bytes] | None = _MODEL_PATH if self._invoke else None
        """Paths in which `%2F` is part of a name; for wire.paths.safe."""
        if not self._invoke:
            self.own_headers = (X_API_KEY, AUTHORIZATION)
        self._path = parts.path.rstrip("/").encode("ascii")
        self._region = region
        self._service = service or ("bedrock" if self._invoke else "bedrock-mantle")
        self._credentials = credentials
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._model = model
        self._small_fast_model = small_fast_model
        self._rules = rules

    def family(self, api: Api | None) -> str:  # noqa: ARG002 - Bedrock's Claude is Anthropic's
        """Return the wire family, what the `provider` column says."""
        return "anthropic"

    def target(self, path_and_query: bytes) -> bytes:
        """Return the base URL's path and what was asked, byte for byte; see `prepare`."""
        return self._path + path_and_query

    @property
    def credentials(self) -> Sequence[Credential]:
        """The organisation's, one at most; its hint is that of the pair that signs now."""
        if self._credentials is None:
            return ()
        masked = self._credentials.hint
        return (Credential(kind=CredentialKind.CENTRALIZED, hint=masked, header=b"", value=b""),)

    def credential(self, own: UserCredential | None) -> Credential:
        """Return the user's own Bedrock API key if there is one, else the organisation's.

        What else a client signs its request with says nothing here: its signature is of other
        bytes, for another host.

        Raises:
            Unauthenticated: the organisation has no credentials and the user sent no key.
        """
        key = _api_key(own) if own is not None else ""
        if own is not None and key:
            return Credential(
                kind=CredentialKind.BYOK, hint=hint(key), header=own.header, value=own.value
            )
        if not self.credentials:
            raise Unauthenticated(
                f"The organisation has no AWS credentials for the provider {self.name}. Send your "
                "own Bedrock API key in Authorization, and the bridge token in X-AI-Bridge-Token."
            )
        return self.credentials[0]

    def named_in_path(self, path: bytes) -> tuple[str, bool] | None:
        """Return the model that one of Bedrock's own paths names, and whether it asks for a stream.

        None for other paths.
        """
        match = _MODEL_PATH.fullmatch(path) if self._invoke else None
        if match is None:
            return None
        model = unquote(match.group(1).decode("ascii"))
        return model, match.group(2).endswith(b"-stream")

    def sent_model(self, asked: Asked) -> str:
        """Return the id of the model that is asked upstream."""
        path, _ = split_target(asked.path_and_query)
        named = self.named_in_path(path)
        if named is not None:
            return named[0]
        if not self._is_translated(path):
            return asked.model
        return bedrock_model(
            asked.model, model=self._model, small_fast_model=self._small_fast_model
        )

    def slow_to_prepare(self, asked: Asked) -> bool:
        """Return whether a body is large, or has to be unpacked first: 54 ms for 12 MB."""
        return len(asked.body) > _QUICK_BYTES or bool(content_coding(asked.headers))

    def prepare(self, asked: Asked, credential: Credential) -> Prepared:
        """Return the request as it goes to AWS: addressed, rewritten where it must be, signed.

        Takes some milliseconds for a body of a megabyte; it may run in a thread.

        Raises:
            BadRequest: it names no model, or its body is not a JSON object.
            PayloadTooLarge: its body unpacks to more than is allowed.
            Unavailable: the organisation's credentials are not known yet, or have expired.
        """
        path, _ = split_target(asked.path_and_query)
        if self._is_translated(path):
            target, passing, body = self._translation(asked)
        else:
            target, passing, body = asked.path_and_query, self._passing(asked.headers), asked.body
        target = self._path + target
        if credential.header:
            headers: Sequence[Header] = (*passing, (credential.header, credential.value))
        elif self._credentials is None:
            raise Unauthenticated(f"The provider {self.name} has no AWS credentials.")
        else:
            signing = self._credentials.current()
            headers = self._signed(signing, asked.method, target, passing, body)
        return Prepared(target=target, headers=headers, body=body)

    def frames(self, route: Route, content_type: bytes | None) -> Frames | None:
        """Return what makes server-sent events of an answer; None for one that needs nothing."""
        if not self._invoke or route.api is None or media_type(content_type) != EVENT_STREAM:
            return None
        return BedrockFrames(for_client=route.pattern == MESSAGES_ROUTE.pattern)

    def error_body(
        self, route: Route, status: int, headers: Sequence[Header], body: bytes
    ) -> tuple[int, bytes] | None:
        """Return status and body of an error for the client; None when AWS's own are right.

        A refused signature comes with everything that was signed, the organisation's session token
        included, which is not for the client.
        """
        if status < _LEAST_ERROR_STATUS:
            return None
        body, readable = _decoded(headers, body)
        if not readable or _LEAKING.search(body):
            body = b'{"message":"%b"}' % _UNSIGNABLE.encode("ascii")
            if route.pattern != MESSAGES_ROUTE.pattern and self._invoke:
                return status, body
        elif not self._invoke or route.pattern != MESSAGES_ROUTE.pattern:
            return None
        errortype = (first(headers, b"x-amzn-errortype") or b"").decode("latin-1")
        return translated(status, errortype, body)

    async def find_credentials(self) -> None:
        """Look once for credentials that have to be found; `prepare` says if there are none."""
        if isinstance(self._credentials, RenewedCredentials):
            await self._credentials.look()

    def start(self) -> None:
        """Begin to look for credentials that have to be found or renewed."""
        if isinstance(self._credentials, RenewedCredentials):
            self._credentials.start()

    async def close(self) -> None:
        """Look for credentials no more."""
        if isinstance(self._credentials, RenewedCredentials):
            await self._credentials.stop()

    def _is_translated(self, path: bytes) -> bool:
        return self._invoke and path == MESSAGES_ROUTE.pattern.encode("ascii")

    def _translation(self, asked: Asked) -> tuple[bytes, Sequence[Header], bytes]:
        """Return target, headers and body of InvokeModel for a Messages request."""
        model = _safe_model(self.sent_model(asked))
        encoding = content_coding(asked.headers)
        body = invoke_body(
            decode_body(asked.body, encoding, limit=self._max_body_bytes),
            model=model,
            header_betas=[value for name, value in asked.headers if name == ANTHROPIC_BETA],
            rules=self._rules,
        )
        operation = _STREAMING if asked.streaming else "invoke"
        target = f"/model/{quote(model, safe='')}/{operation}".encode("ascii")
        passing = (each for each in self._passing(asked.headers) if each[0] not in _PASSING)
        return target, ((b"content-type", _JSON), (b"accept", _JSON), *passing), body

    def _passing(self, headers: Sequence[Header]) -> Sequence[Header]:
        """Return what AWS has a use for: it need not know what the client is."""
        prefix = b"x-amzn-bedrock-" if self._invoke else b"anthropic-"
        return tuple(each for each in headers if each[0] in _PASSING or each[0].startswith(prefix))

    def _signed(
        self,
        credentials: ReadOnlyCredentials,
        method: bytes,
        target: bytes,
        headers: Sequence[Header],
        body: bytes,
    ) -> Sequence[Header]:
        """Return `headers`, all of which are signed, with the signature."""
        request = AWSRequest(
            method=method.decode("ascii"), url=self.origin + target.decode("ascii"), data=body
        )
        for name, value in headers:
            request.headers.add_header(name.decode("ascii"), value.decode("latin-1"))
        signer = SigV4Auth(credentials, self._service, self._region)
        now = utc(self._clock.seconds()).strftime("%Y%m%dT%H%M%SZ")
        # What add_auth does, but by our clock, and without logging what is signed.
        request.context["timestamp"] = now
        request.headers["X-Amz-Date"] = now
        if credentials.token:
            request.headers["X-Amz-Security-Token"] = credentials.token
        signed = signer.signed_headers(signer.headers_to_sign(request))
        text = signer.string_to_sign(request, signer.canonical_request(request))
        signature = signer.signature(text, request)
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return tuple(
            (name.lower().encode("ascii"), value.encode("latin-1"))
            for name, value in request.headers.items()
        )


def _decoded(headers: Sequence[Header], body: bytes) -> tuple[bytes, bool]:
    """Return an error without its encodings, which nobody asked for, and whether it has none."""
    encoding = content_coding(headers)
    try:
        return (decode_body(body, encoding, limit=_LONGEST_ERROR) if encoding else body), True
    except BridgeError:
        return body, False


def _safe_model(model: str) -> str:
    """Return a model's id if it can be part of a path.

    Raises:
        BadRequest: it cannot be an id of Bedrock's.
    """
    if not _MODEL_ID.fullmatch(model) or any(each in ("", ".", "..") for each in model.split("/")):
        raise BadRequest("The request names no model of Amazon Bedrock's.")
    return model


def _api_key(own: UserCredential) -> str:
    """Return the Bedrock API key that a header's value holds, "" when it holds none."""
    text = own.value.decode("utf-8", "replace").strip()
    if own.header != AUTHORIZATION:
        return text
    scheme, _, key = text.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
