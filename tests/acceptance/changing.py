"""A bridge that is changed or stopped while answers run, between fakes in this process' reactor."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.acceptance.running import command
from tests.loopback.speech import MESSAGES, Speech
from tests.support.bridge_process import BridgeProcess, eventually
from tests.support.fakes import (
    LAST_CHUNK,
    FakeUpstream,
    Hold,
    Received,
    Send,
    Step,
    answer,
    chunk,
    stream_head,
)
from tests.support.rawclient import CLEAN, RawClient, RawResponse, raw_request

SECONDS = 20.0
HELD = "hold the end"
"""In the prompt of what waits until it is released: a stream before its last events."""
_PAUSE_SECONDS = 0.01


class Provider(FakeUpstream):
    """Answers every request of some APIs at its own pace, with a word of its own in the text."""

    def __init__(self, word: str, *speeches: Speech) -> None:
        """Say `word` in these APIs, Messages if none is named."""
        super().__init__(reactor, self._steps)
        self.word = word
        self._speeches = {each.upstream_target: each for each in speeches or (MESSAGES,)}

    def configured(self, name: str = "anthropic", key: str = "sk-first") -> dict[str, Any]:
        """Return what the configuration says of it."""
        path = "/v1" if name == "openai" else ""
        return {"name": name, "type": name, "base_url": self.url + path, "key": key}

    def document(self, speech: Speech = MESSAGES) -> bytes:
        """Return its answer that is no stream."""
        return speech.document.replace(b'"Hi"', b'"%b"' % self.word.encode())

    def stream(self, speech: Speech = MESSAGES) -> bytes:
        """Return its whole stream."""
        return speech.start + self._text(speech) + speech.end

    def begun(self, speech: Speech = MESSAGES) -> bytes:
        """Return what has come of a stream that is held."""
        return speech.start + self._text(speech)

    def _text(self, speech: Speech) -> bytes:
        return speech.text.replace(b'"Hi"', b'"%b"' % self.word.encode())

    def _steps(self, received: Received) -> Sequence[Step]:
        speech = self._speeches[received.target]
        if b'"stream": true' not in received.body:
            whole = Send(answer(self.document(speech)), cuts=(20,), pause_seconds=_PAUSE_SECONDS)
            return [Hold(), whole] if HELD.encode() in received.body else [whole]
        steps: list[Step] = [Send(stream_head())]
        events = [speech.start, *_events(self._text(speech)), *_events(speech.end)]
        steps += [Send(chunk(each), pause_seconds=_PAUSE_SECONDS) for each in events]
        if HELD.encode() in received.body:
            steps.insert(len(steps) - len(_events(speech.end)), Hold())
        return [*steps, Send(LAST_CHUNK)]


class ChangingCase(TestCase):
    """Has fakes in this process' reactor, so whatever waits for the bridge does so in a thread."""

    timeout = 120

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)

    async def provider(self, word: str, *speeches: Speech) -> Provider:
        """Return a provider that listens."""
        provider = Provider(word, *speeches)
        await provider.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.stop()))
        return provider

    async def start(self, *providers: Mapping[str, Any], **settings: Any) -> None:
        """Start `self.bridge` with these entries."""
        self.bridge = BridgeProcess(
            directory=self.directory, settings=self.settings(*providers, **settings)
        )
        self.addCleanup(deferToThread, self.bridge.close)
        await deferToThread(self.bridge.start)
        self.take(self.bridge)

    def take(self, bridge: BridgeProcess) -> None:
        """Use a bridge that runs; what it has said so far is another's."""
        self.bridge = bridge
        self.token = bridge.token().encode()
        self._said_before = len(bridge.output)

    @property
    def output(self) -> str:
        """What the bridge has said since it was taken."""
        return self.bridge.output[self._said_before :]

    def settings(self, *providers: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
        """Return a configuration with these entries; `limit_x` is of the gateway."""
        gateway = {
            name.removeprefix("limit_"): settings.pop(name)
            for name in tuple(settings)
            if name.startswith("limit_")
        }
        return {"aibridge": {"providers": list(providers), **gateway}, **settings}

    def configure(self, *providers: Mapping[str, Any], **settings: Any) -> None:
        """Write the configuration file anew; nothing is told to the bridge."""
        self.bridge.configure(self.settings(*providers, **settings))

    async def connect(self, port: int | None = None) -> RawClient:
        """Return a connection to the bridge."""
        client = await RawClient.to(reactor, port or self.bridge.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(client.reset()))
        return client

    async def ask(self, prompt: str, speech: Speech = MESSAGES) -> RawResponse:
        """Send a prompt on a connection of its own; return the answer."""
        client = await self.connect()
        client.send(asking(self.token, prompt, speech))
        response = await client.response()
        self.assertEqual(response.end, CLEAN)
        return response

    async def begin(self, provider: Provider, prompt: str, speech: Speech = MESSAGES) -> RawClient:
        """Begin a stream that goes on only when `provider` is told to release it."""
        client = await self.connect()
        held = f"{prompt}; {HELD}"
        client.send(asking(self.token, held, speech, stream=True))
        await client.begun(provider.begun(speech))
        return client

    async def probe(self, client: RawClient, path: bytes = b"/readyz") -> tuple[int, bytes]:
        """Ask for the bridge's health on this connection; return status and body."""
        client.send(raw_request(b"GET", path))
        response = await client.response()
        return response.status, response.body

    async def said(self, text: str, times: int = 1) -> str:
        """Wait until the bridge has said `text` so often; return what it has said."""
        await eventually_in_thread(
            lambda: self.output.count(text) >= times, f"{text!r}, {times} times"
        )
        return self.output

    async def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command; return how it ended and what it said."""
        done: subprocess.CompletedProcess[str] = await deferToThread(
            partial(command, self.bridge, *arguments)
        )
        return done


def asking(token: bytes, prompt: str, speech: Speech = MESSAGES, *, stream: bool = False) -> bytes:
    """Return a request with this prompt, as it goes over the wire."""
    document = json.loads(speech.ask.replace(b"Hello", prompt.encode()))
    if stream:
        document["stream"] = True
    target = b"/" + speech.provider.encode() + speech.target
    headers = [(b"Authorization", b"Bearer " + token), (b"Content-Type", b"application/json")]
    return raw_request(b"POST", target, json.dumps(document).encode(), headers)


async def eventually_in_thread(condition: Any, what: str, seconds: float = SECONDS) -> None:
    """Look at `condition` in a thread until it is true; the reactor goes on."""
    await deferToThread(partial(eventually, condition, seconds=seconds, what=what))


def _events(stream: bytes) -> list[bytes]:
    return [each + b"\n\n" for each in stream.split(b"\n\n") if each]
