"""A session whose thread is longer than a page is read to its end by following the page's links."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from typing import ClassVar

from tests.pages.cases import PagesTestCase
from tests.pages.long_sessions import long_session

_STEP = re.compile(r'<a href="/ui/interceptions/([0-9a-f-]{36})">')
_LINK = re.compile(r'<a class="button"(?: rel="next")? href="(/ui/session\?[^"]+)">([^<]+)</a>')
_COMMAND = re.compile(r'<pre id="(command|rest)">(.*?)</pre>', re.DOTALL)


class LongSessionTests(PagesTestCase):
    name = "a-long-session"
    requests: ClassVar[list[str]] = []
    threads: ClassVar[list[str]] = []

    async def setUp(self) -> None:
        await super().setUp()
        if not LongSessionTests.requests:
            records, requests, threads = long_session(self.name, seed=31)
            await self.here.write(records)
            LongSessionTests.requests, LongSessionTests.threads = requests, threads

    def pages(self) -> list[str]:
        """Return the pages that are seen from the first one on, always with the last link."""
        alice = self.visitor("alice")
        texts = [alice.get(f"/ui/session?id={self.name}").text]
        while (following := self.links(texts[-1])) and list(following)[-1] in (
            "More of this thread",
            "Later threads",
        ):
            self.assertLess(len(texts), 9)
            texts.append(alice.get(list(following.values())[-1]).text)
        return texts

    def links(self, text: str) -> dict[str, str]:
        return {label: unescape(path) for path, label in _LINK.findall(text)}

    def shown(self, text: str) -> list[str]:
        """Return the ids of the requests in a page."""
        return _STEP.findall(text)

    def answered(self, command: str) -> list[str]:
        """Return the ids of the requests that a page's command answers with."""
        done = subprocess.run(
            ["sh", "-c", unescape(command)],
            env={"AIBRIDGE_TOKEN": self.here.tokens["alice"], "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
            timeout=60,
        )
        threads = json.loads(done.stdout)["threads"]
        return [action["id"] for each in threads for action in each["agentic_actions"]]

    def test_its_pages_show_every_request_once(self) -> None:
        texts = self.pages()

        self.assertEqual([id_ for text in texts for id_ in self.shown(text)], self.requests)
        self.assertEqual(
            [list(self.links(text)) for text in texts],
            [
                ["More of this thread"],
                ["Start of the session", "More of this thread"],
                ["Start of the session"],
            ],
        )

    def test_a_page_says_that_the_thread_goes_on_or_was_begun_before(self) -> None:
        first, second, last = self.pages()

        notice = "This thread has more requests than a page shows."
        self.assertEqual([notice in text for text in (first, second, last)], [True, True, False])
        self.assertEqual(
            [text.count("Thread, continued") for text in (first, second, last)], [0, 1, 1]
        )
        self.assertIn("Rename it everywhere.", first)
        self.assertEqual(second.count("Part 200."), 1)
        self.assertIn("After it, 2.", last)

    def test_its_commands_answer_with_what_a_page_shows_and_with_what_follows(self) -> None:
        texts = self.pages()
        for text, after in zip(texts, [*texts[1:], None], strict=True):
            commands = dict(_COMMAND.findall(text))

            self.assertEqual(self.answered(commands["command"]), self.shown(text))
            self.assertEqual("rest" in commands, after is not None)
            if after is not None:
                self.assertEqual(self.answered(commands["rest"]), self.shown(after))

    def test_a_cursor_of_another_session_is_refused(self) -> None:
        alice = self.visitor("alice")
        for cursor in ("nonsense", "01890000-0000-7000-8000-00000000000a"):
            answer = alice.get(f"/ui/session?id={self.name}&after_action_id={cursor}")

            self.assertIn(answer.status, (400, 404))
