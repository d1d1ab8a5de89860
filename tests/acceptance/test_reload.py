"""A changed configuration is taken over while the bridge serves; a bad one changes nothing."""

from __future__ import annotations

import signal
from pathlib import Path

from twisted.internet.threads import deferToThread

from tests.acceptance.changing import HELD, ChangingCase, Provider
from tests.acceptance.running import Shared, recorded
from tests.support.bridge_process import BridgeProcess
from tests.support.rawclient import CLEAN

RELOADED = " info     reloaded "
NOT_RELOADED = "configuration not reloaded"


def idle(directory: Path) -> BridgeProcess:
    """Return a bridge that has no provider yet."""
    return BridgeProcess(directory=directory, environment={"ITS_KEY": "sk-its-own"})


shared = Shared(idle)


class ReloadCase(ChangingCase):
    """One stream is under way at the former provider; each test reloads the same bridge."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        super().setUp()
        self.former = await self.provider("former")
        self.latter = await self.provider("latter")
        self.take(shared.get())
        self.configure(self.former.configured(key="sk-former"))
        self.bridge.signal(signal.SIGHUP)
        await self.said(RELOADED)
        self.take(self.bridge)
        self.stream = await self.begin(self.former, self.id())

    async def assert_stream_ends_well(self) -> None:
        """The stream that began before comes to its own end, and is recorded so."""
        self.former.release()
        response = await self.stream.response()
        self.assertEqual((response.status, response.end), (200, CLEAN))
        self.assertEqual(response.body, self.former.stream())
        record = await deferToThread(recorded, self.bridge, f"{self.id()}; {HELD}")
        self.assertEqual(record["status"], "completed")

    async def assert_serves(self, provider: Provider, key: bytes, prompt: str) -> None:
        """A new request goes to this provider with this key."""
        response = await self.ask(prompt)
        self.assertEqual((response.status, response.body), (200, provider.document()))
        self.assertEqual(provider.requests[-1].header(b"x-api-key"), key)


class ReloadTests(ReloadCase):
    async def test_hangup_sends_new_requests_elsewhere_and_the_stream_goes_on(self) -> None:
        self.configure(self.latter.configured(key="sk-latter"))

        self.bridge.signal(signal.SIGHUP)

        await self.said(RELOADED)
        await self.assert_serves(self.latter, b"sk-latter", "begun after")
        self.assertEqual(len(self.former.requests), 1)
        await self.assert_stream_ends_well()

    async def test_the_command_sends_new_requests_elsewhere_and_the_stream_goes_on(self) -> None:
        self.configure(self.latter.configured(key="sk-latter"))

        done = await self.command("reload")

        self.assertEqual(
            (done.returncode, done.stdout, done.stderr), (0, "Reloaded. Served: anthropic.\n", "")
        )
        await self.assert_serves(self.latter, b"sk-latter", "begun after")
        await self.assert_stream_ends_well()

    async def test_another_key_is_used_at_once(self) -> None:
        self.configure(self.former.configured(key="sk-rotated"))

        done = await self.command("reload")

        self.assertEqual(done.returncode, 0, done.stderr)
        await self.assert_serves(self.former, b"sk-rotated", "begun after")
        await self.assert_stream_ends_well()

    async def test_a_variable_that_only_the_bridge_has_is_enough(self) -> None:
        """The command is called from a shell, and a service has an environment of its own."""
        its_own = self.bridge.environment.pop("ITS_KEY")
        self.addCleanup(self.bridge.environment.update, ITS_KEY=its_own)
        self.configure(self.latter.configured(key="${ITS_KEY}"))

        done = await self.command("reload")

        self.assertEqual(
            (done.returncode, done.stdout, done.stderr), (0, "Reloaded. Served: anthropic.\n", "")
        )
        await self.assert_serves(self.latter, b"sk-its-own", "begun after")
        await self.assert_stream_ends_well()

    async def test_what_is_under_way_counts_towards_a_new_limit(self) -> None:
        former = self.former.configured(key="sk-former")
        self.configure(former, limit_max_streams_per_user=1)

        done = await self.command("reload")

        self.assertEqual(done.returncode, 0, done.stderr)
        refused = await self.ask("one too many")
        self.assertEqual(refused.status, 429)
        self.assertIn(b"max_streams_per_user", refused.body)
        await self.assert_stream_ends_well()
        await self.assert_serves(self.former, b"sk-former", "begun after")

    async def test_a_provider_that_is_removed_ends_its_streams_and_takes_no_more(self) -> None:
        other = {**self.latter.configured(), "name": "other"}
        self.configure(other)

        done = await self.command("reload")

        self.assertEqual((done.returncode, done.stdout), (0, "Reloaded. Served: other.\n"))
        self.assertEqual((await self.ask("to whom has gone")).status, 404)
        await self.assert_stream_ends_well()

    async def test_the_command_says_what_waits_for_a_restart(self) -> None:
        self.configure(self.former.configured(), limits={"drain": "7s"})

        done = await self.command("reload")

        self.assertEqual(
            (done.returncode, done.stdout),
            (0, "Reloaded. Served: anthropic.\nIn force after a restart: limits.drain.\n"),
        )
        await self.assert_stream_ends_well()

    async def test_two_hangups_in_quick_succession_do_no_harm(self) -> None:
        self.configure(self.latter.configured(key="sk-latter"))

        self.bridge.signal(signal.SIGHUP)
        self.bridge.signal(signal.SIGHUP)

        # The system may make one of both, and says nothing of it.
        output = await self.said(RELOADED)
        await self.assert_serves(self.latter, b"sk-latter", "begun after")
        await self.assert_stream_ends_well()
        self.assertNotIn("Traceback", output)
        done = await self.command("reload")
        self.assertEqual(done.returncode, 0, done.stderr)


class BadFileTests(ReloadCase):
    def break_file(self) -> None:
        """Write what cannot be used."""
        wrong = {**self.latter.configured(key="sk-latter"), "type": "nonsense"}
        self.configure(wrong, log_level="loud")

    async def assert_nothing_changed(self) -> None:
        """The bridge serves as before, and can be reloaded when the file is mended."""
        await self.assert_serves(self.former, b"sk-former", "served as before")
        self.assertEqual(self.latter.requests, [])
        self.configure(self.latter.configured(key="sk-latter"))
        done = await self.command("reload")
        self.assertEqual(
            (done.returncode, done.stdout), (0, "Reloaded. Served: anthropic.\n"), done.stderr
        )
        await self.assert_serves(self.latter, b"sk-latter", "served by the mended file")
        await self.assert_stream_ends_well()
        self.assertNotIn("Traceback", self.output)

    async def test_hangup_changes_nothing_and_the_log_says_why(self) -> None:
        self.break_file()

        self.bridge.signal(signal.SIGHUP)

        output = await self.said(NOT_RELOADED)
        (line,) = [each for each in output.splitlines() if NOT_RELOADED in each]
        self.assertIn("log_level", line)
        self.assertIn("aibridge.providers[0].type", line)
        self.assertNotIn(RELOADED, output)
        await self.assert_nothing_changed()

    async def test_the_command_changes_nothing_and_says_why(self) -> None:
        self.break_file()

        done = await self.command("reload")

        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("Nothing was changed", done.stderr)
        self.assertIn("  log_level", done.stderr)
        self.assertIn("  aibridge.providers[0].type", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertIn("log_level", await self.said(NOT_RELOADED))
        await self.assert_nothing_changed()

    async def test_a_file_that_is_no_yaml_changes_nothing(self) -> None:
        self.bridge.config.write_text("aibridge: [\n")

        self.bridge.signal(signal.SIGHUP)
        await self.said(NOT_RELOADED)
        done = await self.command("reload")

        self.assertEqual((done.returncode, done.stdout), (2, ""))
        await self.assert_nothing_changed()

    async def test_a_variable_that_only_the_command_has_is_told_by_the_bridge(self) -> None:
        """The bridge was started without it, and a running process gets no new ones."""
        self.bridge.environment["NEW_KEY"] = "sk-latter"
        self.addCleanup(self.bridge.environment.pop, "NEW_KEY")
        self.configure(self.latter.configured(key="${NEW_KEY}"))

        done = await self.command("reload")

        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("Nothing was changed", done.stderr)
        self.assertIn("NEW_KEY", done.stderr)
        self.assertIn("NEW_KEY", await self.said(NOT_RELOADED))
        await self.assert_nothing_changed()


class NobodyThereTests(ChangingCase):
    async def test_the_command_says_that_no_bridge_runs(self) -> None:
        provider = await self.provider("former")
        await self.start(provider.configured())
        await deferToThread(self.bridge.terminate)

        done = await self.command("reload")
        self.configure(provider.configured(), log_level="loud")
        without_use = await self.command("reload")

        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("No bridge runs with the data directory", done.stderr)
        self.assertEqual((without_use.returncode, without_use.stdout), (2, ""))
        self.assertIn("  log_level", without_use.stderr)
