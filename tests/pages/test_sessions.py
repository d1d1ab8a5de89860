"""The page of a session that several users' clients have named alike."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from urllib.parse import urlencode

from tests.pages.cases import PagesTestCase
from tests.pages.seeding import Company


class SeveralTests(PagesTestCase):
    async def test_of_two_users_sessions_with_one_id_one_can_be_chosen(self) -> None:
        """The page leads to a list of those only."""
        name = "of two: users"
        made = Company(datetime.now(UTC), seed=36)
        for who in ("alice", "carol"):
            made.request(minutes_ago=30, prompt=f"From {who}.", who=who, client_session_id=name)
        await self.here.write(made.records)
        bob = self.visitor("bob")

        several = bob.get(f"/ui/session?{urlencode({'id': name})}")
        (link,) = re.findall(r'href="(/ui/sessions\?[^"]+)"', several.text)
        listed = bob.get(unescape(link))

        self.assertEqual((several.status, listed.status), (409, 200))
        self.assertIn("2 found", listed.text)
        self.assertIn("From alice.", listed.text)
        self.assertIn("From carol.", listed.text)
