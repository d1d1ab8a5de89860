"""Who sees what in the pages, what seeing it leaves behind, and how much of it a page holds."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from html import unescape
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

import psycopg2
from msgspec.structs import replace

from bridge.store.blanking import blank_day
from tests.pages.cases import PagesTestCase
from tests.pages.seeding import Company, brought
from tests.support.bridge_process import eventually

_IDS = re.compile(r'href="/ui/interceptions/([0-9a-f-]{36})"')


class WhoTests(PagesTestCase):
    def test_members_see_their_own_and_nothing_of_others(self) -> None:
        everybody = set(_IDS.findall(self.visitor("bob").get("/ui/interceptions").text))
        carol = self.visitor("carol")
        own = set(_IDS.findall(carol.get("/ui/interceptions").text))

        others = everybody - own
        self.assertGreater(len(own), 1)
        self.assertGreater(len(others), 1)
        for identifier in others:
            for path in ("", "/prompt.txt", "/tool-1.txt", "/thought-1.txt"):
                answer = carol.get(f"/ui/interceptions/{identifier}{path}")
                self.assertEqual(answer.status, 404, path)
                self.assertIn("There is no such interception.", answer.text)

    def test_another_users_session_is_not_there(self) -> None:
        session = "/ui/session?id=5b0c9a52-3f0e-4c63-9a1b-8a4a2e7d9f10"
        for path in (session, f"{session}&of=01890000-0000-7000-8000-00000000000a"):
            self.assertEqual(self.visitor("carol").get(path).status, 404)
            self.assertEqual(self.visitor("alice").get(path).status, 200)

    def test_a_filter_cannot_widen_what_is_seen(self) -> None:
        carol = self.visitor("carol")
        for path in (
            "/ui/interceptions?initiator=alice",
            "/ui/sessions?q=alice",
            "/ui/search?words=cart&initiator=alice",
            "/ui/usage?initiator=alice",
        ):
            text = carol.get(path).text

            self.assertNotIn("The cart shows", text)
            self.assertNotIn("Now write the change log", text)

    def test_the_overview_of_everybody_is_for_auditors(self) -> None:
        own = self.visitor("carol").get("/ui/overview")

        self.assertEqual((own.status, own.location), (303, "/ui/usage"))
        everybody = self.visitor("bob").get("/ui/overview").text
        self.assertIn("By user", everybody)
        drawn = re.compile(r'<svg [^>]*aria-label="([^"]*) by day"')
        times = ["Time to the first byte", "Time to the end"]
        self.assertEqual(
            drawn.findall(everybody), ["Requests", "Models", "Users", "Tokens", *times]
        )
        mine = self.visitor("carol").get("/ui/usage").text
        self.assertEqual(drawn.findall(mine), ["Requests", "Models", "Tokens", *times])
        self.assertNotIn("By user", self.visitor("carol").get("/ui/usage").text)

    def test_owners_who_are_no_auditors_read_nobodys_content(self) -> None:
        owner = self.visitor("owner")

        self.assertNotIn("The cart shows", owner.get("/ui/interceptions").text)
        self.assertEqual(owner.get("/ui/users").status, 200)

    def test_management_is_for_owners(self) -> None:
        for name in ("alice", "bob"):
            visitor = self.visitor(name)
            page = visitor.get("/ui/tokens")
            form = {"form_token": page.form_token}
            self.assertNotIn("/ui/users", page.text)
            self.assertEqual(visitor.get("/ui/users").status, 403)
            for path in ("", "/carol/disable", "/carol/delete", "/carol/roles"):
                answer = visitor.post(f"/ui/users{path}", {**form, "name": "eve", "role": "owner"})
                self.assertEqual(answer.status, 403, path)

    def test_members_do_not_read_the_audit_log(self) -> None:
        self.assertEqual(self.visitor("alice").get("/ui/audit").status, 403)
        self.assertEqual(self.visitor("bob").get("/ui/audit").status, 200)
        self.assertEqual(self.visitor("owner").get("/ui/audit").status, 200)

    def test_nobody_but_owners_touches_others_tokens(self) -> None:
        alice = self.visitor("alice")
        form = {"form_token": alice.get("/ui/tokens").form_token}
        of_bob = self.here.tokens["bob"].split("_")[1]

        revoked = alice.post(f"/ui/tokens/{of_bob}/revoke", form)
        made = alice.post("/ui/tokens", {**form, "user": "bob", "scope": "inference"})

        self.assertEqual(revoked.status, 404)
        self.assertEqual(self.visitor("bob").get("/ui/tokens").status, 200)
        self.assertIn("of alice was made", made.text)

    def test_owners_do_not_lock_themselves_out(self) -> None:
        owner = self.visitor("owner")
        form = {"form_token": owner.get("/ui/users").form_token}
        for path, fields in (
            ("disable", {}),
            ("delete", {"confirm": "admin"}),
            ("roles", {"role": "member"}),
        ):
            answer = owner.post(f"/ui/users/admin/{path}", {**form, **fields})

            self.assertEqual(answer.status, 400, path)
        self.assertEqual(owner.get("/ui/users").status, 200)

    def test_keys_are_for_those_who_manage_or_audit(self) -> None:
        page = self.visitor("owner").get("/ui/providers").text
        self.assertIn("Last answer", page)
        self.assertNotIn("worker", page)
        self.assertNotIn("Last answer", self.visitor("alice").get("/ui/providers").text)

    def test_changes_are_written_down_with_who_made_them(self) -> None:
        owner = self.visitor("owner")
        form = {"form_token": owner.get("/ui/users").form_token}
        owner.post("/ui/users", {**form, "name": "frank", "role": "member"})
        made = owner.post("/ui/tokens", {**form, "user": "frank", "scope": "manage"})

        def noted() -> bool:
            text = owner.get("/ui/audit?actor=admin").text
            return "user: frank" in text and "frank</span>" in text

        self.assertEqual(made.status, 200)
        eventually(noted, seconds=10, what="the changes in the audit log")


class TracesTests(PagesTestCase):
    def test_reading_others_content_is_written_down(self) -> None:
        bob = self.visitor("bob")
        page = bob.get("/ui/interceptions?initiator=alice&client=Claude%20Code").text
        identifier = _IDS.findall(page)[0]
        bob.get(f"/ui/interceptions/{identifier}")
        bob.get(f"/ui/interceptions/{identifier}/tool-1.txt")
        bob.get("/ui/session?id=5b0c9a52-3f0e-4c63-9a1b-8a4a2e7d9f10")
        bob.get("/ui/search?words=cart")

        expected = {
            (f"/ui/interceptions/{identifier}", identifier),
            (f"/ui/interceptions/{identifier}/tool-1.txt", identifier),
            ("/ui/session", "5b0c9a52-3f0e-4c63-9a1b-8a4a2e7d9f10"),
        }

        def written_down() -> bool:
            found = self._reads()
            return expected <= found and any(page == "/ui/search" for page, _ in found)

        eventually(written_down, seconds=10, what="the reads in the audit log")

    def test_reading_ones_own_leaves_no_trace(self) -> None:
        before = self._reads("alice")
        alice = self.visitor("alice")
        for path in ("/ui/interceptions", "/ui/sessions", "/ui/search?words=cart"):
            self.assertEqual(alice.get(path).status, 200)

        self.assertEqual((before, self._reads("alice")), (set(), set()))

    def test_looking_again_for_news_is_no_reading(self) -> None:
        bob = self.visitor("bob")
        page = bob.get("/ui/interceptions?initiator=carol").text
        newest = re.findall(r'data-newest="([^"]+)"', page)[0]
        text = bob.get("/ui/audit?action=content").text
        eventually(
            lambda: (
                bob.get("/ui/audit?action=content").text.count("initiator:carol")
                > text.count("initiator:carol") - 1
            ),
            seconds=10,
            what="the first reading",
        )

        again = bob.get(f"/ui/interceptions?initiator=carol&newest={newest}")

        self.assertEqual((again.status, again.text), (204, ""))

    def _reads(self, actor: str = "bob") -> set[tuple[str, str]]:
        with psycopg2.connect(self.here.bridge.database_address()) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT detail ->> 'page', target FROM audit_log "
                "WHERE action = 'content.read' AND actor_name = %s AND detail ? 'page'",
                (actor,),
            )
            return set(cursor.fetchall())


class LongTextTests(PagesTestCase):
    identifier: ClassVar[str] = ""
    prompt = "0123456789abcdé" * 3_500_000
    """50 MB and more."""

    async def setUp(self) -> None:
        await super().setUp()
        if not LongTextTests.identifier:
            made = Company(datetime.now(UTC), seed=5)
            start = made.request(
                minutes_ago=200,
                who="carol",
                prompt=self.prompt,
                thoughts=["t" * 300_000] * 12,
                tools=[("Bash", {"command": "x" * 300_000})] * 12,
            )
            await self.here.write(made.records)
            LongTextTests.identifier = str(start.id)

    def test_a_page_stays_small_whatever_is_recorded(self) -> None:
        bob = self.visitor("bob")
        for path in (
            f"/ui/interceptions/{self.identifier}",
            "/ui/interceptions?initiator=carol",
            "/ui/sessions?initiator=carol",
            f"/ui/session?id={self.identifier}",
        ):
            answer = bob.get(path)

            self.assertEqual(answer.status, 200, path)
            self.assertLess(len(answer.text), 1_500_000, path)

    def test_the_whole_prompt_is_a_file(self) -> None:
        bob = self.visitor("bob")
        page = bob.get(f"/ui/interceptions/{self.identifier}").text
        path = f"/ui/interceptions/{self.identifier}/prompt.txt"

        answer = bob.get(path)

        self.assertIn(f'href="{path}" download', page)
        self.assertIn("Only the beginning is shown", page)
        self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(
            answer.headers["content-disposition"],
            f'attachment; filename="{self.identifier}-prompt-1.txt"',
        )
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertTrue(answer.text == self.prompt)

    def test_texts_that_are_not_there(self) -> None:
        bob = self.visitor("bob")
        base = f"/ui/interceptions/{self.identifier}"
        for path in ("/tool-13.txt", "/tool-0.txt", "/other-1.txt", "/tool-x.txt", "/tool--1.txt"):
            self.assertEqual(bob.get(base + path).status, 404, path)


class NotKeptTests(PagesTestCase):
    async def test_what_is_blank_or_taken_out_is_said_to_be(self) -> None:
        made = Company(seed=31)
        six_days = 6 * 24 * 60
        start = made.request(
            minutes_ago=six_days,
            who="carol",
            prompt="a zebra",
            thoughts=["about zebras"],
            tools=[("Bash", {"command": "zebra"})],
            ended={"redactions": 2},
        )
        await self.here.write(made.records)
        carol = self.visitor("carol")
        one, its_session = f"/ui/interceptions/{start.id}", f"/ui/session?id={start.id}"

        kept = [carol.get(path).text for path in (one, its_session)]
        await self.here.transaction(lambda cursor: blank_day(cursor, start.day, None))
        blank = [carol.get(path).text for path in (one, its_session)]

        for page in kept:
            self.assertIn("a zebra", page)
            self.assertNotIn("kept", page.partition("<main")[2])
        for page in blank:
            self.assertNotIn("zebra", page)
        self.assertIn("2 secrets were taken out", kept[0])
        self.assertIn("have not been kept since", blank[0])
        self.assertNotIn(">Prompt</h3>", blank[0])
        self.assertNotIn(">Thinking</h3>", blank[0])
        self.assertIn("The prompt is not kept any more", blank[1])


class OddQuestionsTests(PagesTestCase):
    def test_what_cannot_be_understood_is_said(self) -> None:
        bob = self.visitor("bob")
        for path, said in (
            ("/ui/interceptions?q=colour:red", "colour"),
            ("/ui/sessions?q=%22never", "never closed"),
            ("/ui/sessions?after=nonsense", "is not the id of a session"),
            ("/ui/interceptions?from=tomorrow", "tomorrow"),
            ("/ui/search?words=-", "q"),
            ("/ui/audit?after_id=nonsense", "after_id"),
            ("/ui/overview?model=" + quote('a"b' * 3000), "q"),
        ):
            answer = bob.get(path)

            self.assertEqual(answer.status, 400, path)
            self.assertIn(said, answer.text, path)

    def test_nothing_breaks_a_page(self) -> None:
        bob = self.visitor("bob")
        for path in (
            "/ui/interceptions/nonsense",
            "/ui/interceptions/01890000-0000-7000-8000-00000000000a",
            "/ui/interceptions/ffffffff-ffff-7fff-bfff-ffffffffffff",
            "/ui/session",
            "/ui/session?id=%00",
            "/ui/session?id=a&of=b",
            "/ui/session?id=a&after_id=b",
            "/ui/nothing",
            "/ui/%ff",
        ):
            self.assertIn(bob.get(path).status, (400, 404), path)
        for path in ("/ui/overview?days=9999", "/ui/tokens?user=%00", "/ui/audit?actor=%27--"):
            self.assertEqual(bob.get(path).status, 200, path)

    def test_commands_never_hold_a_value(self) -> None:
        bob = self.visitor("bob")
        for path in ("/ui/overview", "/ui/sessions?q=client:Codex", "/ui/interceptions"):
            text = bob.get(path).text

            self.assertIn("$AIBRIDGE_TOKEN", text)
            self.assertNotIn("aib_", text)

    def test_what_every_page_shows_can_be_asked_for_by_its_command(self) -> None:
        for who, path in (
            ("bob", "/ui/overview?days=7"),
            ("bob", "/ui/sessions?q=client:Codex"),
            ("bob", "/ui/interceptions?initiator=alice"),
            ("bob", "/ui/search?words=the"),
            ("bob", "/ui/usage"),
            ("bob", "/ui/providers"),
            ("bob", "/ui/audit?" + urlencode({"actor": "$(id); 'b", "user": "alice"})),
            ("bob", "/ui/audit?action=content.read&from=2026-11-01T10:00"),
            ("owner", "/ui/tokens?user=alice&all="),
            ("owner", "/ui/tokens"),
            ("owner", "/ui/users?all="),
        ):
            text = self.visitor(who).get(path).text
            found = re.search(r'<pre id="command">(.*?)</pre>', text, re.DOTALL)
            assert found is not None, path

            program, flags, url, *words = shlex.split(unescape(found[1]).replace("\\\n", " "))
            given = [words[at + 1] for at, each in enumerate(words) if each == "--data-urlencode"]
            parts = urlsplit(url)
            query = urlencode([tuple(each.split("=", 1)) for each in given])
            status, _, body = self.here.bridge.ask(
                "GET", f"{parts.path}?{query}", token=self.here.tokens[who]
            )

            self.assertEqual((program, flags[:3], words[-2]), ("curl", "-sS", "-H"), path)
            self.assertEqual(status, 200, (path, body))


class ToolResultTests(PagesTestCase):
    async def test_what_tools_gave_back_is_beside_the_call_and_where_it_was_brought(self) -> None:
        made = Company(seed=23)
        called = made.request(
            minutes_ago=190, who="carol", tools=[("Bash", {"command": "ls"}), ("Read", "{}")]
        )
        bringing = made.request(
            minutes_ago=189,
            who="carol",
            prompt=None,
            correlating_tool_call_id=made.call_id(called, 2),
            tool_results=[
                replace(brought(made.call_id(called, 1), "no <such> file"), is_error=True),
                brought(made.call_id(called, 2), None, size_bytes=4_210),
            ],
        )
        await self.here.write(made.records)
        carol = self.visitor("carol")

        one = carol.get(f"/ui/interceptions/{called.id}").text
        other = carol.get(f"/ui/interceptions/{bringing.id}").text
        file = carol.get(f"/ui/interceptions/{bringing.id}/result-1.txt")

        for page in (one, other):
            self.assertIn("no &lt;such&gt; file", page)
            self.assertIn("<b>Error</b>", page)
            self.assertIn("content not recorded", page)
            self.assertIn("4.1 KiB", page)
        self.assertIn(f'href="/ui/interceptions/{bringing.id}"', one)
        self.assertIn("Brought back from tools", other)
        self.assertIn(made.call_id(called, 1), other)
        self.assertEqual((file.status, file.text), (200, "no <such> file"))
        self.assertEqual(carol.get(f"/ui/interceptions/{bringing.id}/result-2.txt").status, 404)
        self.assertEqual(
            self.visitor("alice").get(f"/ui/interceptions/{bringing.id}/result-1.txt").status, 404
        )
