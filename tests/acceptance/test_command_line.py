"""The command line beside a running bridge: on its database, and over its API."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from bridge.cli.main import aibridge
from tests.acceptance.running import Shared
from tests.support.bridge_process import ROOT, BridgeProcess, eventually
from tests.support.fakes import unused_port

NASTY = "nasty \x1b]0;owned\x07 \x9b31m \u202e gnp.exe \u200b\r\n=1+1"
_COMMAND = ("-c", "from bridge.cli.main import main; main()")


def with_demo(directory: Path) -> BridgeProcess:
    """Return a bridge that has only the demo provider."""
    return BridgeProcess(
        directory=directory,
        settings={"aibridge": {"providers": [{"name": "demo", "type": "demo"}]}},
    )


shared = Shared(with_demo)


class CommandLineCase(SynchronousTestCase):
    """One bridge with the demo provider, asked a few things, for all tests."""

    prepared: ClassVar[bool] = False

    def setUp(self) -> None:
        self.bridge = shared.get()
        self.directory = self.bridge.directory
        if CommandLineCase.prepared:
            return
        self.bridge.wait_for_database()
        for prompt, session in (("hello there", "one"), (NASTY, "two"), ("bye", "one")):
            self.ask(prompt, session=session)
        eventually(lambda: len(self.listed()) == 3, seconds=30.0, what="three records")
        eventually(
            lambda: (
                len(json.loads(self.remote("sessions", "list", "--json")[0])["sessions"]) == 2
                and "hello" in self.remote("search", "hello")[0]
                and self.remote("usage")[0]
            ),
            seconds=30.0,
            what="what is derived from them",
        )
        CommandLineCase.prepared = True

    def ask(self, prompt: str, *, session: str = "one", model: str = "demo-tool") -> None:
        """Ask the demo provider something."""
        body = {
            "model": model,
            "max_tokens": 100,
            "messages": [{"role": "user", "content": prompt}],
        }
        status, _, answer = self.bridge.ask(
            "POST",
            "/demo/v1/messages",
            json.dumps(body).encode(),
            headers={"X-Claude-Code-Session-Id": session, "User-Agent": "claude-cli/2.1"},
        )
        assert status == 200, answer

    def listed(self, session: str = "") -> list[Any]:
        """Return the interceptions that there are, oldest first."""
        of = ("--session-id", session) if session else ()
        out, _ = self.remote("interceptions", "list", "--json", *of)
        return list(reversed(json.loads(out)["results"]))

    def environment(self, **more: str) -> dict[str, str]:
        return {**self.bridge.environment, "AIBRIDGE_CONFIG": str(self.bridge.config), **more}

    def call(self, *arguments: str, expected: int = 0, **environment: str) -> tuple[str, str]:
        """Return what `aibridge` printed on its two outputs."""
        done = subprocess.run(
            [sys.executable, *_COMMAND, *arguments],
            cwd=self.directory,
            env=self.environment(**environment),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == expected, (done.returncode, done.stdout, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def remote(self, *arguments: str, expected: int = 0, **environment: str) -> tuple[str, str]:
        """Return the same when the API is asked with the administrator's token.

        That needs no reactor, and so no process of its own.
        """
        more = {
            "AIBRIDGE_URL": self.url(),
            "AIBRIDGE_TOKEN": self.bridge.token("admin"),
            "AIBRIDGE_CONFIG": str(self.bridge.config),
            **environment,
        }
        done = CliRunner().invoke(aibridge, arguments, env=more, prog_name="aibridge")
        self.assertEqual(done.exit_code, expected, done.output)
        return done.stdout, done.stderr

    def remote_code(self, *arguments: str, **environment: str) -> int:
        """Return the exit code of the same."""
        more = {"AIBRIDGE_URL": self.url(), "AIBRIDGE_CONFIG": str(self.bridge.config)}
        done = CliRunner().invoke(
            aibridge, arguments, env={**more, **environment}, prog_name="aibridge"
        )
        return done.exit_code

    def url(self) -> str:
        return f"http://127.0.0.1:{self.bridge.port}"


class ReadingTests(CommandLineCase):
    def test_both_ways_give_the_same_json(self) -> None:
        first = self.listed()[0]["id"]
        for arguments in (
            ("interceptions", "list", 'client:"Claude Code" model:demo-tool status:completed'),
            ("interceptions", "show", first),
            ("sessions", "list", "--limit", "1"),
            ("sessions", "show", "one"),
            ("clients", "Cl"),
            ("usage", "--by", "day,model"),
            ("search", "hello -bye"),
        ):
            with self.subTest(arguments):
                direct, _ = self.call(*arguments, "--json")
                remote, _ = self.remote(*arguments, "--json")

                self.assertEqual(json.loads(direct), json.loads(remote))
                self.assertEqual(direct, remote)

    def test_no_field_reaches_the_terminal_unescaped(self) -> None:
        shown = self.listed("two")[0]["id"]
        for arguments in (
            ("interceptions", "list", "--session-id", "two"),
            ("interceptions", "show", shown),
            ("interceptions", "show", shown, "--json"),
            ("sessions", "list"),
            ("sessions", "show", "two"),
        ):
            with self.subTest(arguments):
                out, _ = self.remote(*arguments)

                self.assertIn("owned", out)
                self.assertEqual([c for c in out if not c.isprintable() and c != "\n"], [])

    def test_json_means_what_was_said(self) -> None:
        (result,) = self.listed("two")

        self.assertEqual(result["user_prompts"][0]["prompt"], NASTY)

    def test_what_an_auditor_reads_is_audited_in_both_ways(self) -> None:
        self.call("sessions", "show", "one")
        out, _ = self.call("audit", "list", "--action", "content.read", "--json", "--limit", "1")

        (entry,) = json.loads(out)
        self.assertEqual((entry["target"], entry["source"]), ("one", "command line"))

    def test_a_broken_cursor_is_wrong_usage_in_both_ways(self) -> None:
        for call in (self.call, self.remote):
            for arguments in (
                ("interceptions", "list", "--after-id", "nonsense"),
                ("sessions", "list", "--after", "no-such-session"),
            ):
                with self.subTest((arguments, call.__name__)):
                    out, err = call(*arguments, expected=2)

                    self.assertEqual(out, "")
                    self.assertNotIn("Traceback", err)

    def test_what_is_not_there_is_said_in_a_sentence(self) -> None:
        for call in (self.call, self.remote):
            with self.subTest(call.__name__):
                _, err = call(
                    "interceptions", "show", "019abcde-0000-7000-8000-000000000000", expected=1
                )
                self.assertEqual(err, "Error: There is no such interception.\n")
                _, err = call("sessions", "show", "nowhere", expected=1)
                self.assertEqual(err, "Error: Session not found.\n")


class AccountTests(CommandLineCase):
    def test_users_and_tokens_are_managed_over_the_api(self) -> None:
        self.remote("user", "create", "zoe", "--role", "auditor")
        value, said = self.remote("token", "create", "--user", "zoe", "--scope", "manage")
        value = value.strip()
        identifier = value.split("_")[1]
        self.assertIn(f"Token {identifier} of zoe, scope manage, good for 90d", said)
        self.assertNotIn(value, said)

        listed, _ = self.remote("token", "list", "--user", "zoe", "--json")
        direct, _ = self.call("token", "list", "--user", "zoe", "--json")
        self.assertEqual((listed, json.loads(listed)[0]["state"]), (direct, "good"))
        self.assertEqual(self.remote("user", "list", "--json"), self.call("user", "list", "--json"))
        eventually(
            lambda: self.remote_code("user", "list", AIBRIDGE_TOKEN=value) == 0,
            seconds=30.0,
            what="the new token",
        )
        _, err = self.remote("user", "create", "eve", expected=4, AIBRIDGE_TOKEN=value)
        self.assertIn("for users with the role owner", err)

        self.remote("user", "set-role", "zoe", "member")
        self.remote("user", "disable", "zoe")
        self.remote("user", "enable", "zoe")
        out, _ = self.remote("token", "revoke", identifier)
        self.assertEqual(out, f"Revoked the token {identifier}.\n")
        out, _ = self.remote("token", "revoke", value)
        self.assertEqual(out, f"The token {identifier} was revoked already.\n")
        out, _ = self.remote("token", "revoke", "--user", "zoe")
        self.assertEqual(out, "Revoked 0 tokens of zoe.\n")
        self.remote("user", "delete", "zoe")
        _, err = self.remote("user", "disable", "zoe", expected=1)
        self.assertEqual(err, "Error: There is no user zoe.\n")
        audited, _ = self.call("audit", "list", "--action", "user", "--json")
        self.assertEqual(
            [(each["action"], each["actor_name"]) for each in json.loads(audited)][:5],
            [
                (f"user.{what}", "admin")
                for what in ("delete", "enable", "disable", "set-role", "create")
            ],
        )

    def test_over_the_api_a_token_is_ones_own_unless_another_user_is_named(self) -> None:
        _, said = self.remote("token", "create", "--lifetime", "1h")
        self.assertIn("of admin, scope inference, good for 1h", said)

        _, err = self.call("token", "create", expected=2)
        self.assertIn("--user NAME", err)


class RefusedTests(CommandLineCase):
    def test_a_wrong_token_is_not_accepted(self) -> None:
        _, err = self.remote("models", expected=4, AIBRIDGE_TOKEN="aib_wrong")

        self.assertIn("refuses the token", err)
        self.assertNotIn("aib_wrong", err)

    def test_a_token_for_asking_models_is_not_accepted(self) -> None:
        _, err = self.remote("models", expected=4, AIBRIDGE_TOKEN=self.bridge.token("dev"))

        self.assertIn("refuses the token", err)

    def test_without_a_token_it_says_where_to_put_one(self) -> None:
        _, err = self.remote("models", expected=2, AIBRIDGE_TOKEN="")

        self.assertIn("AIBRIDGE_TOKEN", err)

    def test_a_token_in_a_file_will_do(self) -> None:
        file = self.directory / "token"
        file.write_text(f"{self.bridge.token('admin')}\n")

        out, _ = self.remote("models", "--token-file", str(file), AIBRIDGE_TOKEN="")

        self.assertEqual(out, "demo-tool\n")

    def test_a_bridge_out_of_reach_is_a_sentence(self) -> None:
        url = f"http://127.0.0.1:{unused_port()}"
        for at, why in (
            (url, "nobody listens there"),
            ("https://nowhere.invalid", "its name is not known"),
            (f"https://127.0.0.1:{self.bridge.port}", "it does not speak TLS"),
        ):
            with self.subTest(at):
                out, err = self.remote("models", expected=3, AIBRIDGE_URL=at)

                self.assertEqual((out, err), ("", f"Error: {at} cannot be reached: {why}.\n"))

    def test_what_is_no_bridge_is_told_so(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)

        def answer() -> None:
            connection, _ = listening.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        _, err = self.remote("models", expected=3, AIBRIDGE_URL=url)

        self.assertIn("is no AI Bridge", err)

    def test_an_operations_port_is_no_bridge_either(self) -> None:
        url = f"http://127.0.0.1:{self.bridge.operations_port}"

        out, err = self.remote("models", expected=1, AIBRIDGE_URL=url)

        self.assertEqual(out, "")
        self.assertNotIn("Traceback", err)

    def test_a_token_does_not_travel_unprotected(self) -> None:
        _, err = self.remote("models", expected=2, AIBRIDGE_URL="http://bridge.example")

        self.assertIn("use https", err)

    def test_a_wrong_search_is_wrong_usage(self) -> None:
        _, err = self.remote("interceptions", "list", "colour:red", expected=2)

        self.assertIn("colour", err)


class ExportTests(CommandLineCase):
    def test_an_export_over_the_api_is_that_of_the_database_and_audited_there(self) -> None:
        remote = self.directory / "remote.jsonl"
        options = ("export", "--session-id", "two")

        self.remote(*options, "--output", str(remote))
        direct, _ = self.call(*options)

        self.assertEqual(direct, remote.read_text())
        self.assertIn("owned", direct)
        out, _ = self.call("audit", "list", "--action", "content.read", "--json")
        self.assertIn("export", [each["target"] for each in json.loads(out)])

    def test_an_interrupted_export_is_gone_on_with(self) -> None:
        whole, cut = self.directory / "whole.csv", self.directory / "cut.csv"
        options = ("--format", "csv", "--session-id", "one", "--model", "demo-tool")
        self.remote("export", *options, "--output", str(whole))
        text = whole.read_bytes()
        self.assertEqual(whole.stat().st_mode & 0o777, 0o600)
        self.assertGreaterEqual(text.count(b"\r\n"), 3)

        for how, at in ((self.call, len(text) - 5), (self.remote, len(text) // 2)):
            cut.write_bytes(text[:at])
            how("export", *options, "--output", str(cut), "--resume")

            self.assertEqual(cut.read_bytes(), text)

    def test_a_file_that_is_there_is_not_written_over(self) -> None:
        there = self.directory / "there.jsonl"
        there.write_text("precious\n")

        _, err = self.remote("export", "--output", str(there), expected=1)
        self.assertIn("is there already", err)
        _, err = self.remote("export", "--output", str(there), "--resume", expected=1)

        self.assertIn("is no export", err)
        self.assertEqual(there.read_text(), "precious\n")

    def test_a_wrong_range_is_wrong_usage(self) -> None:
        for options in (("--from", "yesterday"), ("--from", "2026-02-02", "--to", "2026-01-01")):
            _, err = self.remote("export", *options, expected=2)

            self.assertNotIn("Traceback", err)


class TailTests(CommandLineCase):
    def follow(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *_COMMAND, "tail", *arguments],
            cwd=ROOT,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_interruptible,  # noqa: PLW1509 - one thread
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def line(self, process: subprocess.Popen[bytes]) -> str:
        """Return the next line that it prints."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], (), (), 30.0)
        self.assertTrue(ready, "nothing was printed")
        found = b""
        while not found.endswith(b"\n"):
            piece = os.read(process.stdout.fileno(), 1)
            self.assertTrue(piece, "it has ended")
            found += piece
        return found.decode()

    def shows(self, session: str, **environment: str) -> None:
        """See what was there in the order of its ending, then a new request, and end it."""
        for _ in range(3):
            self.ask("former", session=session)
        eventually(lambda: len(self.listed(session)) == 3, seconds=30.0, what="three records")
        process = self.follow(*("--json", "--since", "1h", "--session-id", session), **environment)

        former = [json.loads(self.line(process)) for _ in range(3)]
        self.ask(NASTY + " of the tail", session=session)
        text = self.line(process)
        process.send_signal(signal.SIGINT)

        self.assertEqual(
            [each["ended_at"] for each in former], sorted(each["ended_at"] for each in former)
        )
        self.assertEqual(json.loads(text)["user_prompts"][0]["prompt"], NASTY + " of the tail")
        self.assertTrue(text[:-1].isprintable())
        self.assertEqual(process.wait(30.0), 130)

    def test_a_new_request_is_shown_from_the_database(self) -> None:
        self.shows("direct")

    def test_a_new_request_is_shown_over_the_api(self) -> None:
        self.shows("api", AIBRIDGE_URL=self.url(), AIBRIDGE_TOKEN=self.bridge.token("admin"))

    def test_what_was_shown_leaves_no_other_trace(self) -> None:
        """It is not read again with what is new; each reading would be an audit row."""
        self.ask("watched", session="watched")
        eventually(lambda: len(self.listed("watched")) == 1, seconds=30.0, what="the record")
        process = self.follow("--since", "1h", "--session-id", "watched")

        self.line(process)
        for _ in range(3):
            self.ask("watched", session="watched")
            self.line(process)
        process.send_signal(signal.SIGINT)
        process.wait(30.0)

        out, _ = self.call("audit", "list", "--action", "content.read", "--json")
        about = [each for each in json.loads(out) if "watched" in str(each["detail"])]
        self.assertEqual([each["target"] for each in about], ["1 interceptions"] * 4)
        self.assertEqual(len({each["detail"]["last"] for each in about}), 4)

    def test_people_get_a_line_without_escapes(self) -> None:
        process = self.follow("--since", "1h", "--session-id", "two")

        line = self.line(process)

        self.assertIn("demo/demo-tool", line)
        self.assertIn("owned", line)
        self.assertTrue(line[:-1].isprintable())


def _interruptible() -> None:
    """Take SIGINT, which a shell has its background jobs ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
