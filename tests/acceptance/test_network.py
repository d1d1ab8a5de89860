"""The real bridge in a company's network: TLS for its clients, a proxy, the company's authority."""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bridge.upstream.trust import certificates_in, policy_trusting
from tests.acceptance.broker import COMPLETION
from tests.acceptance.running import AcceptanceCase, message, recorded, said
from tests.support.bridge_process import BridgeProcess
from tests.support.certificates import Authority, Issued, SecureListening
from tests.support.fakes import (
    LAST_CHUNK,
    FakeUpstream,
    Hold,
    Script,
    Send,
    Step,
    answer,
    chunk,
    stream_head,
    unused_port,
)
from tests.support.proxies import FakeProxy
from tests.support.rawclient import CLEAN, RawClient, raw_request
from tests.support.rawclient_blocking import BlockingClient

KEY = "sk-the-organisations-own-key"
USAGE = {"input_tokens": 7, "output_tokens": 1}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5"}
MESSAGES: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
EVENTS = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in MESSAGES]


class NetworkCase(TestCase):
    """Has fakes in this process' reactor, so whatever waits for the bridge does so in a thread."""

    timeout = 120

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)
        self.authority = Authority.root()
        self.ca_file = self.directory / "ca.pem"
        self.ca_file.write_bytes(self.authority.certificate_pem)

    async def serve(self, script: Script, issued: Issued | None = None) -> None:
        """Start `self.upstream`; it speaks TLS if there is a certificate to show."""
        listening = SecureListening(reactor, issued) if issued is not None else reactor
        self.upstream = FakeUpstream(listening, script)
        await self.upstream.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.upstream.stop()))

    def new_bridge(
        self, provider: Mapping[str, str], environment: Mapping[str, str] | None = None
    ) -> BridgeProcess:
        """Return a bridge, not started, that ends with the test."""
        self.provider = {"key": KEY, **provider}
        bridge = BridgeProcess(
            directory=self.directory,
            settings={"aibridge": {"providers": [self.provider]}},
            environment=environment,
        )
        self.addCleanup(deferToThread, bridge.close)
        return bridge


class TrustedProxyTests(AcceptanceCase):
    """All clients behind a proxy share its address."""

    def test_a_proxy_may_have_more_connections_than_one_address(self) -> None:
        limits = {"connections_per_address": 1}
        bridge = self.new_bridge({"limits": limits, "trusted_proxies": ["127.0.0.1"]})
        bridge.start()

        with BlockingClient(bridge.port), BlockingClient(bridge.port):
            status, _, _ = bridge.ask("GET", "/readyz", token=None)

        self.assertEqual(status, 200)


class TlsListenerTests(NetworkCase):
    """`listen: ssl:…`: clients speak TLS with the bridge itself."""

    async def connect(self, port: int) -> RawClient:
        """Return a TLS connection to the bridge, whose certificate is looked at."""
        policy = policy_trusting(certificates_in(self.ca_file))
        endpoint = wrapClientTLS(
            policy.creatorForNetloc(b"127.0.0.1", port),
            TCP4ClientEndpoint(reactor, "127.0.0.1", port),
        )
        client: RawClient = await connectProtocol(endpoint, RawClient())
        self.addCleanup(lambda: Deferred.fromCoroutine(client.reset()))
        return client

    async def test_a_stream_arrives_event_by_event_and_whole(self) -> None:
        """Each event reaches the client before the provider sends the next."""
        steps: list[Step] = [Send(stream_head())]
        for each in EVENTS:
            steps += [Send(chunk(each)), Hold()]
        await self.serve([*steps, Send(LAST_CHUNK)])
        bridge = self.new_bridge(
            {"name": "anthropic", "type": "anthropic", "base_url": self.upstream.url}
        )
        port = self.listen_with_tls(bridge)
        await deferToThread(bridge.start)
        client = await self.connect(port)

        client.send(
            raw_request(
                b"POST",
                b"/anthropic/v1/messages",
                message("claude-sonnet-5", "network: over tls", stream=True),
                [(b"x-api-key", bridge.token().encode()), (b"content-type", b"application/json")],
            )
        )
        for each in EVENTS:
            await client.begun(each)
            self.upstream.release()
        response = await client.response()

        self.assertEqual((response.status, response.end), (200, CLEAN))
        self.assertEqual(response.body, b"".join(EVENTS))
        record = await deferToThread(recorded, bridge, "network: over tls")
        self.assertEqual(record["status"], "completed")

    async def test_who_does_not_speak_tls_gets_nothing(self) -> None:
        await self.serve([Send(answer(b"{}"))])
        bridge = self.new_bridge(
            {"name": "anthropic", "type": "anthropic", "base_url": self.upstream.url}
        )
        port = self.listen_with_tls(bridge)
        await deferToThread(bridge.start)
        client = await RawClient.to(reactor, port)

        client.send(raw_request(b"GET", b"/healthz"))

        await client.ended()
        self.assertEqual(client.reader.responses, [])
        self.assertEqual((await deferToThread(bridge.ask, "GET", "/healthz", token=None))[0], 200)

    def listen_with_tls(self, bridge: BridgeProcess) -> int:
        """Have the bridge listen with TLS too; return the port."""
        port = unused_port()
        key, certificate = self.authority.issue("127.0.0.1").write(self.directory)
        bridge.configure(
            {
                "listen": [
                    f"tcp:{bridge.port}:interface=127.0.0.1",
                    f"ssl:{port}:privateKey={key}:certKey={certificate}:interface=127.0.0.1",
                ],
                "aibridge": {"providers": [self.provider]},
            }
        )
        return port


class ProxyTests(NetworkCase):
    """HTTPS_PROXY as the shell has it, and a provider whose authority is the company's own."""

    async def start(self, **environment: str) -> None:
        """Start everything; the proxy is in the bridge's environment."""
        script = [Send(answer(COMPLETION))]
        await self.serve(script, self.authority.issue("localhost"))
        self.proxy = FakeProxy(reactor, to_port=self.upstream.port)
        await self.proxy.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.proxy.stop()))
        self.bridge = self.new_bridge(
            {
                "name": "openai",
                "type": "openai",
                "base_url": f"https://localhost:{self.upstream.port}/v1",
            },
            {"HTTPS_PROXY": self.proxy.url.replace("://", "://ada:hunter2@"), **environment},
        )
        await deferToThread(self.bridge.start)

    async def ask(self, prompt: str) -> tuple[int, Any]:
        """Send a prompt; return the status and the document that came back."""
        turns = [{"role": "user", "content": prompt}]
        body = json.dumps({"model": "some-model", "messages": turns}).encode()
        status, _, received = await deferToThread(
            self.bridge.ask,
            "POST",
            "/openai/v1/chat/completions",
            body,
            headers={"Content-Type": "application/json"},
        )
        return status, json.loads(received)

    async def test_a_request_goes_through_the_proxy_and_is_recorded(self) -> None:
        await self.start(AIBRIDGE_CA_FILE=str(self.ca_file))

        status, document = await self.ask("network: through the proxy")

        self.assertEqual((status, document), (200, json.loads(COMPLETION)))
        host = f"localhost:{self.upstream.port}"
        account = b64encode(b"ada:hunter2").decode()
        self.assertEqual(
            [each.decode().split("\r\n") for each in self.proxy.asked],
            [
                [
                    f"CONNECT {host} HTTP/1.1",
                    f"Host: {host}",
                    f"Proxy-Authorization: Basic {account}",
                ]
            ],
        )
        self.assertNotIn(KEY.encode(), self.proxy.sent)
        (received,) = self.upstream.requests
        self.assertEqual(received.line, b"POST /v1/chat/completions HTTP/1.1")
        self.assertEqual(received.header(b"authorization"), f"Bearer {KEY}".encode())
        self.assertIsNone(received.header(b"proxy-authorization"))
        record = await deferToThread(recorded, self.bridge, "network: through the proxy")
        self.assertEqual(record["status"], "completed")
        self.assertNotIn("hunter2", self.bridge.output)
        self.assertNotIn(account, self.bridge.output)

    async def test_what_no_proxy_names_is_reached_directly(self) -> None:
        await self.start(AIBRIDGE_CA_FILE=str(self.ca_file), NO_PROXY="localhost")

        status, document = await self.ask("network: directly")

        self.assertEqual((status, document), (200, json.loads(COMPLETION)))
        self.assertEqual(self.proxy.asked, [])
        self.assertEqual(len(self.upstream.requests), 1)

    async def test_a_stranger_behind_the_proxy_is_named_in_the_log_only(self) -> None:
        """Without the company's authority its certificate is worth nothing."""
        await self.start()

        status, document = await self.ask("network: a stranger")

        self.assertEqual(status, 502)
        self.assertEqual(
            document["error"]["message"],
            "The provider cannot be reached, or broke off before it answered.",
        )
        self.assertEqual(self.upstream.requests, [])
        await deferToThread(
            said,
            self.bridge,
            "The certificate shown by localhost is issued by nobody that is trusted (ca_file)",
        )

    async def test_a_ca_file_that_holds_none_stops_the_start(self) -> None:
        self.ca_file.write_bytes(self.authority.key_pem)
        bridge = self.new_bridge(
            {"name": "openai", "type": "openai", "base_url": "https://localhost:1/v1"},
            {"AIBRIDGE_CA_FILE": str(self.ca_file)},
        )

        bridge.start(until_ready=False)

        self.assertEqual(await deferToThread(bridge.wait), 2)
        self.assertIn(
            f"ca_file: names the file {self.ca_file}, which holds no certificate (PEM)",
            bridge.output,
        )
