"""The demo upstream: one port that speaks every API it has, for whoever knows the secret."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bridge.demo import messages, openai_shapes
from bridge.demo.chat_completions import ChatCompletions
from bridge.demo.connection import DemoFactory
from bridge.demo.encodings import Undecodable, decoded
from bridge.demo.exchange import Answer, Asked
from bridge.demo.messages import Messages
from bridge.demo.responses import Responses

_BEARER = b"bearer "


class Api(Protocol):
    """One family of paths."""

    def answer(self, asked: Asked) -> Answer:
        """Return the answer, which is an error in the API's shape when it cannot be given."""


class DemoServer:
    """Checks the secret and hands a request to its API."""

    def __init__(self, *, secret: str, clock: IReactorTime) -> None:
        """Answer those whose `x-api-key` or bearer token is `secret`."""
        self._secret = secret.encode("utf-8")
        # Ids differ between starts, and say nothing of the secret.
        self._run = sha256(b"run " + self._secret).hexdigest()[:8]
        self._messages = Messages(run=self._run)
        # A letter each, because a tool call's id is made alike in all of them.
        responses = Responses(run=f"{self._run}r")
        shared = openai_shapes.Shared(run=f"{self._run}o")
        self._of_openai: dict[bytes, Api] = {
            b"chat": ChatCompletions(run=f"{self._run}c"),
            b"responses": responses,
            b"conversations": responses,
            b"embeddings": shared,
            b"models": shared,
        }
        self.factory = DemoFactory(answer=self.answer, clock=clock)

    def answer(self, asked: Asked) -> Answer:
        """Return the answer of the API that the path belongs to."""
        first = openai_shapes.route(asked.path)[1:].partition(b"/")[0]
        api = self._of_openai.get(first)
        if first == b"models" and b"anthropic-version" in asked.headers:
            api = None  # both have this path, and only this header tells whose it is
        if not self._trusts(asked):
            if api is None:
                return messages.error(401, "invalid x-api-key", self._run)
            return openai_shapes.error(401, "Incorrect API key provided.", self._run)
        try:
            return (api or self._messages).answer(decoded(asked))
        except Undecodable as e:
            error = messages.error if api is None else openai_shapes.error
            return error(400, str(e), self._run)

    def _trusts(self, asked: Asked) -> bool:
        authorization = asked.headers.get(b"authorization", b"")
        bearer = authorization[len(_BEARER) :].strip()
        if authorization[: len(_BEARER)].lower() != _BEARER:
            bearer = b""
        by_key = compare_digest(asked.headers.get(b"x-api-key", b""), self._secret)
        return compare_digest(bearer, self._secret) or by_key
