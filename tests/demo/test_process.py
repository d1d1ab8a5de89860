"""The demo as a child process: a real one, because that is what this is about."""

from __future__ import annotations

import http.client
import json
import os
import signal

import structlog
from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from bridge.demo.process import DemoAddress, DemoProcess
from tests.demo.asking import request


def ask(address: DemoAddress) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address.base_url.removeprefix("http://"), timeout=20)
    headers = {"x-api-key": address.secret.reveal()}
    try:
        connection.request("POST", "/v1/messages", json.dumps(request("demo-text")), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class ProcessTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.demo = DemoProcess(reactor=reactor, log=structlog.get_logger())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.demo.stop()))

    async def test_started_it_answers_on_its_address_with_its_secret(self) -> None:
        with capture_logs():
            address = await self.demo.start()

        status, body = await deferToThread(ask, address)

        self.assertEqual(status, 200)
        self.assertIn(b"nonce-17", body)

    async def test_killed_it_comes_back_on_the_same_address(self) -> None:
        with capture_logs() as logged:
            address = await self.demo.start()
            os.kill(logged[0]["pid"], signal.SIGKILL)

            # Nothing to wait for here: the connection waits in the socket, which is still ours.
            status, _ = await deferToThread(ask, address)

        self.assertEqual(status, 200)

    async def test_stopped_nobody_listens_any_more(self) -> None:
        with capture_logs():
            address = await self.demo.start()

        await self.demo.stop()

        with self.assertRaises(ConnectionRefusedError):
            await deferToThread(ask, address)

    async def test_secret_is_not_on_the_command_line(self) -> None:
        with capture_logs() as logged:
            address = await self.demo.start()

        arguments = FilePath(f"/proc/{logged[0]['pid']}/cmdline").getContent()
        self.assertIn(b"bridge.demo", arguments)
        self.assertNotIn(address.secret.reveal().encode(), arguments)
