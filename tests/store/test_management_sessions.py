"""The endpoints of sessions on a real server: who may read what, and what that leaves behind."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

from msgspec.structs import replace

from bridge.store.sessions import follow
from bridge.store.writes import write_batch
from bridge.web.management_sessions import LONGEST_PROMPT
from tests.store.journalled import ALICE, BOB, START, lines
from tests.store.test_management import ManagementTestCase

API = "/api/v2/aibridge"
MINUTE = timedelta(minutes=1)


class SessionsCase(ManagementTestCase):
    async def session(self, name: str | None, at: datetime = START, **members: object) -> UUID:
        identifier = await self.ended(at, client_session_id=name, **members)
        while (await self.pool.transaction(follow)).marks:
            pass
        return identifier

    async def of_bob(self, name: str, at: datetime = START) -> UUID:
        return await self.session(name, at, initiator_id=BOB, username="bob")

    async def wrong(self, target: str, token: str = "aib_auditor") -> list[str]:
        status, found = await self.get(f"{API}/{target}", token)
        self.assertEqual(status, 400, target)
        return [each["field"] for each in found["validations"]]


class ListTests(SessionsCase):
    async def test_both_established_paths_serve_it(self) -> None:
        await self.session("s")

        for prefix in (API, "/api/v2/ai-gateway"):
            status, found = await self.get(f"{prefix}/sessions")
            self.assertEqual((status, found["count"]), (200, 1))
            self.assertEqual([each["id"] for each in found["sessions"]], ["s"])

    async def test_pages_and_searches(self) -> None:
        for number in range(4):
            await self.session(f"s{number}", START + number * MINUTE, model=f"m{number}")

        async def ids(query: str) -> list[str]:
            status, found = await self.get(f"{API}/sessions?{query}")
            self.assertEqual(status, 200, found)
            return [each["id"] for each in found["sessions"]]

        self.assertEqual(await ids("limit=2"), ["s3", "s2"])
        self.assertEqual(await ids("limit=2&after_session_id=s2"), ["s1", "s0"])
        self.assertEqual(await ids(f"after_session_id=s1&after_initiator_id={ALICE}"), ["s0"])
        self.assertEqual(await ids("limit=2&offset=1"), ["s2", "s1"])
        self.assertEqual(await ids("q=model:m1"), ["s1"])
        self.assertEqual(await ids("limit=0&q="), ["s3", "s2", "s1", "s0"])

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        await self.session("s")

        for query, field in (
            ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=1e2", "limit"),
            ("limit=%D9%A1", "limit"), ("offset=-1", "offset"), ("offset=99999999999", "offset"),
            ("offset=1&after_session_id=s", "offset"), ("after_session_id=t", "after_session_id"),
            ("after_session_id=%00", "after_session_id"),
            ("after_session_id=s&after_initiator_id=x", "after_initiator_id"),
            (f"after_initiator_id={ALICE}", "after_initiator_id"),
            ("q=kind:passthrough", "kind"), ("q=status:running", "status"),
            ("q=colour:red", "colour"),
            ("colour=red", "colour"), ("q=%ff", "q"), ("limit=1&limit=2", "limit"),
        ):  # fmt: skip
            self.assertEqual(await self.wrong(f"sessions?{query}"), [field], query)

    async def test_a_cursor_of_two_users_asks_whose(self) -> None:
        await self.session("s")
        await self.of_bob("s", START + MINUTE)

        status, found = await self.get(f"{API}/sessions?after_session_id=s")

        self.assertEqual(status, 409)
        self.assertEqual([each["field"] for each in found["validations"]], ["after_initiator_id"])

    async def test_members_see_their_own_and_leave_no_trace(self) -> None:
        await self.session("mine")
        await self.of_bob("his")

        status, found = await self.get(f"{API}/sessions", "aib_alice")

        self.assertEqual((status, [each["id"] for each in found["sessions"]]), (200, ["mine"]))
        self.assertEqual((await self.get(f"{API}/sessions/his", "aib_alice"))[0], 404)
        self.assertEqual(await self.wrong("sessions?after_session_id=his", "aib_alice"),
                         ["after_session_id"])  # fmt: skip
        self.assertEqual(self.audited, [])

    async def test_a_list_that_shows_others_prompts_is_written_down(self) -> None:
        await self.session("s")
        await self.session("t", prompt=None)

        await self.get(f"{API}/sessions?q=client:%22Claude%20Code%22")

        (row,) = self.rows(lambda row: row.action == "content.read")
        self.assertEqual((row.actor_name, row.target), ("bob", "s"))
        self.assertEqual(row.detail["users"], ["alice"])
        self.assertEqual(row.detail["q"], 'client:"Claude Code"')

    async def test_a_list_that_shows_none_is_not(self) -> None:
        await self.session("t", prompt=None)
        await self.of_bob("mine")

        await self.get(f"{API}/sessions")

        self.assertEqual(self.audited, [])

    async def test_what_cannot_be_written_down_is_not_shown(self) -> None:
        await self.session("s")
        self.journal_full = True

        for path in ("sessions", "sessions/s"):
            status, found = await self.get(f"{API}/{path}")
            self.assertEqual(status, 503)
            self.assertEqual(set(found), {"message", "detail", "validations"})

    async def test_inference_tokens_are_refused_everywhere(self) -> None:
        for path in ("sessions", "sessions/s", "models", "clients", "providers"):
            self.assertEqual((await self.get(f"{API}/{path}", "aib_agent"))[0], 403, path)
            self.assertEqual((await self.get(f"{API}/{path}", None))[0], 401, path)


class DetailTests(SessionsCase):
    async def test_a_session_has_threads_of_actions(self) -> None:
        identifier = await self.session("s")

        status, found = await self.get(f"{API}/sessions/s")

        self.assertEqual((status, found["id"]), (200, "s"))
        (thread,) = found["threads"]
        self.assertEqual(thread["id"], str(identifier))
        self.assertEqual(thread["agentic_actions"][0]["tool_calls"][0]["tool"], "get_time")
        (row,) = self.rows(lambda row: row.action == "content.read")
        self.assertEqual((row.target, row.detail["users"]), ("s", ["alice"]))

    async def test_any_id_that_a_client_may_name_can_be_asked_for(self) -> None:
        for name in (
            "a/b", "a b", "é", "?q=1", "'; DROP TABLE users; --", "<script>", "a%2Fb", "s/threads",
            "\x1b[31m", "a//b", "..", ".", "x/../y", "+",
        ):  # fmt: skip
            await self.session(name)

            status, found = await self.get(f"{API}/sessions/{quote(name, safe='')}")

            self.assertEqual((status, found.get("id")), (200, name))

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        identifier = await self.session("s")

        for query, field in (
            ("limit=201", "limit"), ("limit=x", "limit"), ("after_id=x", "after_id"),
            (f"after_id={ALICE}", "after_id"), (f"before_id={ALICE}", "before_id"),
            (f"after_id={identifier}&before_id={identifier}", "before_id"),
            ("colour=red", "colour"), ("initiator=%00", "initiator"),
            (f"after_action_id={ALICE}", "after_action_id"),
            (f"after_id={identifier}&after_action_id={identifier}", "after_action_id"),
        ):  # fmt: skip
            self.assertEqual(await self.wrong(f"sessions/s?{query}"), [field], query)

    async def test_an_auditor_is_asked_whose_a_name_of_two_users_is(self) -> None:
        await self.session("s")
        await self.of_bob("s")

        status, found = await self.get(f"{API}/sessions/s")

        self.assertEqual(status, 409)
        self.assertEqual([each["field"] for each in found["validations"]], ["initiator"])
        for whose, name in ((str(ALICE), "alice"), ("me", "bob")):
            status, found = await self.get(f"{API}/sessions/s?initiator={whose}")
            self.assertEqual((status, found["initiator"]["username"]), (200, name))
        status, found = await self.get(f"{API}/sessions/s", "aib_alice")
        self.assertEqual((status, found["initiator"]["username"]), (200, "alice"))

    async def test_what_is_not_there_is_a_404(self) -> None:
        await self.of_bob("his")

        for path, token in (
            ("nothing", "aib_auditor"), ("%00", "aib_auditor"), ("his", "aib_alice"),
            (f"his?initiator={BOB}", "aib_alice"), ("his?initiator=nobody", "aib_auditor"),
        ):  # fmt: skip
            status, found = await self.get(f"{API}/sessions/{path}", token)
            self.assertEqual((status, found["message"]), (404, "Session not found."), path)


class LongPromptTests(SessionsCase):
    async def test_a_list_has_the_beginning_of_a_long_prompt_and_one_all_of_it(
        self,
    ) -> None:
        prompt = "x" * LONGEST_PROMPT + "yz"
        await self.session("s", prompt=prompt)

        _, listed = await self.get(f"{API}/sessions")
        _, one = await self.get(f"{API}/sessions/s")

        self.assertEqual(listed["sessions"][0]["last_prompt"], prompt[:-2])
        self.assertEqual(one["last_prompt"], prompt)


class ValueTests(SessionsCase):
    async def values(self, target: str, token: str = "aib_auditor") -> Any:
        status, found = await self.get(f"{API}/{target}", token)
        self.assertEqual(status, 200, found)
        return found

    async def test_values_that_the_caller_may_see(self) -> None:
        await self.session("s", model="alpha", client="Codex", provider_name="here")
        await self.session("t", model="beta", initiator_id=BOB, username="bob")

        self.assertEqual(await self.values("models"), ["alpha", "beta"])
        self.assertEqual(await self.values("models", "aib_alice"), ["alpha"])
        self.assertEqual(await self.values("models?q=model:be"), ["beta"])
        self.assertEqual(await self.values("models?q=al&limit=1"), ["alpha"])
        self.assertEqual(await self.values("models?offset=1"), ["beta"])
        self.assertEqual(await self.values("clients?q=client:Co"), ["Codex"])
        self.assertEqual(await self.values("providers"), ["anthropic", "here"])
        await self.session("u", client="Claude Code")
        for quoted in ('client:"Claude Code"', '"Claude Co"', 'client:"Cl'):
            found = await self.values(f"clients?q={quote(quoted)}")
            self.assertEqual(found, ["Claude Code"], quoted)
        self.assertEqual(self.audited, [])

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        self.assertEqual(await self.wrong("models?limit=1001"), ["limit"])
        self.assertEqual(await self.wrong("clients?q=%00"), ["q"])
        self.assertEqual(await self.wrong("providers?after_id=x"), ["after_id"])


HOSTILE = (
    "<script>alert(document.cookie)</script>",
    "'; DROP TABLE users; --",
    "\x1b]0;owned\x07\x1b[2J",
    '"}],"count":0}',
    "%s %(q)s {0} {{day}} $1",
    "=HYPERLINK(1)\r\nX-Injected: yes",
    "\u202egpj.exe\ufeff\u2028",
    "../../../etc/passwd\\..",
)


class HostileTests(SessionsCase):
    """Whatever clients and models say is data, wherever it comes back."""

    async def recorded(self, text: str, at: datetime) -> UUID:
        """Store an interception that says `text` everywhere, and return its id."""
        start = self.maker.started(
            at, username=text, api_key_id=text, provider=text, provider_name=text, method=text,
            route=text, model=text, client=text, client_session_id=text, user_agent=text,
            correlating_tool_call_id=text, credential_hint=text, prompt=text,
            metadata={text: text, "agent_id": text, "parent_agent_id": text},
            tool_results=[self.maker.result(text, content=text)],
        )  # fmt: skip
        call = replace(self.maker.tool(start, text), tool=text, input=text, server_url=text,
                       invocation_error=text, metadata={text: text})  # fmt: skip
        thought = replace(self.maker.thought(start), content=text, metadata={"source": text})
        tokens = self.maker.tokens(start, provider_response_id=text, metadata={text: 1})
        end = self.maker.ended(
            start, response_id=text, stop_reason=text, error_type=text, error_message=text
        )
        batch = lines(start, call, thought, tokens, self.maker.leg(start), end)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))
        while (await self.pool.transaction(follow)).marks:
            pass
        return start.id

    async def test_every_recorded_text_comes_back_as_it_was_and_does_nothing(self) -> None:
        for number, text in enumerate(HOSTILE):
            identifier = await self.recorded(text, START + number * MINUTE)

            for path in (
                f"interceptions/{identifier}", f"sessions/{quote(text, safe='')}",
                f"interceptions?q={quote(_element('model', text))}",
                f"sessions?q={quote(_element('model', text))}",
            ):  # fmt: skip
                status, found = await self.get(f"{API}/{path}")
                self.assertEqual(status, 200, (path, found))
                one = (found.get("results") or found.get("sessions") or [found])[0]
                self.assertEqual(one["initiator"]["username"], text)
                self.assertEqual(one["client"], text)
                self.assertEqual(one["metadata"][text], text)
            self.assertIn(text, (await self.get(f"{API}/models?limit=1000"))[1])
            status, found = await self.get(f"{API}/sessions/{quote(text, safe='')}")
            action = found["threads"][0]["agentic_actions"][0]
            self.assertEqual(
                [action["prompt"], action["thinking"][0]["text"], action["tool_calls"][0]["input"],
                 action["tool_calls"][0]["tool"], action["error_message"], action["agent_id"]],
                [text] * 6,
            )  # fmt: skip
        self.assertEqual(await self.fetch("SELECT count(*) FROM users"), [(0,)])

    async def test_parameters_that_are_hostile_are_answered_in_words(self) -> None:
        for text in (*HOSTILE, "\0", "\ud800", "x" * 20_000):
            value = quote(text, safe="", errors="surrogatepass")
            for path in (
                f"sessions?q={value}", f"sessions?after_session_id={value}",
                f"sessions?{value}=1", f"sessions/{value}", f"sessions/s?initiator={value}",
                f"models?q={value}", f"interceptions?after_id={value}", f"interceptions/{value}",
                f"audit?target={value}&from={value}", f"sessions?limit={value}",
            ):  # fmt: skip
                status, found = await self.get(f"{API}/{path}")

                self.assertIn(status, (200, 400, 404), (path, found))
                if status == 400:
                    self.assertTrue(found["message"])


def _element(key: str, text: str) -> str:
    """Return a search for it; for everything where the language cannot say it: it is the newest."""
    return f'{key}:"{text}"' if '"' not in text else ""
