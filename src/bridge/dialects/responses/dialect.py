"""OpenAI's Responses API as a Dialect."""

from __future__ import annotations

from bridge.dialects import openai_errors
from bridge.dialects.interface import Adaptation, Reader, RequestSummary
from bridge.dialects.responses import errors
from bridge.dialects.responses.request import summarize
from bridge.dialects.responses.response import ResponsesReader
from bridge.domain.errors import BridgeError
from bridge.domain.interception import Api


class Responses:
    """Reads `/v1/responses`: requests, streams, documents; words our errors."""

    api = Api.RESPONSES
    ping = openai_errors.PING

    def summarize(self, body: bytes) -> RequestSummary:
        """Read a decoded request body.

        Raises:
            BadRequest: empty, not JSON, or not an object.
        """
        return summarize(body)

    def adapted(self, body: bytes, summary: RequestSummary) -> Adaptation | None:  # noqa: ARG002 - the Protocol's
        """Ask for nothing more: usage comes unasked."""
        return None

    def reader(self) -> Reader:
        """Return a Reader for one answer."""
        return ResponsesReader()

    def error_body(self, error: BridgeError, request_id: str) -> bytes:
        """Return `error` as a JSON document in the API's shape."""
        return openai_errors.error_body(error, request_id)

    def error_event(self, error: BridgeError, request_id: str) -> bytes:
        """Return `error` as a whole server-sent event."""
        return errors.error_event(error, request_id)
