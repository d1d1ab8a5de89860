"""The page of the audit log: what it can be asked, and where its links lead."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from bridge.domain.records import AuditRecorded
from tests.pages.cases import PagesTestCase
from tests.pages.seeding import ALICE
from tests.store.journalled import Maker
from tests.support.bridge_process import eventually

SESSION = "5b0c9a52-3f0e-4c63-9a1b-8a4a2e7d9f10"
_ABOUT = re.compile(
    r'data-label="About">(?:<a class="mono" href="([^"]+)">|<span class="mono">)([^<]+)<'
)
_INTERCEPTION = re.compile(r'href="/ui/interceptions/([0-9a-f-]{36})"')


class AuditPageTests(PagesTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.maker = Maker()

    def about(self, **query: str) -> list[tuple[str, str]]:
        """Return the link, "" for none, and the target of each entry that is shown."""
        answer = self.visitor("bob").get(f"/ui/audit?{urlencode(query)}")
        self.assertEqual(answer.status, 200, answer.text)
        return [(link.replace("&amp;", "&"), text) for link, text in _ABOUT.findall(answer.text)]

    def read(self, target: str, *users: str, actor: str, hours: float = 0) -> AuditRecorded:
        return self.maker.audit(
            datetime.now(UTC) - timedelta(hours=hours),
            action="content.read",
            actor_name=actor,
            target=target,
            detail={"users": list(users)},
        )

    def test_who_may_not_read_it_is_written_down(self) -> None:
        refused = self.visitor("alice").get("/ui/audit")
        self.assertEqual(refused.status, 403)

        def noted() -> bool:
            query = urlencode({"action": "refusal", "actor": "alice"})
            return "Only owners and auditors" in self.visitor("bob").get(f"/ui/audit?{query}").text

        eventually(noted, seconds=10, what="the audit log to tell of the refusal")

    async def test_links_lead_to_what_was_read(self) -> None:
        """To an interception or a session; what is neither has none."""
        page = self.visitor("bob").get("/ui/interceptions?initiator=alice").text
        identifier = _INTERCEPTION.findall(page)[0]
        nobodys = str(self.maker.id(datetime.now(UTC)))
        await self.here.write(
            [
                self.read(identifier, "alice", actor="links"),
                self.read(SESSION, "alice", actor="links"),
                self.read("export", actor="links"),
                self.read(nobodys, "alice", actor="links"),
                self.read("2 sessions", "alice", actor="links"),
            ]
        )

        found = {target: link for link, target in self.about(actor="links")}

        self.assertEqual(
            found,
            {
                identifier: f"/ui/interceptions/{identifier}",
                SESSION: f"/ui/session?id={SESSION}&of={ALICE}",
                "export": "",
                nobodys: "",
                "2 sessions": "",
            },
        )
        for link in filter(None, found.values()):
            self.assertEqual(self.visitor("bob").get(link).status, 200, link)

    async def test_entries_are_found_by_user_target_and_time(self) -> None:
        await self.here.write(
            [
                self.read("of alice", "alice", actor="finds", hours=3),
                self.read("of carol", "carol", actor="finds", hours=1),
                self.read("export", actor="finds", hours=2),
            ]
        )
        between = datetime.now(UTC) - timedelta(hours=1.5)
        at = between.strftime("%Y-%m-%dT%H:%M")

        def targets(**query: str) -> list[str]:
            return [target for _, target in self.about(actor="finds", **query)]

        self.assertEqual(targets(user="alice"), ["export", "of alice"])
        self.assertEqual(targets(target="export"), ["export"])
        self.assertEqual(targets(**{"from": at}), ["of carol"])
        self.assertEqual(targets(to=at), ["export", "of alice"])
        page = self.visitor("bob").get(f"/ui/audit?user=alice&from={at}").text
        self.assertIn("--data-urlencode user=alice", page)
        self.assertIn(f"from={at}:00+00:00", page)

    async def test_holds_are_a_filter_of_their_own(self) -> None:
        """Setting and releasing them is in the log like any other change."""
        await self.here.write(
            [
                self.maker.audit(datetime.now(UTC), action="hold.create", target="a hold"),
                self.maker.audit(datetime.now(UTC), action="hold.release", target="a hold"),
            ]
        )

        found = [target for _, target in self.about(action="hold")]

        self.assertEqual(found, ["a hold", "a hold"])
        page = self.visitor("bob").get("/ui/audit").text
        self.assertIn('<option value="hold">Holds set and released</option>', page)

    def test_what_cannot_be_asked_is_said(self) -> None:
        for path, field in (
            ("actor=%00", "actor"), ("user=%00", "user"), ("target=a%00", "target"),
            ("action=%00", "action"), ("from=tomorrow", "from"), ("to=2026-13-01T00:00", "to"),
        ):  # fmt: skip
            answer = self.visitor("bob").get(f"/ui/audit?{path}")

            self.assertEqual(answer.status, 400, path)
            self.assertIn(f"<b>{field}</b>", answer.text, path)
