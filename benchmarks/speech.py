"""The APIs in which a server can be asked for the same thing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_TURN_BYTES = 1_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How one API is spoken."""

    name: str
    path: str
    body: Callable[[str, str, bool], str]
    """Makes a request from model, prompt, and whether it streams."""
    frame_events: int
    """Events of a stream besides its text."""
    served_at: str = "/openai"
    """The provider of the bridge that speaks it."""
    knobs: str = "x-demo-"
    """How the headers begin that tell the upstream what to answer."""
    model: Callable[[Mapping[str, str]], str] = lambda _: "demo-text"
    """Gives the model's name; only of upstreams that are not told by headers does it say what."""


def model_of(knobs: Mapping[str, str]) -> str:
    """Return the name of the model of `benchmarks.chat` that answers as these knobs say."""
    milliseconds = round(float(knobs.get("x-demo-interval", "0")) * 1000)
    events, characters = knobs.get("x-demo-events", "8"), knobs.get("x-demo-event-bytes", "24")
    return f"bench-{events}-{characters}-{milliseconds}"


def conversation(model: str, length: int) -> str:
    """Return a request of about `length` bytes, as agents send them: history, a short prompt."""
    turn = "benchmark " * (_TURN_BYTES // 10)
    history = [
        {"role": ("user", "assistant")[n % 2], "content": [{"type": "text", "text": turn}]}
        for n in range(2 * round(length / _TURN_BYTES / 2))
    ]
    prompt = {"role": "user", "content": "And now? " * 20}
    return json.dumps(
        {"model": model, "max_tokens": 1024, "stream": True, "messages": [*history, prompt]}
    )


def _messages(model: str, prompt: str, stream: bool) -> str:
    turns = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "max_tokens": 1024, "messages": turns, "stream": stream})


def _chat(model: str, prompt: str, stream: bool) -> str:
    # No stream_options: the bridge asks for the counts, and keeps them from the client.
    turns = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "messages": turns, "stream": stream})


def _responses(model: str, prompt: str, stream: bool) -> str:
    content = [{"type": "input_text", "text": prompt}]
    turns = [{"type": "message", "role": "user", "content": content}]
    return json.dumps({"model": model, "input": turns, "store": False, "stream": stream})


MESSAGES = Speech(name="messages", path="/v1/messages", body=_messages, frame_events=6)
"""Start, block start, ping, block stop, delta, stop."""
CHAT = Speech(name="chat", path="/v1/chat/completions", body=_chat, frame_events=4)
"""Role, finish, usage, `[DONE]`."""
RESPONSES = Speech(name="responses", path="/v1/responses", body=_responses, frame_events=8)
"""Created, in progress, item added, part added, text done, part done, item done, completed."""
CHAT_BY_MODEL = Speech(
    name="chat",
    path="/v1/chat/completions",
    body=_chat,
    frame_events=3,
    model=model_of,
)
"""Role, finish, `[DONE]`; of the upstream that other gateways can be pointed at."""
MESSAGES_BY_MODEL = Speech(
    name="messages", path="/v1/messages", body=_messages, frame_events=6, model=model_of
)
"""Of the same upstream."""
BEDROCK = Speech(
    name="bedrock",
    path="/v1/messages",
    body=_messages,
    frame_events=5,
    served_at="/bedrock",
    knobs="x-amzn-bedrock-demo-",
)
"""Start, block start, block stop, delta, stop; framed as AWS does on the upstream's side."""
