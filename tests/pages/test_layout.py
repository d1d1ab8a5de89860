"""Where things stand on the pages, in a real browser: nothing is cut off, nothing left over."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.pages.test_browser import BrowserTestCase

WIDTHS = (375, 768, 1024, 1280, 1440, 1700)
_WITH_TIMES = ("/ui/sessions", "/ui/interceptions", "/ui/search", "/ui/audit")
_TOO_NARROW = """
() => [...document.querySelectorAll('input[type=datetime-local]')].map((field) => {
    const given = field.getBoundingClientRect().width;
    field.style.width = 'max-content';
    const wanted = field.getBoundingClientRect().width;
    field.style.width = '';
    return wanted - given;
})
"""
_GAPS = """
() => {
    const whole = document.querySelector('.tiles');
    const tiles = [...whole.children].map((each) => each.getBoundingClientRect());
    const covered = tiles.reduce((sum, each) => sum + (each.width + 1) * (each.height + 1), 0);
    return whole.clientWidth * whole.clientHeight - covered;
}
"""
_LINES = """
(tile) => {
    const text = tile.querySelector('b');
    return Math.round(text.clientHeight / parseFloat(getComputedStyle(text).lineHeight));
}
"""


class LayoutTests(BrowserTestCase):
    def at(self, page: Page, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 850})
        name = page.url.partition("/ui/")[2].partition("?")[0].replace("/", "-")
        page.screenshot(path=self.shots / f"{name}-{width}.png")

    def test_a_time_to_filter_by_is_seen_to_its_minutes(self) -> None:
        """The browser cuts it off where its field is too narrow."""
        with self.page("bob", locale="en-US") as page:
            for path in _WITH_TIMES:
                page.goto(f"{path}?from=2026-11-26T17:45&to=2026-12-26T17:45")
                for width in WIDTHS:
                    self.at(page, width)

                    missing = page.evaluate(_TOO_NARROW)

                    self.assertEqual(len(missing), 2)
                    self.assertLessEqual(max(missing), 0, f"{path} at {width}")

    def test_tiles_fill_their_rows(self) -> None:
        """The rest of a row would be a grey block."""
        with self.page("bob") as page:
            for path in ("/ui/overview", "/ui/usage", "session", "interception"):
                self.open(page, path)
                for width in WIDTHS:
                    self.at(page, width)

                    self.assertLess(page.evaluate(_GAPS), 2_000, f"{path} at {width}")

    def test_the_models_of_a_session_have_room(self) -> None:
        """As many as are shown, one a line at most."""
        models = "claude-sonnet-4-5-20250929, claude-haiku-4-5-20251001, gpt-5.2-codex"
        with self.page("bob") as page:
            self.open(page, "session")
            named = page.locator(".tile", has_text="Model").locator("b")
            named.evaluate("(text, models) => { text.textContent = models; }", models)
            for width in (1280, 1440, 1700):
                self.at(page, width)

                tile = page.locator(".tile", has_text="Model")
                self.assertLessEqual(tile.evaluate(_LINES), 3, f"at {width}")

    def test_no_column_of_sessions_is_cut_off_at_a_desk(self) -> None:
        """Its last one says when; a day of an agent may have a hundred million tokens."""
        with self.page("bob") as page:
            page.goto("/ui/sessions")
            page.evaluate(
                "() => [...document.querySelectorAll('tbody tr:first-child td.num')]"
                ".forEach((cell, n) => { cell.textContent = n < 2 ? '99,999,999' : '9,999'; })"
            )
            for width in (1280, 1440):
                self.at(page, width)

                over = page.evaluate(
                    "(() => { const card = document.querySelector('.card:has(> table)');"
                    " return card.scrollWidth - card.clientWidth; })()"
                )

                self.assertLessEqual(over, 0, f"at {width}")
                when = page.locator("tbody tr td:last-child time").first
                lines = when.evaluate("(time) => time.getClientRects().length")
                self.assertLessEqual(lines, 2, f"at {width}")

    def open(self, page: Page, path: str) -> None:
        """Go to a page; to the one of a session, and of an interception, by the links."""
        if path.startswith("/"):
            page.goto(path)
            return
        self.session_of(page, "Now write the change log entry.")
        if path == "interception":
            page.locator(".step a").first.click()
            page.wait_for_selector(".facts")
