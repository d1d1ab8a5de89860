"""The pieces that pages are made of: visible text, searches, commands, charts, guards."""

from __future__ import annotations

import shlex
import unicodedata
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.domain.errors import RateLimited
from bridge.pages.charts import HEIGHT, WIDTH, Series, lines, stacked
from bridge.pages.commands import curl, segment
from bridge.pages.guards import ATTEMPTS, Attempts, Cookies, local_path
from bridge.pages.searching import whole_search
from bridge.pages.templating import duration, number, short, size
from bridge.pages.visible import visible
from bridge.pages.visit import Fields
from bridge.store.filters import parse
from tests.support.cases import BridgeTestCase

DAYS = [date(2026, 11, 1) + timedelta(days=n) for n in range(30)]


class VisibleTests(BridgeTestCase):
    def test_nothing_that_hides_or_turns_around_is_left(self) -> None:
        for number_ in (*range(0x3000), *range(0xFE00, 0x10000), *range(0xE0000, 0xE1000)):
            shown = visible(f"a{chr(number_)}b")
            category = unicodedata.category(shown[1])
            if number_ in (0x09, 0x0A):
                self.assertEqual(shown, f"a{chr(number_)}b")
            else:
                self.assertNotEqual(category, "Cc", hex(number_))
                self.assertNotIn(unicodedata.bidirectional(shown[1]), ("RLO", "LRO", "RLE", "RLI"))

    def test_what_is_spelt_out(self) -> None:
        self.assertEqual(visible("\x1b[0m\x7f"), "⟦U+001B⟧[0m⟦U+007F⟧")
        self.assertEqual(visible("\u202ecod.exe"), "⟦U+202E⟧cod.exe")
        self.assertEqual(visible("\U000e0041"), "⟦U+E0041⟧")

    def test_ordinary_text_of_all_scripts_stays(self) -> None:
        for text in (
            "naïve café",
            "👩\u200d💻 \u2764\ufe0f",
            "שלום עולם",
            "日本語\tは\nここ",
            "क्\u200dष",
        ):
            self.assertEqual(visible(text), text)

    def test_line_ends_of_other_systems_are_line_ends(self) -> None:
        self.assertEqual(visible("a\r\nb\rc"), "a\nb⟦U+000D⟧c")


class SearchTests(BridgeTestCase):
    def test_fields_and_box_make_one_search(self) -> None:
        query = Fields(
            q="model:opus", client="Claude Code", initiator="ada", status="completed",
            **{"from": "2026-01-31T12:00", "to": "2026-02-01T00:00:30"},
        )  # fmt: skip

        q = whole_search(query)

        self.assertEqual(
            q,
            'model:opus initiator:ada client:"Claude Code" status:completed '
            'started_after:"2026-01-31T12:00:00Z" started_before:"2026-02-01T00:00:30Z"',
        )
        self.assertEqual(parse(q).client, "Claude Code")

    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(min_size=1).filter(lambda text: text.strip('"').strip()))
    def test_a_fields_value_is_a_value_and_nothing_else(self, value: str) -> None:
        value = value.replace("\0", "")
        q = whole_search(Fields(model=value))

        if q and value.replace('"', "").strip():
            found = parse(q)
            self.assertEqual((found.model, found.initiator_name), (value.replace('"', ""), None))


class CommandTests(BridgeTestCase):
    def test_a_command_can_be_pasted_whatever_is_in_it(self) -> None:
        hostile = "'; rm -rf / #\"$(id)`id`\n"

        words = shlex.split(curl("http://h:1", f"/sessions/{segment(hostile)}", {"q": hostile}))

        self.assertEqual(words[0], "curl")
        self.assertIn(f"q={hostile}", words)
        self.assertEqual(words[-1], "Authorization: Bearer $AIBRIDGE_TOKEN")


class ChartTests(BridgeTestCase):
    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.integers(0, 10**12), min_size=1, max_size=6))
    def test_everything_is_within_the_box(self, few: list[int]) -> None:
        values = (few * 30)[:30]
        chart = stacked("x", DAYS, [Series(name="a", values=values, colour=1)] * 2, short)

        for bar in chart.bars:
            self.assertGreaterEqual(bar.y, chart.top)
            self.assertLessEqual(bar.x + bar.width, WIDTH)
            self.assertLessEqual(bar.y + bar.height, HEIGHT)
        self.assertEqual(len(chart.ticks), 5)
        self.assertEqual(chart.empty, not any(values))

    def test_bars_stand_on_each_other(self) -> None:
        chart = stacked(
            "x",
            DAYS[:1],
            [Series(name="a", values=[3], colour=1), Series(name="b", values=[1], colour=2)],
            short,
        )

        lower, upper = chart.bars
        self.assertEqual(upper.y + upper.height, lower.y)
        self.assertAlmostEqual(lower.height, 3 * upper.height, delta=0.1)
        self.assertEqual(chart.columns[0].title, "2026-11-01\na: 3\nb: 1")

    def test_lines_break_where_nothing_is_known(self) -> None:
        values = [1, 2, None, 4, None, 6, 7]

        chart = lines("x", DAYS[:7], [Series(name="a", values=values, colour=1)], duration)

        self.assertEqual([len(points.split()) for _, points in chart.lines], [2, 2])
        self.assertEqual(len(chart.dots), 1)


class NumberTests(BridgeTestCase):
    def test_numbers_are_for_reading(self) -> None:
        self.assertEqual([short(n) for n in (0, 999, 1000, 12_345, 123_456, 2_500_000)],
                         ["0", "999", "1.0k", "12.3k", "123k", "2.5M"])  # fmt: skip
        self.assertEqual(number(1_234_567), "1,234,567")
        self.assertEqual([duration(ms) for ms in (0, 950, 1500, 61_000, 7_260_000)],
                         ["0 ms", "950 ms", "1.5 s", "1 min 1 s", "2 h 1 min"])  # fmt: skip
        self.assertEqual([size(n) for n in (12, 2048, 3 * 1024**2)], ["12 B", "2.0 KiB", "3.0 MiB"])


class Asked:
    """As much of a request as cookies look at."""

    def __init__(self, *, tls: bool = False, cookies: str = "", **headers: str) -> None:
        self.tls = tls
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.cookies = dict(each.split("=", 1) for each in cookies.split("; ") if each)

    def isSecure(self) -> bool:  # as Twisted calls it
        return self.tls

    def getHeader(self, name: bytes) -> bytes | None:
        value = self.headers.get(name.decode())
        return value.encode() if value is not None else None

    def getCookie(self, name: bytes) -> bytes | None:
        value = self.cookies.get(name.decode())
        return value.encode() if value is not None else None


class CookieTests(BridgeTestCase):
    def test_over_tls_a_cookie_is_bound_to_the_host_and_secure(self) -> None:
        for cookies, request in (
            (Cookies(behind_proxy=False), Asked(tls=True)),
            (Cookies(behind_proxy=True), Asked()),
            (Cookies(behind_proxy=True), Asked(x_forwarded_proto="https")),
        ):
            self.assertEqual(
                cookies.new_session(request, "v"),
                b"__Host-aibridge=v; Path=/; HttpOnly; SameSite=Strict; Secure",
            )

    def test_what_a_stranger_says_about_tls_is_not_believed(self) -> None:
        cookies = Cookies(behind_proxy=False)

        self.assertFalse(cookies.secure(Asked(x_forwarded_proto="https")))
        self.assertFalse(Cookies(behind_proxy=True).secure(Asked(x_forwarded_proto="http")))

    def test_over_tls_only_the_bound_cookie_counts(self) -> None:
        # A page of another port or subdomain can set one of the plain name.
        cookies = Cookies(behind_proxy=False)
        planted = Asked(tls=True, cookies="aibridge=planted")

        self.assertIsNone(cookies.session(planted))
        self.assertEqual(cookies.session(Asked(tls=True, cookies="__Host-aibridge=v")), "v")


class GuardTests(BridgeTestCase):
    def test_only_paths_of_ours_are_gone_back_to(self) -> None:
        for path in ("/ui/", "/ui", "/ui/sessions?q=a%20b", "/ui/session?id=a/b"):
            self.assertEqual(local_path(path), path)
        for path in (
            "",
            "/",
            "//ui/",
            "/ui\\x",
            "/uix",
            "http://h/ui/",
            "/ui/a b",
            "/ui/é",
            "/ui/\n",
        ):
            self.assertEqual(local_path(path), "/ui/")

    def test_failures_are_forgotten_after_a_minute(self) -> None:
        attempts = Attempts(self.clock)
        for _ in range(ATTEMPTS):
            attempts.check("a")
            attempts.failed("a")

        self.assertRaises(RateLimited, attempts.check, "a")
        attempts.check("b")
        self.clock.advance(61)
        attempts.check("a")

    def test_addresses_are_bounded(self) -> None:
        attempts = Attempts(self.clock)
        for n in range(20_000):
            attempts.failed(str(n))

        self.assertEqual(len(attempts._failed), 10_000)
