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
