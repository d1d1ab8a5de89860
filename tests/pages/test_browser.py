"""The pages in a real browser: what they show, how they are operated, and what must not run.

Needs Debian's Chromium (`apt-get install chromium`), or another on the PATH as `chromium`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.pages.cases import PagesTestCase
from tests.support.bridge_process import eventually

CHROMIUM = shutil.which("chromium")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1360, "height": 850}
PATHS = (
    "/ui/overview",
    "/ui/usage",
    "/ui/sessions",
    "/ui/search",
    "/ui/search?words=tax",
    "/ui/interceptions",
    "/ui/providers",
    "/ui/tokens",
    "/ui/audit",
)


class BrowserTestCase(PagesTestCase):
    if CHROMIUM is None:
        skip = "There is no Chromium on the PATH (on Debian: apt-get install chromium)."
    timeout = 600

    async def setUp(self) -> None:
        await super().setUp()
        self.complaints: list[str] = []
        self.shots = Path(self.mktemp())
        self.shots.mkdir()

    @contextmanager
    def page(self, name: str | None = None, **options: Any) -> Iterator[Page]:
        """Yield a page of a new browser, signed in as `name`."""
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            try:
                context = browser.new_context(base_url=self.here.origin, **options)
                context.set_default_timeout(90_000)  # a busy machine is slow, not broken
                page = context.new_page()
                page.on("console", self._said)
                page.on("pageerror", lambda error: self.complaints.append(str(error)))
                page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
                if name is not None:
                    page.goto("/ui/")
                    page.fill("input[name=token]", self.here.tokens[name])
                    page.click("text=Sign in >> nth=-1")
                    page.wait_for_selector("nav")
                yield page
            finally:
                browser.close()
        self.assertEqual(self.complaints, [])

    def session_of(self, page: Page, prompt: str) -> None:
        """Go to the session whose last prompt begins with `prompt`."""
        page.goto("/ui/sessions")
        page.locator("a.prompt", has_text=prompt).first.click()
        page.wait_for_selector(".steps, .empty")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


class EveryPageTests(BrowserTestCase):
    def test_every_page_in_light_and_dark_on_a_desk_and_on_a_phone(self) -> None:
        for colours, size in (("light", DESK), ("dark", PHONE)):
            with self.page("bob", color_scheme=colours, viewport=size) as page:
                for path in PATHS:
                    self._look_at(page, path, f"{colours}-{size['width']}")
                self.session_of(page, "Now write the change log entry.")
                self._look_at(page, "", f"session-{colours}")
                page.locator(".step a").first.click()
                page.wait_for_selector(".facts")
                self._look_at(page, "", f"interception-{colours}")
            with self.page("owner", color_scheme=colours, viewport=size) as page:
                self._look_at(page, "/ui/users", f"{colours}-{size['width']}")

        self.assertGreater(len(list(self.shots.iterdir())), 18)

    def test_dark_is_dark(self) -> None:
        grounds = []
        for colours in ("light", "dark"):
            with self.page("bob", color_scheme=colours) as page:
                grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))

        light, dark = (sum(map(int, each[4:-1].split(", "))) for each in grounds)
        self.assertGreater(light, 600)
        self.assertLess(dark, 150)

    def test_the_session_tells_what_was_asked_thought_and_done(self) -> None:
        with self.page("bob") as page:
            self.session_of(page, "Now write the change log entry.")
            text = page.inner_text("main")

            self.assertIn("The cart shows wrong totals", text)
            self.assertIn("The totals are floats", text)
            self.assertIn("python -m pytest -q tests/test_cart.py", text)
            self.assertEqual(
                page.locator(".diff .add").first.inner_text().strip(),
                "def total(items: Iterable[Item]) -> Decimal:",
            )
            self.assertIn("14 passed in 0.21s", text)
            self.assertIn("collab_spawn", text)
            self.assertEqual(page.locator(".thread").count(), 3)
            self.assertEqual(page.locator("li.nested").count(), 1)

    def _look_at(self, page: Page, path: str, name: str) -> None:
        if path:
            answer = page.goto(path)
            assert answer is not None
            self.assertEqual(answer.status, 200, path)
        page.screenshot(path=self.shots / f"{path.strip('/').replace('/', '-')}-{name}.png")
        self.assertEqual(page.locator("h1").count(), 1, path)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        self.assertLessEqual(wide, 0, f"{path or page.url} is wider than the window")

    def test_what_was_found_is_marked(self) -> None:
        with self.page("bob") as page:
            page.goto("/ui/search")
            page.keyboard.type('"wrong totals" -nonsense')
            page.keyboard.press("Enter")
            page.wait_for_selector("mark")

            self.assertEqual(page.locator("mark").first.inner_text(), "wrong totals")
            self.assertEqual(page.locator(".hit").count(), 1)


class HostileTests(BrowserTestCase):
    def test_nothing_that_was_recorded_runs_or_hides(self) -> None:
        with self.page("bob") as page:
            page.goto("/ui/interceptions?initiator=carol")
            page.locator("a.prompt", has_text="<script>").first.click()
            page.wait_for_selector(".facts")
            self._is_harmless(page)
            text = page.inner_text("main")
            self.assertIn("{{ 7 * 7 }} ${7*7}", text)
            self.assertIn("\u27e6U+202E\u27e7gpj.exe\u27e6U+2066\u27e7", text)
            self.assertIn("\u27e6U+001B\u27e7[31m\u27e6U+0007\u27e7 \u27e6U+E0041\u27e7", text)
            for details in page.locator("main details summary").all():
                details.click()
            self._is_harmless(page)
            page.click("text=Its session")
            page.wait_for_selector(".back")
            self._is_harmless(page)
            for path in ("/ui/overview", "/ui/sessions", "/ui/interceptions", "/ui/audit"):
                page.goto(path)
                self._is_harmless(page)

    def test_what_people_call_their_tokens_is_a_name_only(self) -> None:
        name = "<img src=x onerror=document.title='owned'>"
        with self.page("alice") as page:
            page.goto("/ui/tokens")
            page.fill("input[name=name]", name)
            page.click("text=Make token")
            page.wait_for_selector("#value")
            self._is_harmless(page)
            self.assertIn(name, page.inner_text("main"))

    def _is_harmless(self, page: Page) -> None:
        self.assertNotIn("owned", page.title())
        self.assertEqual(page.locator("script").count(), 1)
        self.assertEqual(page.locator("main img, main [onerror], main [onload]").count(), 0)
        self.assertEqual(page.locator("a:not([href^='/ui']):not(.skip)").count(), 0)
        content = page.content()
        for hidden in ("\u202e", "\u2066", "\x1b", "\U000e0041"):
            self.assertNotIn(hidden, content)


class WithoutScriptTests(BrowserTestCase):
    def test_everything_works_without_javascript(self) -> None:
        with self.page("owner", java_script_enabled=False) as page:
            page.goto("/ui/users")
            page.fill("input[name=name]", "dave")
            page.click("text=Create user")
            page.wait_for_selector("text=The user was created")
            page.goto("/ui/tokens")
            page.select_option("select[name=user]", "dave")
            page.fill("input[name=name]", "Laptop")
            page.click("text=Make token")
            value = page.locator("#value").inner_text()
            page.goto("/ui/tokens?user=dave")
            self.assertNotIn(value, page.content())
            page.click("[aria-label='Revoke Laptop']")
            page.wait_for_selector("text=The token was revoked")
            page.goto("/ui/users")
            row = page.locator("tr", has_text="dave")
            row.locator("text=Disable").click()
            page.wait_for_selector("text=The user was disabled")
            page.click("text=Sign out")
            page.wait_for_selector("input[name=token]")

        self.assertRegex(value, r"^aib_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$")

    def test_filters_work_without_javascript(self) -> None:
        with self.page("bob", java_script_enabled=False) as page:
            page.goto("/ui/interceptions")
            page.select_option("select[name=status]", "upstream_error")
            page.click("text=Show")
            page.wait_for_selector("text=1 found")
            self.assertIn("Summarise this week's incidents", page.inner_text("#list"))


class KeyboardTests(BrowserTestCase):
    def test_signing_in_and_searching_need_no_mouse(self) -> None:
        with self.page() as page:
            page.goto("/ui/sessions")
            page.keyboard.type(self.here.tokens["bob"])
            page.keyboard.press("Enter")
            page.wait_for_selector("nav")
            page.keyboard.press("Tab")
            self.assertEqual(
                page.evaluate("document.activeElement.textContent"), "Skip to the content"
            )
            page.keyboard.press("Enter")
            page.keyboard.press("/")
            page.keyboard.type("client:Codex")
            page.keyboard.press("Enter")
            page.wait_for_url("**/ui/sessions?q=client%3ACodex#main")
            for _ in range(40):
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.matches('a.prompt')"):
                    break
            page.keyboard.press("Enter")
            page.wait_for_selector(".steps")
            self.assertIn("Port the tax table", page.inner_text("main"))

    def test_choosing_an_outcome_shows_it_at_once(self) -> None:
        with self.page("bob") as page:
            page.goto("/ui/interceptions")
            page.select_option("select[name=status]", "client_abort")
            page.wait_for_url("**/ui/interceptions?status=client_abort")


class LiveTests(BrowserTestCase):
    def test_what_happens_appears_by_itself(self) -> None:
        with self.page("bob") as page:
            page.goto("/ui/interceptions")
            page.click("text=Live")
            self.assertEqual(page.locator("text=it has just come in").count(), 0)
            self.here.ask_the_demo("Look, it has just come in.")
            page.wait_for_selector("text=it has just come in", timeout=15_000)
            self.assertEqual(page.locator(".live-dot:visible").count(), 1)


class SessionEndTests(BrowserTestCase):
    def test_whose_session_has_ended_signs_in_and_goes_on(self) -> None:
        with self.page("carol") as page:
            page.context.clear_cookies()
            page.goto("/ui/interceptions?status=client_abort")
            page.fill("input[name=token]", self.here.tokens["carol"])
            page.keyboard.press("Enter")
            page.wait_for_selector("text=1 found")

            self.assertTrue(page.url.endswith("/ui/interceptions?status=client_abort"))

    def test_a_link_from_another_site_needs_no_second_sign_in(self) -> None:
        with self.page("bob") as page:
            page.route(
                "https://tickets.example/",
                lambda route: route.fulfill(
                    content_type="text/html",
                    body=f'<a href="{self.here.origin}/ui/tokens">evidence</a>',
                ),
            )
            page.goto("https://tickets.example/")
            page.click("text=evidence")
            eventually(
                lambda: page.url.endswith("/ui/tokens") and page.locator("nav").count() == 1,
                seconds=10,
                what="the page behind the link",
            )
