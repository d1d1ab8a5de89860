"""Clients that ask again and again, and what each of their requests came to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectError

from tests.acceptance.changing import asking
from tests.support.rawclient import CLEAN, OPEN, RawClient, RawResponse

COMPLETE = "complete"
RETRYABLE = "503"
"""A whole 503 of the bridge's own, with the word when to try again."""
REFUSED = "refused"
"""No connection came about; nothing was sent."""
UNANSWERED_NEW = "unanswered, new connection"
UNANSWERED_KEPT = "unanswered, kept connection"
"""The connection was closed without a byte of an answer, behind an answer on the same one."""
BROKEN = "broken"
"""Anything else: what no client can make good."""
PATIENCE = 3
"""How often in a row a client is without an answer before it leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, and what it came to."""

    prompt: str
    outcome: str
    response: RawResponse | None
    before: bool
    """Whether it was sent before the change that the load was told of (`Load.changing`)."""


class Load:
    """Some clients; each sends a document's and a stream's request in turn, one at a time.

    Half of them keep their connection for the next request, the others make one for each.
    """

    def __init__(
        self, *, port: int, token: bytes, clients: int, answers: Collection[bytes]
    ) -> None:
        """Be ready to send; `answers` are all bodies that are whole."""
        self.asked: list[Asked] = []
        self._port = port
        self._token = token
        self._clients = clients
        self._answers = answers
        self._stopping = False
        self._changed = False
        self._sent = 0
        self._done: Any = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    @property
    def counts(self) -> Counter[str]:
        """How many came to what."""
        return Counter(each.outcome for each in self.asked)

    def begin(self) -> None:
        """Send from now on; whoever gets no answer some times in a row leaves."""
        self._done = gatherResults(
            [Deferred.fromCoroutine(self._client(each)) for each in range(self._clients)],
            consumeErrors=True,
        )

    async def complete(self, more: int) -> None:
        """Wait until so many more answers are complete."""
        wanted = self.counts[COMPLETE] + more
        waiting: Deferred[None] = Deferred()
        self._waiting.append((lambda: self.counts[COMPLETE] >= wanted, waiting))
        await waiting

    def changing(self) -> None:
        """Note that what is sent from now on is sent after the change."""
        self._changed = True

    async def stop(self) -> None:
        """Begin no more, and wait for the answers under way."""
        self._stopping = True
        await self._done

    async def left(self) -> None:
        """Wait until every client has left because it got no answers."""
        await self._done

    async def _client(self, number: int) -> None:
        connection: RawClient | None = None
        turn = number
        in_vain = 0
        while not self._stopping and in_vain < PATIENCE:
            turn += 1
            kept = connection is not None and connection.gone is None
            try:
                if connection is None or not kept:
                    connection = await RawClient.to(reactor, self._port)
            except ConnectError:
                self._note("", REFUSED, None, before=False)
                in_vain += 1
                continue
            self._sent += 1
            before = not self._changed
            prompt = f"request {self._sent}"
            connection.send(asking(self._token, prompt, stream=turn % 2 == 0))
            response = await _answer(connection)
            outcome = self._outcome(response, kept=kept)
            self._note(prompt, outcome, response, before=before)
            in_vain = 0 if outcome == COMPLETE else in_vain + 1
            if response is not None and response.header(b"connection") == b"close":
                await connection.ended()
            elif number // 2 % 2 and connection.gone is None:
                await connection.close()
        if connection is not None and connection.gone is None:
            await connection.close()

    def _outcome(self, response: RawResponse | None, *, kept: bool) -> str:
        if response is None:
            return UNANSWERED_KEPT if kept else UNANSWERED_NEW
        if response.end != CLEAN:
            return BROKEN
        if response.status == 503 and response.header(b"retry-after") is not None:
            error = json.loads(response.body)["error"]
            return RETRYABLE if error["type"] == "overloaded_error" else BROKEN
        whole = response.status == 200 and response.body in self._answers
        return COMPLETE if whole else BROKEN

    def _note(
        self, prompt: str, outcome: str, response: RawResponse | None, *, before: bool
    ) -> None:
        self.asked.append(Asked(prompt=prompt, outcome=outcome, response=response, before=before))
        met = [entry for entry in self._waiting if entry[0]()]
        self._waiting = [entry for entry in self._waiting if entry not in met]
        for _, waiting in met:
            waiting.callback(None)


async def _answer(connection: RawClient) -> RawResponse | None:
    """Wait for one answer to end, and take it; None when the connection ended before it began."""
    seen = connection.reader.responses
    await connection.until(
        lambda: connection.gone is not None or bool(seen and seen[0].end != OPEN)
    )
    return seen.pop() if seen else None
