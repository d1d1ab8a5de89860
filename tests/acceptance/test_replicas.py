"""Two bridges on one database behind a load balancer: either can be restarted under load."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests.acceptance.changing import ChangingCase, asking, eventually_in_thread
from tests.acceptance.running import command
from tests.acceptance.test_drain import DRAIN_SECONDS, ENDED_WELL
from tests.acceptance.test_under_load import states_in
from tests.acceptance.under_load import COMPLETE, Load
from tests.durability.database import Database
from tests.durability.records import Records
from tests.loopback.speech import RESPONSES
from tests.support.balancer import Balancer
from tests.support.bridge_process import BridgeProcess, eventually
from tests.support.fakes import unused_port
from tests.support.rawclient import raw_request
from tests.support.rawclient_blocking import BlockingClient

CLIENTS = 20
BETWEEN = 150
"""Complete answers between one change and the next."""
FOLLOWED_SECONDS = 15.0
_NGINX = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream bridges {{
    server 127.0.0.1:{first} max_fails=0; server 127.0.0.1:{second} max_fails=0;
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://bridges;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


class ReplicaCase(ChangingCase):
    """Two bridges, each with a directory of its own; only the first one's made the first tokens."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        super().setUp()
        database = Database(directory=self.directory / "database")
        self.addCleanup(deferToThread, database.close)
        await deferToThread(database.start)
        self.database = database.address
        self.upstream = await self.provider("both", *self.speeches)
        names = [each.provider for each in self.speeches] or ["anthropic"]
        settings = self.settings(
            *[self.upstream.configured(each) for each in names],
            database=self.database,
            limits={"drain": f"{DRAIN_SECONDS}s"},
        )
        self.bridges = [self.new_bridge(name, settings) for name in ("first", "second")]
        first, second = self.bridges
        await deferToThread(first.start)
        await deferToThread(partial(second.start, until_ready=False))
        await deferToThread(wait_until_ready, second)
        self.take(first)

    speeches: tuple[Any, ...] = ()
    timeout = 180

    def new_bridge(self, name: str, settings: dict[str, Any]) -> BridgeProcess:
        directory = self.directory / name
        directory.mkdir()
        bridge = BridgeProcess(directory=directory, settings=settings)
        self.addCleanup(deferToThread, bridge.close)
        return bridge

    async def status_of(self, bridge: BridgeProcess, token: bytes, body: bytes = b"") -> int:
        """Return what a bridge says to a request with this token."""
        client = await self.connect(bridge.port)
        client.send(body or asking(token, "who am I"))
        response = await client.response()
        await client.close()
        return response.status


class RestartTests(ReplicaCase):
    async def test_each_is_restarted_behind_a_tcp_balancer_and_no_request_fails(self) -> None:
        balancer = Balancer([each.port for each in self.bridges])
        balancer.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(balancer.stop()))

        await self.assert_no_request_fails(balancer.port)
        self.assertGreater(balancer.refused, 0)
        self.assertGreater(min(balancer.served.values()), CLIENTS)

    async def test_each_is_restarted_behind_nginx_and_no_request_fails(self) -> None:
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise SkipTest("nginx is not installed")
        port = unused_port()
        await deferToThread(self.start_nginx, program, port)

        await self.assert_no_request_fails(port)

    async def assert_no_request_fails(self, port: int) -> None:
        """Restart both under load, one after the other; everything is answered and stored once."""
        answers = {self.upstream.document(), self.upstream.stream()}
        load = Load(port=port, token=self.token, clients=CLIENTS, answers=answers)
        load.begin()
        await load.complete(BETWEEN)
        for bridge in self.bridges:
            code = await deferToThread(bridge.terminate)
            self.assertIn(code, ENDED_WELL)
            await load.complete(BETWEEN)
            await deferToThread(partial(bridge.start, until_ready=False))
            await deferToThread(wait_until_ready, bridge)
            await load.complete(BETWEEN)
        await load.stop()
        print(f"\nreplicas restarted: {len(load.asked)} requests, {dict(load.counts)}", flush=True)

        self.assertEqual(set(load.counts), {COMPLETE})
        for bridge in self.bridges:
            await deferToThread(bridge.terminate)
            self.assertNotIn("Traceback", bridge.output)
        states = await deferToThread(states_in, self.database)
        self.assertEqual(states, {each.prompt: "completed" for each in load.asked})
        records = Records(self.database)
        self.assertEqual(await deferToThread(records.stored), len(load.asked))
        self.assertEqual(len(self.upstream.requests), len(load.asked))

    def start_nginx(self, program: str, port: int) -> None:
        directory = self.directory / "nginx"
        directory.mkdir()
        config = directory / "nginx.conf"
        first, second = (each.port for each in self.bridges)
        config.write_text(_NGINX.format(directory=directory, port=port, first=first, second=second))
        process = subprocess.Popen(
            [program, "-p", str(directory), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        eventually(lambda: answers_on(self.bridges[0], port), seconds=10.0, what="nginx")


class SharingTests(ReplicaCase):
    speeches = (RESPONSES,)

    async def test_what_one_is_told_the_other_knows(self) -> None:
        first, second = self.bridges
        made = await self.run_command("token", "create", "--user", "admin", "--name", "shared")
        token = made.strip().encode()
        both = asking(token, "hello", RESPONSES)
        await self.eventually_status(second, both, 200)
        self.assertEqual(await self.status_of(first, token, both), 200)

        await self.run_command("token", "revoke", token.decode().split("_")[1])

        await gatherResults(
            [
                Deferred.fromCoroutine(self.eventually_status(each, both, 401))
                for each in self.bridges
            ]
        )

    async def test_a_stored_object_made_through_one_is_found_by_the_other(self) -> None:
        first, second = self.bridges
        self.assertEqual(
            await self.status_of(first, self.token, asking(self.token, "keep this", RESPONSES)), 200
        )
        kept = json.loads(self.upstream.document(RESPONSES))["id"]
        link = b',"previous_response_id":"%b"}' % kept.encode()
        headers = [
            (b"Authorization", b"Bearer " + self.token),
            (b"Content-Type", b"application/json"),
        ]

        go_on = raw_request(b"POST", b"/openai/v1/responses", RESPONSES.ask[:-1] + link, headers)

        await self.eventually_status(second, go_on, 200)
        other = go_on.replace(kept.encode(), b"resp_7")
        self.assertEqual(await deferToThread(blocking_status, second.port, other), 404)

    async def test_sessions_count_what_came_through_either_once(self) -> None:
        for bridge in self.bridges * 3:
            body = asking(self.token, "in one session", RESPONSES)
            self.assertEqual(await self.status_of(bridge, self.token, body), 200)
        records = Records(self.database)

        await eventually_in_thread(
            lambda: records.stored() == 6 and records.sessions_agree(),
            "sessions that count all",
            FOLLOWED_SECONDS,
        )

    async def run_command(self, *arguments: str) -> str:
        """Run a command at the first bridge; return what it says."""
        done = await deferToThread(partial(command, self.bridges[0], *arguments))
        self.assertEqual(done.returncode, 0, done.stderr)
        return str(done.stdout)

    async def eventually_status(self, bridge: BridgeProcess, request: bytes, wanted: int) -> None:
        """Wait until this bridge answers this request so."""
        await eventually_in_thread(
            lambda: blocking_status(bridge.port, request) == wanted,
            f"{wanted} from {bridge.directory.name}",
            FOLLOWED_SECONDS,
        )


def blocking_status(port: int, request: bytes) -> int:
    """Return the status of the answer to a request on a connection of its own."""
    with BlockingClient(port) as client:
        client.send(request)
        return client.response().status


def wait_until_ready(bridge: BridgeProcess) -> None:
    """Wait for 200 at /readyz; the tokens are another's."""
    eventually(
        lambda: answers_on(bridge, bridge.port), seconds=60.0, what=f"{bridge.directory.name}"
    )


def answers_on(bridge: BridgeProcess, port: int) -> bool:
    """Return whether a bridge that runs is ready, asked at `port`."""
    assert bridge.running, bridge.output
    try:
        status, _, _ = bridge.ask("GET", "/readyz", token=None, port=port, seconds=5.0)
    except OSError:
        return False
    return status == 200
