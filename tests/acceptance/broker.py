"""A compatible broker: answers every message with the same one, and keeps what it was sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ANSWER = json.dumps(
    {
        "id": "msg_broker_1",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": [{"type": "text", "text": "Hello from the broker."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 5},
    }
).encode()

COMPLETION = json.dumps(
    {
        "id": "chatcmpl-broker-1",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "some-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello from the broker."},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 5,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that the broker was sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class Broker:
    """Listens on loopback in a thread of its own, because tests block."""

    def __init__(self) -> None:
        """Listen at once."""
        sent: list[Sent] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sent.append(Sent(method=self.command, target=self.path, headers=headers, body=body))
                answer = COMPLETION if "completions" in self.path else ANSWER
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
                """Say nothing."""

        self.sent = sent
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}/compatible/api"

    def about(self, prompt: str) -> Sent:
        """Return the one request whose body holds `prompt`."""
        (found,) = [each for each in self.sent if prompt.encode() in each.body]
        return found

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
