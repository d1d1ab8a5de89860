"""OpenAI's Chat Completions API as a Dialect."""

from __future__ import annotations

from bridge.dialects import openai_errors
from bridge.dialects.chat_completions.adaptation import adapted
from bridge.dialects.chat_completions.request import summarize
from bridge.dialects.chat_completions.response import ChatReader
from bridge.dialects.interface import Adaptation, Reader, RequestSummary
from bridge.domain.errors import BridgeError
from bridge.domain.interception import Api


class ChatCompletions:
    """Reads `/v1/chat/completions`: requests, streams, documents; words our errors."""

    api = Api.CHAT_COMPLETIONS
    ping = openai_errors.PING

    def summarize(self, body: bytes) -> RequestSummary:
        """Read a decoded request body.

        Raises:
            BadRequest: empty, not JSON, or not an object.
        """
        return summarize(body)

    def adapted(self, body: bytes, summary: RequestSummary) -> Adaptation | None:
        """Ask a stream for its token counts, which come only to those who ask."""
        return adapted(body, summary)

    def reader(self) -> Reader:
        """Return a Reader for one answer."""
        return ChatReader()

    def error_body(self, error: BridgeError, request_id: str) -> bytes:
        """Return `error` as a JSON document in the API's shape."""
        return openai_errors.error_body(error, request_id)

    def error_event(self, error: BridgeError, request_id: str) -> bytes:
        """Return `error` as a whole server-sent event; the API names none of its events."""
        return b"data: " + openai_errors.error_body(error, request_id) + b"\n\n"
