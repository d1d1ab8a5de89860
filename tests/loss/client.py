"""The clients: requests at a steady rate in three APIs, streamed, whole or given up, tried again.

`python -m tests.loss.client` reads its job as a line of JSON on stdin. Request k is due at
k / rate, whatever became of the earlier ones. As SDKs do, a request that found nobody, broke off
before its answer began, or was told 503 is tried twice more, after half a second and after one;
every try has a nonce of its own.

**Shape** of the ledger: one `Attempt` as a JSON object a line, written at once when it is over.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

COMPLETE, CUT, ABORTED, REFUSED = "complete", "cut", "aborted", "refused"
APIS = ("messages", "chat/completions", "responses")
PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat/completions": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}
TRIES = 3
FIRST_PAUSE_SECONDS = 0.5
_SECONDS = 60.0
_READ_BYTES = 64 * 1024
_WORDS = ("quick", "brown", "fox", "jumps", "over", "naïvely;", "the “lazy” dog", "漢字")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do."""

    port: int
    token: str
    ledger: str
    seed: int
    requests: int
    rate: float
    """Requests a second."""
    connections: int = 96


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try of a request, and what the client saw of its answer."""

    number: int
    """Of the request."""
    last: bool
    """Whether no other try follows."""
    nonce: str
    prompt: str
    api: str
    streaming: bool
    aborting: bool
    """Whether the client means to leave before the end."""
    outcome: str = REFUSED
    """complete: all of it came | cut: it broke off | aborted: by us | refused: no connection."""
    status: int = 0
    """Of HTTP; 0 when no head came."""
    body_bytes: int = 0
    body_sha256: str = ""
    counted: tuple[int, int, int] | None = None
    """Input, cached and output tokens, as the answer says."""
    problem: str = ""
    sent_at: float = 0.0
    """Of the monotonic clock, which all processes share."""
    over_at: float = 0.0


class _Left(Exception):  # noqa: N818  # no error
    """The client has had enough."""


class Load:
    """Sends until all are sent."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ledger = os.open(job.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._next = 0
        self._began = time.monotonic()

    def run(self) -> None:
        """Send on all connections."""
        threads = [threading.Thread(target=self._work) for _ in range(self._job.connections)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        os.close(self._ledger)

    def _work(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            with self._lock:
                number, self._next = self._next, self._next + 1
            if number >= self._job.requests:
                break
            due = self._began + number / self._job.rate
            time.sleep(max(0.0, due - time.monotonic()))
            connection = self._ask(number, connection)
        if connection is not None:
            connection.close()

    def _ask(
        self, number: int, connection: http.client.HTTPConnection | None
    ) -> http.client.HTTPConnection | None:
        """Send one request, again if need be; return the connection if it can be used again."""
        chance = random.Random(f"{self._job.seed}:{number}")
        api = chance.choice(APIS)
        streaming = chance.random() < 0.5
        aborting = chance.random() < 0.1
        words = " ".join(chance.choice(_WORDS) for _ in range(chance.randrange(60)))
        for n in range(TRIES):
            if n:
                time.sleep(FIRST_PAUSE_SECONDS * 2 ** (n - 1) * chance.uniform(0.75, 1.0))
            nonce = f"{self._job.seed:010d}-{number:06d}-{n}"
            attempt = Attempt(
                number=number,
                last=True,
                nonce=nonce,
                prompt=f"nonce {nonce} {words}".strip(),
                api=api,
                streaming=streaming,
                aborting=aborting,
            )
            connection = self._send(attempt, connection, patience=chance.uniform(0.01, 0.1))
            attempt.over_at = time.monotonic()
            attempt.last = n == TRIES - 1 or not _tried_again(attempt)
            line = json.dumps(asdict(attempt)).encode() + b"\n"
            assert os.write(self._ledger, line) == len(line)
            if attempt.last:
                break
        return connection

    def _send(
        self, attempt: Attempt, connection: http.client.HTTPConnection | None, *, patience: float
    ) -> http.client.HTTPConnection | None:
        attempt.sent_at = time.monotonic()
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._job.port, timeout=_SECONDS)
            try:
                connection.connect()
            except OSError as e:
                attempt.problem = repr(e)
                return None
        attempt.outcome = CUT
        body = bytearray()
        kept = False
        try:
            kept = self._exchange(attempt, connection, body, patience)
        except (_Left, TimeoutError):
            attempt.outcome = ABORTED if attempt.aborting else CUT
        except (OSError, http.client.HTTPException) as e:
            attempt.problem = repr(e)
        data = bytes(body)
        attempt.body_bytes = len(data)
        attempt.body_sha256 = hashlib.sha256(data).hexdigest()
        if attempt.status == http.client.OK and attempt.outcome == COMPLETE:
            _count(attempt, data)
        if kept:
            return connection
        connection.close()
        return None

    def _exchange(
        self,
        attempt: Attempt,
        connection: http.client.HTTPConnection,
        body: bytearray,
        patience: float,
    ) -> bool:
        headers = {"authorization": f"Bearer {self._job.token}", "content-type": "application/json"}
        if attempt.api == "messages":
            headers["anthropic-version"] = "2023-06-01"
        connection.request("POST", PATHS[attempt.api], json.dumps(_asked(attempt)), headers)
        if attempt.aborting and not attempt.streaming and connection.sock is not None:
            connection.sock.settimeout(patience)
        response = connection.getresponse()
        attempt.status = response.status
        left = response.length
        while data := response.read1(_READ_BYTES):
            body += data
            if attempt.aborting and attempt.streaming and response.status == http.client.OK:
                raise _Left
        response.close()
        # Of chunks http.client says itself when the last is missing; of a length it does not.
        if left is not None and len(body) != left:
            raise http.client.IncompleteRead(bytes(body), left - len(body))
        attempt.outcome = COMPLETE
        if connection.sock is not None:
            connection.sock.settimeout(_SECONDS)
        return not response.will_close


def _tried_again(attempt: Attempt) -> bool:
    if attempt.outcome == ABORTED:
        return False
    return attempt.status in (0, 503)


def _asked(attempt: Attempt) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": "loss", "stream": attempt.streaming}
    if attempt.api == "responses":
        return {**asked, "input": attempt.prompt}
    messages = [{"role": "user", "content": attempt.prompt}]
    return {**asked, "max_tokens": 1000, "messages": messages}


def _count(attempt: Attempt, data: bytes) -> None:
    """Take the token counts from an answer; a stream without its last event was cut."""
    if not attempt.streaming:
        attempt.counted = _usage(attempt.api, json.loads(data)["usage"])
        return
    seen: dict[str, Any] = {}
    ended = False
    for line in data.split(b"\n"):
        if line == b"data: [DONE]":
            ended = True
        elif line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            kind = event.get("type")
            if kind == "message_start":
                seen = dict(event["message"]["usage"])
            elif kind == "message_delta":
                seen |= event["usage"]
            elif kind == "response.completed":
                seen, ended = event["response"]["usage"], True
            ended = ended or kind == "message_stop"
    if not ended:
        attempt.outcome, attempt.problem = CUT, "HTTP ended, and the stream's last event is missing"
    elif seen:  # of a chat stream nothing is told to who does not ask
        attempt.counted = _usage(attempt.api, seen)


def _usage(api: str, usage: dict[str, Any]) -> tuple[int, int, int]:
    if api == "messages":
        cached = usage["cache_read_input_tokens"]
        return usage["input_tokens"], cached, usage["output_tokens"]
    if api == "responses":
        cached = usage["input_tokens_details"]["cached_tokens"]
        return usage["input_tokens"] - cached, cached, usage["output_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"] - cached, cached, usage["completion_tokens"]


def main() -> None:
    """Do the job."""
    Load(Job(**json.loads(sys.stdin.readline()))).run()


if __name__ == "__main__":
    main()
