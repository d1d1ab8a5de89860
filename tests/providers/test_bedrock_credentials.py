"""AWS credentials are at hand before a request needs them, wherever they come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bridge.domain.errors import Unavailable
from bridge.domain.identity import Secret
from bridge.providers.aws_credentials import (
    RenewedCredentials,
    Resolve,
    Resolved,
    StaticCredentials,
    assumed_role,
    default_chain,
    fixed,
)
from tests.support.cases import BridgeTestCase
from tests.support.fakes import FakeUpstream, Received, Send, answer

HOUR = 3600.0
SECRET = "secret/of+forty+characters+that+nobody+knows"
EXPIRATION = "2099-01-01T00:00:00Z"
EXPIRES_AT = 4_070_908_800.0


def pair(number: int) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(f"ASIA000000000000000{number}", SECRET, "token")


class RenewalTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.answers: list[Resolved | Exception] = []
        self.asked = 0
        self.credentials = self.renewed(self.at_once)

    def renewed(self, in_thread: Callable[[Resolve], Deferred[Resolved]]) -> RenewedCredentials:
        return RenewedCredentials(
            name="bedrock", resolve=self.resolve, in_thread=in_thread, clock=self.clock
        )

    def resolve(self) -> Resolved:
        self.asked += 1
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    def at_once(self, work: Resolve) -> Deferred[Resolved]:
        try:
            return succeed(work())
        except Exception as e:  # noqa: BLE001 - as a thread would
            return fail(e)

    def good_for(self, number: int, seconds: float | None) -> None:
        expires = self.clock.seconds() + seconds if seconds is not None else None
        self.answers.append(Resolved(credentials=pair(number), expires_at=expires))

    def test_nothing_is_there_before_it_was_found(self) -> None:
        with self.assertRaisesRegex(Unavailable, "bedrock has no valid AWS credentials") as raised:
            self.credentials.current()

        self.assertEqual(self.credentials.hint, "")
        self.assertIsNotNone(raised.exception.retry_after)

    def test_what_is_found_signs_until_it_expires(self) -> None:
        self.good_for(1, HOUR)
        self.credentials.start()

        self.assertEqual(self.credentials.current(), pair(1))
        self.assertEqual(self.credentials.hint, "ASIA...0001")

        self.clock.pump([30.0] * 89)  # 44.5 minutes: not yet
        self.assertEqual(self.asked, 1)
        self.good_for(2, HOUR)
        self.clock.pump([30.0])
        self.assertEqual((self.asked, self.credentials.current()), (2, pair(2)))

    def test_a_failure_leaves_the_old_ones_until_they_expire(self) -> None:
        self.good_for(1, HOUR)
        self.credentials.start()
        self.answers += [NoCredentialsError() for _ in range(200)]

        with capture_logs() as logs:
            self.clock.pump([30.0] * 119)
            self.assertEqual(self.credentials.current(), pair(1))
            self.clock.pump([30.0])

        with self.assertRaises(Unavailable):
            self.credentials.current()
        self.assertEqual(logs[0]["error"], "NoCredentialsError")
        self.assertIn("Unable to locate credentials", logs[0]["reason"])
        self.assertEqual((logs[0]["still_valid"], logs[-1]["still_valid"]), (True, False))

    def test_they_come_back_once_they_can_be_found(self) -> None:
        self.answers.append(OSError("no file"))
        self.good_for(1, None)
        self.credentials.start()
        self.assertRaises(Unavailable, self.credentials.current)

        self.clock.pump([30.0])

        self.assertEqual(self.credentials.current(), pair(1))

    def test_what_never_expires_is_read_again_all_the_same(self) -> None:
        self.good_for(1, None)
        self.good_for(2, None)
        self.credentials.start()

        self.clock.pump([30.0] * 10)

        self.assertEqual((self.asked, self.credentials.current()), (2, pair(2)))

    def test_one_that_hangs_is_waited_for_and_not_given_a_second(self) -> None:
        waiting: list[Deferred[Resolved]] = []

        def hang(_: Resolve) -> Deferred[Resolved]:
            waiting.append(Deferred())
            return waiting[-1]

        credentials = self.renewed(hang)
        credentials.start()

        with capture_logs() as logs:
            self.clock.pump([30.0] * 5)

        self.assertEqual(len(waiting), 1)
        self.assertEqual([line["error"] for line in logs], ["TimeoutError"])

    def test_it_stops_although_something_hangs(self) -> None:
        credentials = self.renewed(lambda _: Deferred())
        credentials.start()

        self.successResultOf(Deferred.fromCoroutine(credentials.stop()))

        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_secret_is_written_anywhere(self) -> None:
        self.good_for(1, HOUR)
        shown = repr(self.answers)
        with capture_logs() as logs:
            self.credentials.start()

        self.assertNotIn(SECRET, shown + repr(logs))
        self.assertEqual(logs[0]["hint"], "ASIA...0001")

    def test_a_written_pair_is_there_at_once(self) -> None:
        static = StaticCredentials(
            access_key_id="AKIA0000000000000001", secret=Secret(SECRET), session_token=None
        )

        self.assertEqual(static.current()[:3], ("AKIA0000000000000001", SECRET, None))
        self.assertEqual(static.hint, "AKIA...0001")
        self.assertEqual(fixed(static)().credentials, static.current())


class SourceTests(TestCase):
    """Where credentials come from is asked of botocore itself; it blocks, hence the threads."""

    timeout = 60

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.environ({})

    def environ(self, variables: dict[str, str]) -> None:
        """Leave nothing of this machine's to be found."""
        self.patch(
            os,
            "environ",
            {
                "HOME": str(self.home),
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_SHARED_CREDENTIALS_FILE": f"{self.home}/credentials",
                "AWS_CONFIG_FILE": f"{self.home}/config",
                **variables,
            },
        )

    def write(self, name: str, text: str) -> str:
        path = self.home / name
        path.write_text(text)
        return str(path)

    async def serve(self, script: Callable[[Received], bytes]) -> FakeUpstream:
        server = FakeUpstream(reactor, lambda received: [Send(script(received))])
        await server.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server

    async def found(self, resolve: Resolve) -> tuple[str, str | None, float | None]:
        resolved = await deferToThread(resolve)
        return resolved.credentials.access_key, resolved.credentials.token, resolved.expires_at

    async def test_nothing_is_an_error_that_says_so(self) -> None:
        with self.assertRaises(NoCredentialsError):
            await deferToThread(default_chain())

    async def test_the_environment(self) -> None:
        self.environ(
            {
                "AWS_ACCESS_KEY_ID": "AKIAENV",
                "AWS_SECRET_ACCESS_KEY": "s",
                "AWS_SESSION_TOKEN": "t",
            }
        )

        self.assertEqual(await self.found(default_chain()), ("AKIAENV", "t", None))

    async def test_profiles_of_the_shared_files(self) -> None:
        self.write(
            "credentials",
            "[default]\naws_access_key_id=AKIADEFAULT\naws_secret_access_key=s\n"
            "[work]\naws_access_key_id=AKIAWORK\naws_secret_access_key=s\n"
            "[other]\naws_access_key_id=AKIAOTHER\naws_secret_access_key=s\n",
        )

        self.assertEqual((await self.found(default_chain()))[0], "AKIADEFAULT")
        self.assertEqual((await self.found(default_chain(profile="other")))[0], "AKIAOTHER")
        self.environ({"AWS_PROFILE": "work"})
        self.assertEqual((await self.found(default_chain()))[0], "AKIAWORK")

    async def test_a_changed_file_is_read_anew(self) -> None:
        resolve = default_chain()
        for key in ("AKIAONE", "AKIATWO"):
            self.write(
                "credentials", f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\n"
            )
            self.assertEqual((await self.found(resolve))[0], key)

    async def test_a_container(self) -> None:
        document = (
            b'{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":"s","Token":"t",'
            b'"Expiration":"%b"}' % EXPIRATION.encode()
        )
        server = await self.serve(lambda _: answer(document))
        self.environ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/get"})

        self.assertEqual(await self.found(default_chain()), ("ASIACONTAINER", "t", EXPIRES_AT))

    async def test_an_instance(self) -> None:
        document = (
            b'{"Code":"Success","AccessKeyId":"ASIAINSTANCE","SecretAccessKey":"s","Token":"t",'
            b'"Expiration":"%b"}' % EXPIRATION.encode()
        )

        def script(received: Received) -> bytes:
            if received.line.startswith(b"PUT"):
                return answer(b"imds-token")
            return answer(document if received.target.endswith(b"/role") else b"role")

        server = await self.serve(script)
        self.environ(
            {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{server.url}/",
            }
        )

        self.assertEqual(await self.found(default_chain()), ("ASIAINSTANCE", "t", EXPIRES_AT))

    async def test_a_web_identity(self) -> None:
        server = await self.serve(lambda received: answer(_given("AssumeRoleWithWebIdentity")))
        self.environ(
            {
                "AWS_WEB_IDENTITY_TOKEN_FILE": self.write("token", "a.web.identity"),
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/pod",
                "AWS_ENDPOINT_URL_STS": server.url,
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )

        self.assertEqual(await self.found(default_chain()), ("ASIAROLE", "t", EXPIRES_AT))
        self.assertIn(b"WebIdentityToken=a.web.identity", server.requests[0].body)

    async def test_a_role_is_assumed(self) -> None:
        server = await self.serve(lambda received: answer(_given("AssumeRole")))

        found = await self.found(self.role(server, external_id="of the owner"))

        self.assertEqual(found, ("ASIAROLE", "t", EXPIRES_AT))
        (asked,) = server.requests
        self.assertIn(b"RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fbridge", asked.body)
        self.assertIn(b"RoleSessionName=ai-bridge", asked.body)
        self.assertIn(b"ExternalId=of+the+owner", asked.body)
        self.assertIn(b"Credential=AKIASOURCE/", asked.header(b"authorization") or b"")
        self.assertIn(b"/eu-west-1/sts/", asked.header(b"authorization") or b"")

    async def test_a_role_that_may_not_be_assumed_is_logged_with_its_reason(self) -> None:
        refusal = (
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not for you</Message>"
            b"</Error></ErrorResponse>"
        )
        server = await self.serve(lambda _: answer(refusal, status=403, content_type=b"text/xml"))
        credentials = RenewedCredentials(
            name="bedrock",
            resolve=self.role(server),
            in_thread=deferToThread,
            clock=reactor,  # type: ignore[arg-type]  # the real one has the time
        )

        with capture_logs() as logs:
            await credentials.look()

        self.assertRaises(Unavailable, credentials.current)
        self.assertIn("Not for you", logs[-1]["reason"])

    def role(self, server: FakeUpstream, **options: Any) -> Resolve:
        source = StaticCredentials(
            access_key_id="AKIASOURCE", secret=Secret(SECRET), session_token=None
        )
        return assumed_role(
            fixed(source),
            role_arn="arn:aws:iam::123456789012:role/bridge",
            session_name="ai-bridge",
            region="eu-west-1",
            sts_endpoint=server.url,
            **options,
        )


def _given(action: str) -> bytes:
    """Return what STS answers."""
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
        "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        f"<SessionToken>t</SessionToken><Expiration>{EXPIRATION}</Expiration></Credentials>"
        f"</{action}Result></{action}Response>"
    ).encode()
