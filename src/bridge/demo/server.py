"""The demo upstream: one port that speaks every API it has, for whoever knows the secret."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest

from twisted.internet.interfaces import IReactorTime

from bridge.demo import messages
from bridge.demo.connection import DemoFactory
from bridge.demo.exchange import Answer, Asked
from bridge.demo.messages import Messages


class DemoServer:
    """Checks the secret and hands a request to its API.

    An API is a module with a class that has `answer(asked) -> Answer`; a second one is chosen here,
    by path.
    """

    def __init__(self, *, secret: str, clock: IReactorTime) -> None:
        """Answer those whose `x-api-key` is `secret`."""
        self._secret = secret.encode("utf-8")
        # Ids differ between starts, and say nothing of the secret.
        self._run = sha256(b"run " + self._secret).hexdigest()[:8]
        self._messages = Messages(run=self._run)
        self.factory = DemoFactory(answer=self.answer, clock=clock)

    def answer(self, asked: Asked) -> Answer:
        """Return the answer of the API that the path belongs to."""
        if not compare_digest(asked.headers.get(b"x-api-key", b""), self._secret):
            return messages.error(401, "invalid x-api-key", self._run)
        return self._messages.answer(asked)
