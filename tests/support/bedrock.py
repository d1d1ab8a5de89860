"""Amazon Bedrock on real TCP: checks signatures for real, and answers as AWS does.

bedrock = FakeBedrock(reactor)
await bedrock.start()
…                                   # ask bedrock.url for a model in MODELS
await bedrock.stop()

Everything else is refused as AWS does. What the next requests get instead: `bedrock.steps`.

Source: botocore 1.44.5: its signer (botocore.auth), whose requests this accepts, and its model of
bedrock-runtime.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from bridge.wire.aws_stream import encoded
from tests.support.fakes import LAST_CHUNK, FakeUpstream, Received, Send, Step, answer, chunk

ACCESS_KEY = "AKIAFAKEFAKEFAKEFAKE"
SECRET = "fake/secret+of+forty+characters+for+tests"
API_KEY = "ABSKfake-bedrock-api-key-0123456789"
REGION = "us-east-1"
MODELS = (
    "anthropic.claude-opus-4-5-20251101-v1:0",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6",
)
_SKEW_SECONDS = 300
_REFUSED_MEMBERS = ("model", "stream", "metadata", "service_tier", "container", "inference_geo")

MESSAGE: dict[str, Any] = {
    "model": "claude-opus-4-5-20251101",
    "id": "msg_bdrk_01",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 6},
}
EVENTS: Sequence[dict[str, Any]] = (
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 12}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 6},
    },
    {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {"inputTokenCount": 12, "outputTokenCount": 6},
    },
)
EXCEPTIONS = (
    "internalServerException",
    "modelStreamErrorException",
    "modelTimeoutException",
    "serviceUnavailableException",
    "throttlingException",
    "validationException",
)
"""Those that a stream may hold."""


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def message(kind: str, payload: bytes) -> bytes:
    """Return an event's message."""
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return encoded(headers, payload)


def chunk_of(data: bytes, *, padding: str = "abcdefgh") -> bytes:
    """Return the message in which InvokeModelWithResponseStream sends an event."""
    text = base64.b64encode(data).decode()
    return message("chunk", compact({"bytes": text, "p": padding}))


def stream_of(events: Iterable[dict[str, Any]] = EVENTS) -> bytes:
    """Return a whole stream."""
    return b"".join(chunk_of(compact(event)) for event in events)


def events_of(events: Iterable[dict[str, Any]] = EVENTS) -> bytes:
    """Return the same as server-sent events."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), compact(event)) for event in events
    )


def exception_of(kind: str, text: str = "Something went wrong.") -> bytes:
    """Return the message that ends a stream with one of EXCEPTIONS."""
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encoded(headers, compact({"message": text}))


def error_of(code: str, text: str) -> bytes:
    """Return the message of an error that is not in AWS's model."""
    return encoded({":message-type": "error", ":error-code": code, ":error-message": text}, b"")


def stream_answer(body: bytes, *, chunked: bool = True) -> bytes:
    """Return a whole answer that holds `body`, or one that the connection's end ends."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
        b"x-amzn-RequestId: 7d5c\r\nX-Amzn-Bedrock-Content-Type: application/json\r\n"
    )
    if not chunked:
        return head + b"Connection: close\r\n\r\n" + body
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + LAST_CHUNK


class FakeBedrock:
    """Answers whoever signs with its key."""

    def __init__(self, reactor: Any, *, token: str | None = None, service: str = "bedrock") -> None:
        """Listen later, in start().

        Args:
            reactor: the real one; its clock is the one that requests are dated against.
            token: the session token that belongs to the key, if it is a temporary one.
            service: the name that must be in signatures.
        """
        self.token = token
        self.service = service
        self.steps: list[Sequence[Step]] = []
        """What the next requests get, whatever they ask; they must be signed all the same."""
        self._clock = reactor
        self._server = FakeUpstream(reactor, self._script)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def requests(self) -> list[Received]:
        return self._server.requests

    async def start(self) -> int:
        return await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    def _script(self, received: Received) -> Sequence[Step]:
        try:
            self._authenticate(received)
            if self.steps:
                return self.steps.pop(0)
            return [Send(self._answer(received))]
        except AwsError as e:
            return [Send(e.answer())]

    def _authenticate(self, received: Received) -> None:
        value = (received.header(b"authorization") or b"").decode()
        if value.startswith("Bearer "):
            if value != f"Bearer {API_KEY}":
                raise AwsError(403, "AccessDeniedException", "Authentication failed.")
            return
        if not value.startswith("AWS4-HMAC-SHA256 "):
            raise AwsError(403, "MissingAuthenticationTokenException", "Missing token.")
        fields = dict(each.strip().split("=", 1) for each in value[17:].split(","))
        key, day, region, service, _ = fields["Credential"].split("/")
        if key != ACCESS_KEY or self.token != _text(received, b"x-amz-security-token"):
            raise AwsError(
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        if (region, service) != (REGION, self.service):
            raise AwsError(
                403,
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region and to service '{self.service}'.",
            )
        stamp = _text(received, b"x-amz-date") or ""
        self._check_time(stamp, day)
        signed = fields["SignedHeaders"].split(";")
        _check_signed_headers(received, signed)
        canonical = canonical_request(received, signed)
        text = string_to_sign(canonical, stamp, f"{day}/{region}/{service}/aws4_request")
        if not hmac.compare_digest(signature(SECRET, text), fields["Signature"]):
            raise AwsError(
                403,
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. "
                f"The Canonical String for this request should have been\n'{canonical}'\n\n"
                f"The String-to-Sign should have been\n'{text}'\n",
            )

    def _check_time(self, stamp: str, day: str) -> None:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if not stamp.startswith(day) or abs(signed_at - self._clock.seconds()) > _SKEW_SECONDS:
            raise AwsError(403, "InvalidSignatureException", f"Signature expired: {stamp} is off.")

    def _answer(self, received: Received) -> bytes:
        path = received.target.partition(b"?")[0].decode()
        if path.endswith("/inference-profiles"):
            return answer(compact({"inferenceProfileSummaries": []}))
        if path.endswith("/v1/messages"):
            return answer(compact(MESSAGE))
        before, _, operation = path.rpartition("/")
        model = unquote(before.rpartition("/")[2])
        if not before.rpartition("/")[0].endswith("/model"):
            raise AwsError(404, "UnknownOperationException", "")
        if model not in MODELS:
            raise AwsError(404, "ResourceNotFoundException", "Could not resolve the model.")
        return _on_model(operation, received.body)


class AwsError(Exception):
    """An error of AWS."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__(kind)
        self.status, self.kind, self.text = status, kind, text

    def answer(self) -> bytes:
        errortype = f"{self.kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
        return answer(
            compact({"message": self.text}),
            status=self.status,
            headers=[(b"x-amzn-ErrorType", errortype.encode()), (b"x-amzn-RequestId", b"7d5c")],
        )


def canonical_request(received: Received, signed: Sequence[str]) -> str:
    """Return what a signature is of, out of the bytes that came."""
    path, _, query = received.target.decode("ascii").partition("?")
    pairs = sorted(tuple(each.partition("=")[::2]) for each in query.split("&") if each)
    lower = [(name.decode().lower(), value.decode()) for name, value in received.headers]
    lines = [
        f"{name}:{','.join(' '.join(v.split()) for key, v in lower if key == name)}\n"
        for name in signed
    ]
    return "\n".join(
        (
            received.line.split(b" ")[0].decode(),
            quote(path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(lines),
            ";".join(signed),
            hashlib.sha256(received.body).hexdigest(),
        )
    )


def string_to_sign(canonical: str, stamp: str, scope: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"


def signature(secret: str, text: str) -> str:
    """Return the signature of a string to sign, whose third line is the scope."""
    key = f"AWS4{secret}".encode()
    for part in text.split("\n")[2].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _check_signed_headers(received: Received, signed: Sequence[str]) -> None:
    names = {name.decode().lower() for name, _ in received.headers}
    needed = {name for name in names if name == "host" or name.startswith("x-amz-")}
    if signed != sorted(signed) or not needed <= set(signed) or not set(signed) <= names:
        raise AwsError(403, "InvalidSignatureException", "A header is not signed.")


def _on_model(operation: str, body: bytes) -> bytes:
    match operation:
        case "invoke":
            _check_body(body)
            return answer(compact(MESSAGE))
        case "invoke-with-response-stream":
            _check_body(body)
            return stream_answer(stream_of())
        case "converse":
            text = {"role": "assistant", "content": [{"text": "Hello."}]}
            usage = {"inputTokens": 12, "outputTokens": 6, "totalTokens": 18}
            document = {
                "output": {"message": text},
                "stopReason": "end_turn",
                "usage": usage,
                "metrics": {"latencyMs": 5},
            }
            return answer(compact(document))
        case "converse-stream":
            events = (
                ("messageStart", {"role": "assistant"}),
                ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello."}}),
                ("contentBlockStop", {"contentBlockIndex": 0}),
                ("messageStop", {"stopReason": "end_turn"}),
            )
            return stream_answer(b"".join(message(kind, compact(what)) for kind, what in events))
        case "count-tokens":
            return answer(compact({"inputTokens": 12}))
        case _:
            raise AwsError(404, "UnknownOperationException", "")


def _check_body(body: bytes) -> None:
    """Refuse what Bedrock refuses."""
    request = json.loads(body)
    for name in _REFUSED_MEMBERS:
        if name in request:
            text = f"{name}: Extra inputs are not permitted"
            raise AwsError(400, "ValidationException", text)
    for name in ("anthropic_version", "max_tokens"):
        if name not in request:
            raise AwsError(400, "ValidationException", f"{name}: Field required")


def _text(received: Received, name: bytes) -> str | None:
    value = received.header(name)
    return None if value is None else value.decode()
