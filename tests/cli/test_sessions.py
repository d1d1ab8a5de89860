"""`aibridge sessions show` reads to the end, however long a thread is, in both ways."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, ClassVar

from msgspec import json as typed_json
from msgspec.structs import replace

from bridge.store.sessions_json import SessionDetail
from tests.pages.cases import PagesTestCase
from tests.pages.long_sessions import LONG, long_session
from tests.pages.seeding import Company, brought

_STEP = re.compile(r'^  \+ Bash {"command": "step (\d+)"}$', re.MULTILINE)


class WholeSessionCase(PagesTestCase):
    """Needs a bridge and its database: the long session is asked for as users do."""

    name = "a-long-session-to-show"
    requests: ClassVar[list[str]] = []
    threads: ClassVar[list[str]] = []

    async def setUp(self) -> None:
        await super().setUp()
        if not WholeSessionCase.requests:
            records, requests, threads = long_session(self.name, seed=32)
            await self.here.write(records)
            WholeSessionCase.requests, WholeSessionCase.threads = requests, threads

    def show(self, *arguments: str, remote: bool, session: str = "") -> tuple[str, str]:
        """Return what was printed on both outputs."""
        return self.sessions("show", session or self.name, *arguments, remote=remote)

    def sessions(self, *arguments: str, remote: bool, expected: int = 0) -> tuple[str, str]:
        """Return the same of any command on sessions."""
        more = {}
        if remote:
            more = {"AIBRIDGE_URL": self.here.origin, "AIBRIDGE_TOKEN": self.here.tokens["bob"]}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "bridge.cli", "--config", str(self.here.bridge.config)),
                *("sessions", *arguments),
            ],
            env={**self.here.bridge.environment, **more},
            cwd=self.here.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.assertEqual(done.returncode, expected, done.stderr)
        return done.stdout, done.stderr


class OnTheDatabaseTests(WholeSessionCase):
    remote = False

    def told(self, *arguments: str) -> tuple[str, str]:
        return self.show(*arguments, remote=self.remote)

    def headings(self, out: str) -> list[str]:
        """Return the ids of threads, each of which stands in a heading."""
        return re.findall(r"^20.* ([0-9a-f-]{36})$", out, re.MULTILINE)

    def ids(self, found: Any) -> list[str]:
        return [action["id"] for each in found["threads"] for action in each["agentic_actions"]]

    def test_the_text_has_every_request_once(self) -> None:
        out, err = self.told()

        self.assertEqual(_STEP.findall(out), [str(n) for n in range(LONG)])
        self.assertEqual(self.headings(out), self.threads)
        self.assertEqual(out.count("  = "), len(self.requests))
        self.assertEqual(out.count("SESSION"), 1)
        self.assertEqual(err, "")

    def test_the_json_is_one_answer_with_everything(self) -> None:
        out, err = self.told("--json")

        found = json.loads(out)
        typed = typed_json.decode(out, type=SessionDetail)
        self.assertEqual(self.ids(found), self.requests)
        self.assertEqual([str(each.id) for each in typed.threads], self.threads)
        self.assertEqual((typed.has_more, typed.truncated, err), (False, False, ""))
        self.assertEqual(set(found), set(SessionDetail.__struct_fields__))
        self.assertEqual(typed.page_started_at, typed.threads[0].started_at)
        self.assertEqual(typed.page_ended_at, typed.threads[-1].ended_at)
        self.assertEqual(typed.token_usage_summary.metadata, {"odd": LONG})

    def test_a_thread_in_pieces_is_summed_up_as_one(self) -> None:
        thread = typed_json.decode(self.told("--json")[0], type=SessionDetail).threads[0]

        usages = [each.token_usage for each in thread.agentic_actions]
        self.assertEqual(thread.token_usage.output_tokens, sum(u.output_tokens for u in usages))
        self.assertEqual(thread.token_usage.metadata, {"odd": LONG})
        self.assertEqual(thread.prompt, "Rename it everywhere.")
        self.assertEqual(thread.ended_at, thread.agentic_actions[-1].ended_at)
        self.assertEqual(thread.started_at, thread.agentic_actions[0].started_at)

    def test_so_many_threads_are_whole_and_the_next_ones_are_named(self) -> None:
        out, err = self.told("--limit", "1")
        found = json.loads(self.told("--limit", "1", "--json")[0])
        second, more = self.told("--limit", "1", "--after-id", self.threads[0])
        last, nothing = self.told("--after-id", self.threads[1])

        self.assertEqual(_STEP.findall(out), [str(n) for n in range(LONG)])
        self.assertEqual((self.ids(found), found["has_more"]), (self.requests[:LONG], True))
        self.assertEqual(err, f"There are more threads: --after-id {self.threads[0]}\n")
        self.assertEqual(self.headings(out + second + last), self.threads)
        self.assertEqual(more, f"There are more threads: --after-id {self.threads[1]}\n")
        self.assertEqual(nothing, "")

    async def test_the_json_means_what_was_said(self) -> None:
        name = f"with-ends-of-lines-{self.remote}"
        said = "one\u2028two\x85three\u2029\r\nfour\t\x1c \x9b31m \U000e0041"
        made = Company(datetime.now(UTC), seed=34)
        made.request(minutes_ago=40, prompt=said, thoughts=[said], client_session_id=name)
        await self.here.write(made.records)

        out, _ = self.show("--json", session=name, remote=self.remote)

        (thread,) = json.loads(out)["threads"]
        (action,) = thread["agentic_actions"]
        self.assertEqual([thread["prompt"], action["prompt"]], [said, said])
        self.assertEqual(action["thinking"][0]["text"], said)
        self.assertTrue(out.replace("\n", "").isprintable())

    async def test_each_request_has_its_time_and_id_and_what_came_of_its_calls(self) -> None:
        """Of a result only the beginning; all of it is shown with its request."""
        name = f"with-results-{self.remote}"
        made = Company(datetime.now(UTC), seed=37)
        called = made.request(
            minutes_ago=50, prompt="Look.", tools=[("Bash", {})], client_session_id=name
        )
        content = "\n".join(f"line {n} \x1b[31m" for n in range(500))
        brings = made.request(
            minutes_ago=48, prompt=None, client_session_id=name,
            correlating_tool_call_id=made.call_id(called),
            tool_results=[brought(made.call_id(called), content)],
        )  # fmt: skip
        await self.here.write(made.records)

        out, _ = self.show(session=name, remote=self.remote)

        for each in (called, brings):
            at = f"{each.at:%Y-%m-%d %H:%M:%S} UTC"
            self.assertRegex(out, rf"(?m)^  = {at}, 12 in, .*, {each.id}$")
        self.assertIn("\n      line 0 \\x1b[31m\n      line 1 ", out)
        self.assertIn("\n      …\n", out)
        self.assertNotIn("line 499", out)
        self.assertLess(out.count("\n      line "), 20)

    async def test_the_text_tells_of_agents_and_of_what_tools_gave_back(self) -> None:
        name = f"with-agents-{self.remote}"
        made = Company(datetime.now(UTC), seed=33)
        called = made.request(
            minutes_ago=50, prompt="Look.", tools=[("Task", {}), ("Read", {})],
            client_session_id=name,
        )  # fmt: skip
        made.request(
            minutes_ago=49, prompt="Look there.", client_session_id=name,
            metadata={"agent_id": "a1", "agent_kind": "Explore"},
        )  # fmt: skip
        made.request(
            minutes_ago=48, prompt=None, client_session_id=name,
            correlating_tool_call_id=made.call_id(called),
            tool_results=[
                replace(brought(made.call_id(called, 1), "no"), is_error=True),
                brought(made.call_id(called, 2), None, size_bytes=4_210),
            ],
        )  # fmt: skip
        await self.here.write(made.records)

        out, _ = self.show(session=name, remote=self.remote)

        self.assertRegex(out, r"(?m)^agent +a1 Explore$")
        self.assertRegex(out, r"(?m)^  @ a1\n  > Look there\.$")
        self.assertRegex(out, r"(?m)^  \+ Task .*\n    < error, 2 bytes$")
        self.assertRegex(out, r"(?m)^  \+ Read .*\n    < 4210 bytes$")

    async def test_of_two_users_sessions_with_one_id_one_has_to_be_chosen(self) -> None:
        """By an option, which is named, as is the command that lists them."""
        name = f"of two {self.remote}"
        made = Company(datetime.now(UTC), seed=35)
        for who in ("alice", "carol"):
            made.request(minutes_ago=30, prompt=f"From {who}.", who=who, client_session_id=name)
        await self.here.write(made.records)

        out, err = self.sessions("show", name, remote=self.remote, expected=2)
        listed, _ = self.sessions("list", "--session-id", name, remote=self.remote)
        _, after = self.sessions("list", "--after", name, remote=self.remote, expected=2)
        chosen, _ = self.show("--initiator", "carol", session=name, remote=self.remote)

        whose = f"--initiator NAME; `aibridge sessions list --session-id '{name}'` names them.\n"
        said = f"Error: Several users have a session of this id: say whose with {whose}"
        self.assertEqual((out, err[err.index("Error") :]), ("", said))
        self.assertRegex(listed, "(?s)alice.*carol|carol.*alice")
        self.assertEqual(after.count("Several users"), 1)
        self.assertIn("--after-initiator ID", after)
        self.assertIn("> From carol.", chosen)


class OverTheApiTests(OnTheDatabaseTests):
    remote = True
