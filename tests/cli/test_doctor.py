"""`aibridge doctor`: every kind of trouble has its sentence and what to do about it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bridge.bedrock import EXTERNAL_ID_FILE
from bridge.journal.directory import WRITER_LOCK_NAME, try_lock
from bridge.journal.files import private_directory
from tests.cli.process import ProcessCase
from tests.support.bedrock import ACCESS_KEY, MODELS, REGION, SECRET, AwsError, FakeBedrock
from tests.support.fakes import FakeUpstream, Send, Step, unused_port

KEY = "sk-" + "a1" * 20


def answer(status: str, *, ahead_seconds: float = 0.0) -> bytes:
    """Return an answer whose sender's clock is ahead."""
    date = formatdate(float(reactor.seconds()) + ahead_seconds, usegmt=True)  # type: ignore[attr-defined]
    return f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}".encode()


class DoctorTests(ProcessCase):
    async def setUp(self) -> None:
        await super().setUp()
        private_directory(self.data_dir)
        self.port = unused_port()
        self.settings: dict[str, Any] = {
            "listen": f"tcp:{self.port}:interface=127.0.0.1",
            "operations_listen": "",
            "aibridge": {"providers": []},
        }

    async def examined(
        self, *arguments: str, expected: int = 0, **environment: str
    ) -> dict[str, dict[str, str]]:
        """Return what the doctor finds, by what was looked at."""
        config = self.directory / "bridge.yaml"
        config.write_text(yaml.safe_dump(self.settings))
        out, _ = await self.call(
            *("--config", str(config), "doctor", "--json", *arguments),
            expected=expected,
            **environment,
        )
        found = json.loads(out)
        self.assertEqual(found["ok"], expected == 0)
        return {each["check"]: each for each in found["checks"]}

    async def upstream(self, answered: bytes | Callable[[], bytes]) -> FakeUpstream:
        upstream = FakeUpstream(
            reactor, lambda _: [Send(answered() if callable(answered) else answered)]
        )
        await upstream.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(_stopped(upstream)))
        return upstream

    def provider(self, port: int, *keys: str, **more: Any) -> None:
        """Configure one more provider on loopback."""
        self.settings["aibridge"]["providers"].append(
            {
                "name": f"p{len(self.settings['aibridge']['providers'])}",
                "type": "openai",
                "base_url": f"http://127.0.0.1:{port}/v1",
                "keys": list(keys),
                **more,
            }
        )

    async def test_all_is_well(self) -> None:
        # Its clock is read when it answers, whatever was slow before.
        upstream = await self.upstream(lambda: answer("200 OK"))
        self.provider(upstream.port, KEY)

        found = await self.examined()

        self.assertEqual(
            {check: each["state"] for check, each in found.items()},
            {
                "configuration": "ok",
                "data directory": "ok",
                "disk space": found["disk space"]["state"],
                "journal": "ok",
                "known tokens": "warning",
                "open files": found["open files"]["state"],
                f"listen {self.settings['listen']}": "ok",
                "running bridge": "warning",
                "database": "ok",
                "clock against the database": "ok",
                "provider p0": "ok",
            },
        )
        (request,) = upstream.requests
        self.assertEqual(request.header(b"authorization"), b"Bearer " + KEY.encode())
        self.assertEqual(request.target, b"/v1/models")

    async def test_a_refused_key_is_named_by_its_hint_only(self) -> None:
        upstream = await self.upstream(answer("401 Unauthorized"))
        self.provider(upstream.port, KEY)

        found = await self.examined(expected=1)

        self.assertEqual(found["provider p0"]["state"], "failed")
        self.assertIn("refuses the key", found["provider p0"]["says"])
        self.assertIn("reload", found["provider p0"]["advice"])
        self.assertNotIn(KEY, json.dumps(found))

    async def test_a_provider_out_of_reach(self) -> None:
        self.provider(unused_port(), KEY)
        self.provider(1, base_url="https://nowhere.invalid/v1", keys=[KEY])

        found = await self.examined(expected=1)

        self.assertIn("Nobody listens", found["provider p0"]["says"])
        self.assertIn("name in https://nowhere.invalid is not known", found["provider p1"]["says"])

    async def test_a_provider_that_speaks_no_tls(self) -> None:
        upstream = await self.upstream(answer("200 OK"))
        self.provider(1, base_url=f"https://127.0.0.1:{upstream.port}/v1", keys=[KEY])

        found = await self.examined(expected=1)

        self.assertEqual(found["provider p0"]["state"], "failed")

    async def test_a_provider_without_a_key_is_only_reached(self) -> None:
        upstream = await self.upstream(answer("401 Unauthorized"))
        self.provider(upstream.port)

        found = await self.examined()

        self.assertEqual(found["provider p0"]["state"], "ok")
        self.assertIn("bring their own keys", found["provider p0"]["says"])
        self.assertIsNone(upstream.requests[0].header(b"authorization"))

    async def bedrock(self, **more: Any) -> FakeBedrock:
        """Configure Bedrock on loopback with a pair that it knows, unless `more` says otherwise."""
        fake = FakeBedrock(reactor)
        await fake.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))
        self.settings["aibridge"]["providers"].append(
            {
                "name": "p0",
                "type": "bedrock",
                "base_url": fake.url,
                "region": REGION,
                "access_key": ACCESS_KEY,
                "access_key_secret": SECRET,
                **more,
            }
        )
        return fake

    @staticmethod
    def aws_error(status: int, kind: str) -> list[Sequence[Step]]:
        return [[Send(AwsError(status, kind, "No.").answer())]]

    async def test_bedrock_is_asked_with_a_signature_and_nothing_to_run(self) -> None:
        fake = await self.bedrock(model=MODELS[0])
        fake.steps = self.aws_error(400, "ValidationException")

        found = await self.examined()

        self.assertEqual(
            (found["provider p0"]["state"], found["provider p0"]["says"]),
            ("ok", "It accepts the AWS credentials."),
        )
        (request,) = fake.requests
        self.assertEqual((request.line[:5], request.body), (b"POST ", b"{}"))
        self.assertEqual(request.target, f"/model/{quote(MODELS[0], safe='')}/invoke".encode())
        self.assertNotIn(SECRET, json.dumps(found))

    async def test_bedrock_refuses_a_signature(self) -> None:
        await self.bedrock(access_key_secret="another/secret+of+forty+characters+for+te")

        found = await self.examined(expected=1)

        self.assertIn("refuses the AWS credentials (403 Inv", found["provider p0"]["says"])
        self.assertIn("clock", found["provider p0"]["advice"])

    async def test_bedrock_does_not_allow_the_model(self) -> None:
        fake = await self.bedrock()
        fake.steps = self.aws_error(403, "AccessDeniedException")

        found = await self.examined(expected=1)

        self.assertIn("accepts the signature, and does not allow", found["provider p0"]["says"])
        self.assertIn("bedrock:InvokeModel", found["provider p0"]["advice"])

    async def test_bedrock_without_credentials_anywhere(self) -> None:
        await self.bedrock(access_key="", access_key_secret="")

        found = await self.examined(
            expected=1, AWS_EC2_METADATA_DISABLED="true", HOME=str(self.directory)
        )

        self.assertIn("There are no AWS credentials", found["provider p0"]["says"])

    async def test_a_role_without_an_external_id_is_left_to_the_bridge(self) -> None:
        """Which makes the id: the doctor changes nothing."""
        fake = await self.bedrock(role_arn="arn:aws:iam::123456789012:role/bridge")

        found = await self.examined()

        self.assertEqual(found["provider p0"]["state"], "warning")
        self.assertEqual(fake.requests, [])
        self.assertFalse((self.data_dir / EXTERNAL_ID_FILE).exists())

    async def test_copilot_is_asked_for_its_models_with_a_token_for_everybody(self) -> None:
        upstream = await self.upstream(answer("401 Unauthorized"))
        more = {"type": "copilot", "base_url": f"http://127.0.0.1:{upstream.port}"}
        self.provider(upstream.port, KEY, **more)
        self.provider(upstream.port, **more)

        found = await self.examined(expected=1)

        self.assertIn("refuses the key", found["provider p0"]["says"])
        self.assertIn("bring their own keys", found["provider p1"]["says"])
        targets = [(each.target, each.header(b"authorization")) for each in upstream.requests]
        self.assertIn((b"/models", b"Bearer " + KEY.encode()), targets)

    async def test_offline_asks_no_provider(self) -> None:
        upstream = await self.upstream(answer("200 OK"))
        self.provider(upstream.port, KEY)

        found = await self.examined("--offline")

        self.assertNotIn("provider p0", found)
        self.assertEqual(upstream.requests, [])

    async def test_a_clock_that_is_wrong(self) -> None:
        upstream = await self.upstream(answer("200 OK", ahead_seconds=3600))
        self.provider(upstream.port, KEY)

        found = await self.examined(expected=1)

        self.assertIn("s behind", found["clock against provider p0"]["says"])

    async def test_a_configuration_that_cannot_be_used(self) -> None:
        self.settings["listen"] = "tcp:1:interface=127.0.0.1"
        self.settings["no_such_option"] = True

        found = await self.examined(expected=1)

        self.assertEqual(list(found), ["configuration"])
        self.assertIn("no_such_option", found["configuration"]["says"])

    async def test_a_database_that_is_away(self) -> None:
        nowhere = f"postgresql://nobody:secret@127.0.0.1:{unused_port()}/none"

        found = await self.examined(expected=1, AIBRIDGE_DATABASE=nowhere)

        self.assertEqual(found["database"]["state"], "failed")
        self.assertNotIn("secret", json.dumps(found))

    async def test_an_embedded_database_before_the_first_start(self) -> None:
        found = await self.examined(AIBRIDGE_DATABASE="embedded")

        self.assertEqual(found["database"]["state"], "warning")

    async def test_others_may_enter_the_data_directory(self) -> None:
        self.data_dir.chmod(0o755)

        found = await self.examined(expected=1)

        self.assertEqual(found["data directory"]["state"], "failed")
        self.assertIn("chmod", found["data directory"]["advice"])

    async def test_a_port_that_another_program_has(self) -> None:
        self.hold_port()

        found = await self.examined(expected=1)

        self.assertIn("Another program", found[f"listen {self.settings['listen']}"]["says"])

    async def test_a_port_that_the_running_bridge_has(self) -> None:
        self.hold_port()
        self.run_bridge()

        found = await self.examined()

        self.assertIn("running bridge", found[f"listen {self.settings['listen']}"]["says"])

    async def test_a_port_that_systemd_opens(self) -> None:
        description = "systemd:domain=INET:index=0"
        found = await self.examined(AIBRIDGE_LISTEN=description)

        self.assertEqual(found[f"listen {description}"]["state"], "ok")
        self.assertIn("systemd opens it", found[f"listen {description}"]["says"])

    async def test_the_running_bridge_is_asked_how_it_does(self) -> None:
        self.run_bridge()
        status = {
            "version": "1.2.3",
            "ready": True,
            "not_ready": None,
            "gateway": {"requests_running": 7},
            "database": {"connected": False, "problem": "connection refused"},
            "providers": [
                {"name": "p0", "keys": [{"state": "out", "hint": "sk-…9", "since": "2026-01-01"}]}
            ],
            "circuit_breakers": [
                {"state": "open", "provider": "p1", "model": "m", "seconds_left": 3}
            ],
        }
        await self.operations(json.dumps(status).encode())

        found = await self.examined()

        self.assertEqual(found["running bridge"]["state"], "ok")
        self.assertIn("7 requests", found["running bridge"]["says"])
        self.assertIn("connection refused", found["running bridge's database"]["says"])
        self.assertIn("p0 has refused sk-…9", found["running bridge's keys"]["says"])
        self.assertIn("p1 is not asked for m", found["running bridge's circuit breakers"]["says"])

    async def test_that_no_bridge_runs_is_said(self) -> None:
        """All may be well, and nobody is served."""
        found = await self.examined()

        self.assertEqual(found["running bridge"]["state"], "warning")
        self.assertIn(f"None runs with the data directory {self.data_dir}", str(found))
        self.assertIn("twistd aibridge", found["running bridge"]["advice"])

    async def test_that_the_database_is_away_is_said_once(self) -> None:
        """The running bridge is asked about it too, and says the same."""
        self.run_bridge()
        problem = "The database at 127.0.0.1 did not answer within 10 s."
        status = {"ready": True, "database": {"connected": False, "problem": problem}}
        await self.operations(json.dumps(status).encode())
        nowhere = f"postgresql://nobody:secret@127.0.0.1:{unused_port()}/none"

        there = await self.examined()
        away = await self.examined(expected=1, AIBRIDGE_DATABASE=nowhere)

        says = f"It is not connected: {problem}"
        self.assertEqual(there["running bridge's database"]["says"], says)
        says = "It is not connected either."
        self.assertEqual(away["running bridge's database"]["says"], says)
        self.assertIn("wait in the journal", away["running bridge's database"]["advice"])

    async def test_a_running_bridge_that_is_not_ready(self) -> None:
        self.run_bridge()
        await self.operations(b'{"ready": false, "not_ready": "journal"}')

        found = await self.examined(expected=1)

        self.assertIn("takes no records", found["running bridge"]["says"])

    async def test_another_program_at_the_operations_port(self) -> None:
        self.run_bridge()
        await self.operations(b"hello")

        found = await self.examined(expected=1)

        self.assertIn("cannot be asked", found["running bridge"]["says"])

    async def test_a_snapshot_that_was_altered(self) -> None:
        snapshot = self.data_dir / "tokens.snapshot"
        snapshot.write_bytes(b"aibridge-tokens-1 0000\n{}")
        snapshot.chmod(0o600)

        found = await self.examined()

        self.assertIn("cut or altered", found["known tokens"]["says"])

    async def test_a_siem_file_in_a_directory_that_is_not_there(self) -> None:
        self.settings["siem"] = {"file": str(self.directory / "gone" / "events.jsonl")}

        found = await self.examined(expected=1)

        self.assertIn("does not exist", found["SIEM file"]["says"])

    async def test_people_read_sentences_with_what_to_do(self) -> None:
        self.data_dir.chmod(0o755)

        out, _ = await self.call("doctor", "--offline", expected=1)

        self.assertIn(f"FAIL  data directory: Others may enter or read {self.data_dir}.\n", out)
        self.assertIn(f"      chmod go= {self.data_dir}\n", out)

    def run_bridge(self) -> None:
        """Be what holds the data directory, as a bridge that runs does."""
        private_directory(self.data_dir / "journal")
        claim = try_lock(self.data_dir / "journal" / WRITER_LOCK_NAME)
        assert claim is not None
        self.addCleanup(claim.release)

    async def operations(self, body: bytes) -> None:
        """Answer at the operations port."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        upstream = await self.upstream(head % len(body) + body)
        self.settings["operations_listen"] = f"tcp:{upstream.port}:interface=127.0.0.1"

    def hold_port(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.addCleanup(listening.close)


async def _stopped(upstream: FakeUpstream) -> None:
    await upstream.stop()
