"""Signing in and out, what a session is good for, and what it is not."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import psycopg2

from tests.pages.browserless import Browserless
from tests.pages.cases import PagesTestCase
from tests.support.bridge_process import eventually


class SignInTests(PagesTestCase):
    def test_pages_ask_to_sign_in_and_go_back(self) -> None:
        visitor = Browserless(self.here.bridge)

        asked = visitor.get("/ui/audit?action=token")
        back = visitor.sign_in(self.here.tokens["bob"], "/ui/audit?action=token")

        self.assertEqual(asked.status, 303)
        self.assertEqual(asked.location, "/ui/sign-in?next=/ui/audit%3Faction%3Dtoken")
        self.assertEqual((back.status, back.location), (303, "/ui/audit?action=token"))
        self.assertEqual(visitor.get(back.location).status, 200)

    def test_the_cookie_is_random_and_for_us_alone(self) -> None:
        answers = [Browserless(self.here.bridge).sign_in(self.here.tokens["bob"]) for _ in "12"]
        cookies = [answer.set_cookies[0] for answer in answers]

        for cookie in cookies:
            self.assertRegex(
                cookie, r"^aibridge=[A-Za-z0-9_-]{43}; Path=/; HttpOnly; SameSite=Strict$"
            )
        self.assertNotEqual(*cookies)

    def test_next_leads_nowhere_else(self) -> None:
        for elsewhere in (
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/ui/../../evil",
            "/ui\\@evil.example",
            "javascript:alert(1)",
            "/uievil",
            "/ui/\r\nSet-Cookie: a=b",
            "/ui/sign-in",
        ):
            answer = Browserless(self.here.bridge).sign_in(self.here.tokens["bob"], elsewhere)

            self.assertEqual(answer.status, 303, elsewhere)
            self.assertIn(answer.location, ("/ui/", "/ui/../../evil"), elsewhere)

    def test_a_wrong_token_is_told_so_and_written_down_without_it(self) -> None:
        visitor = Browserless(self.here.bridge)

        answer = visitor.sign_in("aib_nonsense")

        self.assertEqual(answer.status, 401)
        self.assertIn("That is not a valid token", answer.text)
        self.assertNotIn("aib_nonsense", answer.text)
        self.assertNotIn("aibridge", visitor.cookies)

    def test_an_inference_token_is_not_for_pages(self) -> None:
        answer = Browserless(self.here.bridge).sign_in(self.here.bridge.token("dev"))

        self.assertEqual(answer.status, 403)
        self.assertIn("This token is for sending requests only", answer.text)

    def test_signing_out_ends_the_session_not_only_the_cookie(self) -> None:
        visitor = self.visitor("bob")
        cookie = dict(visitor.cookies)
        page = visitor.get("/ui/tokens")

        answer = visitor.post("/ui/sign-out", {"form_token": page.form_token})
        visitor.cookies = cookie
        again = visitor.get("/ui/tokens")

        self.assertEqual((answer.status, answer.location), (303, "/ui/sign-in"))
        self.assertEqual(again.location, "/ui/sign-in?next=/ui/tokens&ended=1")
        self.assertIn("Max-Age=0", again.set_cookies[0])

    def test_an_ended_session_says_so_and_leads_back(self) -> None:
        visitor = Browserless(self.here.bridge)
        visitor.cookies["aibridge"] = "x" * 43

        asked = visitor.get("/ui/tokens")

        self.assertIn("Your session has ended", visitor.get(asked.location).text)

    def test_a_session_ends_after_eight_quiet_hours(self) -> None:
        visitor = self.visitor("carol")
        self.assertEqual(visitor.get("/ui/tokens").status, 200)

        with psycopg2.connect(self.here.bridge.database_address()) as connection:
            connection.cursor().execute(
                "UPDATE aibridge_page_sessions SET seen_at = seen_at - interval '481 minutes' "
                "WHERE token_id = %s",
                (self.here.tokens["carol"].split("_")[1],),
            )

        self.assertEqual(visitor.get("/ui/tokens").status, 303)

    def test_the_database_holds_no_cookie(self) -> None:
        visitor = self.visitor("bob")
        with psycopg2.connect(self.here.bridge.database_address()) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT digest, s::text FROM aibridge_page_sessions s")
            rows = cursor.fetchall()

        for _, row in rows:
            self.assertNotIn(visitor.cookies["aibridge"], row)

    def test_only_ten_browsers_stay_signed_in_with_a_token(self) -> None:
        token = self.here.new_token("alice")
        self.here.until_known(token)
        visitors = [Browserless(self.here.bridge) for _ in range(11)]
        for visitor in visitors:
            self.assertEqual(visitor.sign_in(token).status, 303)

        statuses = [visitor.get("/ui/tokens").status for visitor in visitors]

        self.assertEqual(statuses, [303, *[200] * 10])

    def test_a_session_dies_with_its_token(self) -> None:
        token = self.here.new_token("alice")
        self.here.until_known(token)
        visitor = Browserless(self.here.bridge)
        visitor.sign_in(token)
        self.assertEqual(visitor.get("/ui/tokens").status, 200)
        owner = self.visitor("owner")

        form_token = owner.get("/ui/tokens").form_token
        path = f"/ui/tokens/{token.split('_')[1]}/revoke"
        revoked = owner.post(path, {"form_token": form_token})

        self.assertEqual(revoked.status, 303)
        eventually(
            lambda: visitor.get("/ui/tokens").status == 303,
            seconds=10,
            what="the session to end with its token",
        )


class WhereFromTests(PagesTestCase):
    def test_a_form_from_another_site_is_refused(self) -> None:
        visitor = self.visitor("owner")
        fields = {"form_token": visitor.get("/ui/users").form_token, "name": "mallory"}
        elsewhere = (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {},
        )

        for headers in elsewhere:
            answer = visitor.post("/ui/users", fields, same_origin=False, **headers)

            self.assertEqual(answer.status, 403, headers)
        self.assertNotIn("mallory", visitor.get("/ui/users").text)

    def test_older_browsers_name_their_origin(self) -> None:
        visitor = self.visitor("owner")
        fields = {"form_token": visitor.get("/ui/users").form_token, "name": "trudy"}

        answer = visitor.post(
            "/ui/users", {**fields, "role": "member"}, same_origin=False, origin=self.here.origin
        )

        self.assertEqual(answer.status, 303)

    def test_a_form_without_its_token_is_refused(self) -> None:
        visitor, other = self.visitor("owner"), self.visitor("owner")
        for form_token in ("", "x" * 64, other.get("/ui/users").form_token):
            answer = visitor.post("/ui/users", {"form_token": form_token, "name": "mallory"})

            self.assertEqual(answer.status, 403)

    def test_the_form_to_sign_in_is_protected_too(self) -> None:
        visitor = Browserless(self.here.bridge)
        page = visitor.get("/ui/sign-in")
        token = self.here.tokens["bob"]

        foreign = visitor.post(
            "/ui/sign-in",
            {"token": token, "form_token": page.form_token},
            same_origin=False,
            origin="https://evil.example",
        )
        without = visitor.post("/ui/sign-in", {"token": token})

        self.assertEqual((foreign.status, without.status), (403, 403))
        self.assertNotIn("aibridge", visitor.cookies)

    def test_a_link_from_elsewhere_finds_the_session(self) -> None:
        visitor = self.visitor("bob")
        cookies, visitor.cookies = visitor.cookies, {}

        # SameSite=Strict: the browser sends no cookie with the first request.
        first = visitor.get(
            "/ui/tokens", **{"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        )
        visitor.cookies = cookies

        self.assertEqual(first.status, 200)
        self.assertIn('content="0; url=/ui/tokens"', first.text)
        self.assertEqual(visitor.get("/ui/tokens").status, 200)

    def test_a_session_is_nothing_to_the_other_doors(self) -> None:
        visitor = self.visitor("owner")

        rest = visitor.get("/api/v2/aibridge/interceptions")
        data = visitor.get("/demo/v1/models")

        self.assertEqual((rest.status, data.status), (401, 401))

    def test_a_token_in_a_header_is_nothing_to_the_pages(self) -> None:
        status, headers, _ = self.here.bridge.ask("GET", "/ui/tokens", token="admin")

        self.assertEqual(status, 303)
        self.assertIn("/ui/sign-in", headers["location"])


class HeaderTests(PagesTestCase):
    def test_every_answer_is_locked_down(self) -> None:
        visitor = self.visitor("owner")
        for path in ("/ui/tokens", "/ui/sign-in", "/ui/nothing", "/ui/interceptions/nonsense"):
            answer = visitor.get(path)

            policy = answer.headers["content-security-policy"]
            self.assertTrue(policy.startswith("default-src 'none'"), path)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertEqual(answer.headers["referrer-policy"], "no-referrer")
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertNotIn("server", answer.headers)

    def test_another_machine_without_tls_can_say_where_a_form_comes_from(self) -> None:
        plain = Browserless(self.here.bridge).get("/ui/sign-in", host="bridge.example")
        proxied = Browserless(self.here.bridge).get(
            "/ui/sign-in", host="bridge.example", **{"x-forwarded-proto": "https"}
        )

        self.assertEqual(plain.headers["referrer-policy"], "same-origin")
        self.assertEqual(proxied.headers["referrer-policy"], "no-referrer")

    def test_every_page_has_a_nonce_of_its_own(self) -> None:
        visitor = self.visitor("owner")
        pages = [visitor.get("/ui/tokens") for _ in "12"]
        nonces = [set(re.findall(r'nonce="([^"]+)"', page.text)) for page in pages]

        for page, found in zip(pages, nonces, strict=True):
            (nonce,) = found
            self.assertIn(f"'nonce-{nonce}'", page.headers["content-security-policy"])
        self.assertNotEqual(*nonces)

    def test_assets_may_be_kept_because_their_names_change(self) -> None:
        page = self.visitor("owner").get("/ui/tokens").text
        for path in set(re.findall(r'"(/ui/static/[^"]+)"', page)):
            answer = Browserless(self.here.bridge).get(path)

            self.assertEqual(answer.status, 200, path)
            self.assertIn("immutable", answer.headers["cache-control"])
        self.assertEqual(Browserless(self.here.bridge).get("/ui/static/pages.css").status, 404)

    def test_the_root_leads_browsers_to_the_pages_and_others_not(self) -> None:
        visitor = Browserless(self.here.bridge)

        self.assertEqual(visitor.get("/", accept="text/html,*/*").status, 303)
        self.assertEqual(visitor.get("/ui").status, 303)
        self.assertEqual(visitor.get("/", accept="*/*").status, 404)
        self.assertEqual(
            visitor.get("/", accept="application/json").headers["content-type"], "application/json"
        )


class RateTests(PagesTestCase):
    def test_guessing_is_slowed_down_for_each_address(self) -> None:
        visitor = Browserless(self.here.bridge)
        page = visitor.get("/ui/sign-in")
        fields = {"token": "aib_guess", "form_token": page.form_token}
        statuses = [visitor.post("/ui/sign-in", fields).status for _ in range(12)]

        last = visitor.post("/ui/sign-in", fields)

        self.assertIn(429, statuses)
        self.assertEqual(last.status, 429)
        self.assertGreater(int(last.headers["retry-after"]), 0)
        self.assertIn("wait a minute", last.text)
        # Those who follow must not wait for it.
        self.here.restart()


class AuditTests(PagesTestCase):
    def test_signing_in_and_out_is_written_down(self) -> None:
        visitor = self.visitor("bob")
        visitor.post("/ui/sign-out", {"form_token": visitor.get("/ui/tokens").form_token})
        auditor = self.visitor("bob")

        def noted() -> bool:
            text = auditor.get(f"/ui/audit?{urlencode({'action': 'page', 'actor': 'bob'})}").text
            return "page.sign-out" in text and "page.sign-in" in text

        eventually(noted, seconds=10, what="the audit log to tell of it")
