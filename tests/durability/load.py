"""The load: a client in a process of its own that writes down what it saw of every attempt.

`python -m tests.durability.load` reads its job as a line of JSON on stdin and goes on until stdin
ends; attempts under way are then still waited for. Attempt k is due at k / rate, whatever became of
the earlier ones: one that met a dead bridge is followed by others, each with a nonce of its own.

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

from bridge.demo.script import TEXT

COMPLETE, CUT, REFUSED = "complete", "cut", "refused"
_SECONDS = 30.0
_READ_BYTES = 64 * 1024
_WORDS = ("quick", "brown", "fox", "jumps", "over", "naïvely;", "the “lazy” dog", "漢字")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do."""

    port: int
    token: str
    ledger: str
    seed: int
    rate: float
    """Attempts a second."""
    connections: int
    """Attempts at a time, each on a connection that it keeps for the next."""
    slowness: float = 1.0
    """Factor on how long answers take."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One request, and what the client saw of its answer."""

    nonce: str
    prompt: str
    streaming: bool
    events: int | None
    """Of text, that were asked for; None for one a word."""
    outcome: str = REFUSED
    """complete: the whole answer came | cut: something was sent | refused: no connection."""
    status: int = 0
    """Of HTTP; 0 when no head came."""
    body_bytes: int = 0
    body_sha256: str = ""
    began: bool = False
    """Whether the stream's first event, with the count of input tokens, was seen."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    problem: str = ""
    sent_at: float = 0.0
    """Of the monotonic clock, which all processes share."""
    seen_at: float = 0.0
    """When the head came; 0 when none did."""
    over_at: float = 0.0


class Load:
    """Sends until told to stop."""

    def __init__(self, job: Job) -> None:
        self.stopping = threading.Event()
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
        while (number := self._take()) is not None:
            attempt, headers = self._attempt(number)
            connection = self._send(attempt, headers, connection)
            attempt.over_at = time.monotonic()
            line = json.dumps(asdict(attempt)).encode() + b"\n"
            assert os.write(self._ledger, line) == len(line)

    def _take(self) -> int | None:
        """Return the number of the next attempt, when it is due."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        due = self._began + number / self._job.rate
        if self.stopping.wait(max(0.0, due - time.monotonic())):
            return None
        return number

    def _attempt(self, number: int) -> tuple[Attempt, dict[str, str]]:
        chance = random.Random(f"{self._job.seed}:{number}")
        nonce = f"{self._job.seed:010d}-{number:06d}"
        words = [chance.choice(_WORDS) for _ in range(chance.randrange(60))]
        streaming = chance.random() < 0.5
        events = chance.randrange(1, 16) if streaming else None
        pause = chance.uniform(0.0, 0.03 if streaming else 0.15) * self._job.slowness
        attempt = Attempt(
            nonce=nonce,
            prompt=" ".join([f"nonce {nonce}", *words]),
            streaming=streaming,
            events=events,
        )
        headers = {"x-demo-interval" if streaming else "x-demo-delay": f"{pause:.4f}"}
        if events is not None:
            headers["x-demo-events"] = str(events)
        return attempt, headers

    def _send(
        self,
        attempt: Attempt,
        headers: dict[str, str],
        connection: http.client.HTTPConnection | None,
    ) -> http.client.HTTPConnection | None:
        """Send one attempt; return the connection if it can be used again."""
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
        try:
            kept = self._exchange(attempt, headers, connection, body)
        except (OSError, http.client.HTTPException) as e:
            attempt.problem = repr(e)
            kept = False
        data = bytes(body)
        attempt.body_bytes = len(data)
        attempt.body_sha256 = hashlib.sha256(data).hexdigest()
        if attempt.status == http.client.OK:
            _read(attempt, data)
        if kept:
            return connection
        connection.close()
        return None

    def _exchange(
        self,
        attempt: Attempt,
        headers: dict[str, str],
        connection: http.client.HTTPConnection,
        body: bytearray,
    ) -> bool:
        asked = {
            "model": TEXT,
            "max_tokens": 1000,
            "stream": attempt.streaming,
            "messages": [{"role": "user", "content": attempt.prompt}],
        }
        connection.request(
            "POST",
            "/demo/v1/messages",
            json.dumps(asked).encode(),
            {
                "authorization": f"Bearer {self._job.token}",
                "content-type": "application/json",
                "anthropic-version": "2023-06-01",
                **headers,
            },
        )
        response = connection.getresponse()
        attempt.seen_at = time.monotonic()
        attempt.status = response.status
        left = response.length
        while data := response.read1(_READ_BYTES):
            body += data
        response.close()  # only the answer: http.client notices its end not by itself
        # Of chunks http.client says itself when the last is missing; of a length it does not.
        if left is not None and len(body) != left:
            raise http.client.IncompleteRead(bytes(body), left - len(body))
        attempt.outcome = COMPLETE
        return not response.will_close


def _read(attempt: Attempt, data: bytes) -> None:
    """Take the token counts that the answer names, as far as it came."""
    if not attempt.streaming:
        if attempt.outcome == COMPLETE:
            _take_usage(attempt, json.loads(data)["usage"])
        return
    whole, _, _ = data.rpartition(b"\n\n")
    stopped = False
    for line in whole.split(b"\n"):
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if event["type"] == "message_start":
            attempt.began = True
            _take_usage(attempt, event["message"]["usage"])
        elif event["type"] == "message_delta":
            attempt.output_tokens = event["usage"]["output_tokens"]
        stopped = stopped or event["type"] == "message_stop"
    if not stopped and attempt.outcome == COMPLETE:
        attempt.outcome, attempt.problem = CUT, "HTTP ended, and the stream's last event is missing"


def _take_usage(attempt: Attempt, usage: dict[str, int]) -> None:
    attempt.input_tokens = usage["input_tokens"]
    attempt.cache_read_tokens = usage["cache_read_input_tokens"]
    attempt.output_tokens = usage["output_tokens"]


def main() -> None:
    """Do the job."""
    load = Load(Job(**json.loads(sys.stdin.readline())))

    def watch() -> None:
        sys.stdin.read()
        load.stopping.set()

    threading.Thread(target=watch, daemon=True).start()
    load.run()


if __name__ == "__main__":
    main()
