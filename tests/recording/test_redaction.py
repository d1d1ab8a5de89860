"""Tests for bridge.recording.redaction: nothing secret reaches the journal or the log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from bridge.domain.clock import utc
from bridge.domain.identity import CredentialKind
from bridge.domain.ids import uuid7
from bridge.domain.interception import Api, Ending, EndState, Interception, ToolResult, Traffic
from bridge.domain.observations import ModelThought, ToolUsage
from bridge.domain.records import InterceptionStarted, ModelThoughtRecorded, ToolUsageRecorded
from bridge.domain.secret_work import MOST_AT_ONCE
from bridge.domain.secrets import Secrets, known_secrets
from bridge.recording.making import started_of
from bridge.recording.recorder import LARGE_CHARACTERS, Levels, Recorder, Recording
from bridge.recording.redaction import Redaction
from bridge.recording.structured_log import StructuredLog
from tests.domain.secret_samples import X
from tests.policy.test_admission import person
from tests.recording.test_structured_log import MemoryLog
from tests.support.cases import BridgeTestCase
from tests.support.gateway import MemoryJournal

_KEY = f"ghp_{X(36)}"
_HELD = "organisation-key-of-no-known-shape"
_OWN = "user-key-of-no-known-shape"


class RedactionTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.journal = MemoryJournal()
        self.log = MemoryLog()
        self.redaction = Redaction(known_secrets())
        self.redaction.hold([_HELD])

    def begin(self, prompt: str = "Hello", **members: object) -> Recording:
        asked = self.asked(prompt=prompt, **members)
        return self.recorder().begin(asked, own=[_OWN])

    def recorder(self, **more: Any) -> Recorder:
        return Recorder(
            journal=self.journal,
            levels=Levels(),
            clock=self.clock,
            log=StructuredLog(log=self.log),
            redaction=self.redaction,
            **more,
        )

    def asked(self, **members: object) -> Interception:
        now = self.clock.seconds()
        values: dict[str, object] = {
            "id": uuid7(now),
            "started_at": utc(now),
            "traffic": Traffic.INTERCEPTED,
            "actor": person(1, token="tokentokento"),
            "provider": "anthropic",
            "provider_name": "anthropic",
            "api": Api.MESSAGES,
            "method": "POST",
            "route": "/v1/messages",
            "model": "claude-sonnet-5",
            "streaming": True,
            "client": "Unknown",
            "client_session_id": None,
            "user_agent": "",
            "correlating_tool_call_id": None,
            "credential_kind": CredentialKind.CENTRALIZED,
            "credential_hint": "sk-a...wxyz",
            "bytes_in": 10,
        }
        return Interception(**(values | members))  # type: ignore[arg-type]

    def end(self, recording: Recording, error_message: str | None = None) -> None:
        recording.end(
            Ending(
                at=utc(self.clock.seconds()),
                state=EndState.COMPLETED,
                http_status=200,
                ttfb_ms=1,
                duration_ms=2,
                bytes_out=3,
                response_sha256=None,
                client_sha256=None,
                error_message=error_message,
            ),
            None,
        )

    def call(self, arguments: str) -> ToolUsage:
        return ToolUsage(response_id="m", tool_call_id="t", tool="Write", input=arguments)

    def assertNowhere(self, secret: str) -> None:  # as unittest's
        self.assertNotIn(secret, repr(self.journal.records))
        self.assertNotIn(secret, repr(self.log.lines))

    def test_prompt_loses_its_secrets_in_journal_and_log(self) -> None:
        """What a person pasted is kept without the key in it."""
        self.begin(f"why does {_KEY} not work?")

        self.assertEqual(
            self.journal.of(InterceptionStarted)[0].prompt,
            "why does [redacted:github-token] not work?",
        )
        self.assertNowhere(_KEY)
        self.assertIn("[redacted:github-token]", repr(self.log.lines))

    def test_a_large_prompt_is_looked_through_in_a_thread_and_nothing_is_written_before(
        self,
    ) -> None:
        """The reactor is kept no longer than for a small one; the record is the same."""
        waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            waiting.append((work, Deferred()))
            return waiting[-1][1]

        prompt = "x" * LARGE_CHARACTERS + f" {_KEY} {_OWN}"
        begun = Deferred.fromCoroutine(
            self.recorder(in_thread=in_thread).begun(self.asked(prompt=prompt), own=[_OWN])
        )

        self.assertNoResult(begun)
        self.assertEqual(self.journal.records, [])
        ((work, done),) = waiting
        done.callback(work())
        recording: Recording = self.successResultOf(begun)
        self.end(recording)
        kept = self.journal.started.prompt or ""
        self.assertEqual(kept[:-100], "x" * (len(kept) - 100))
        self.assertNowhere(_KEY)
        self.assertNowhere(_OWN)
        self.assertEqual(self.journal.ended.redactions, 2)

    def test_a_client_that_leaves_meanwhile_leaves_nothing(self) -> None:
        """It was not accepted yet."""
        waiting: Deferred[Any] = Deferred()
        prompt = "x" * LARGE_CHARACTERS
        begun = Deferred.fromCoroutine(
            self.recorder(in_thread=lambda _: waiting).begun(self.asked(prompt=prompt))
        )

        begun.cancel()

        self.failureResultOf(begun, CancelledError)
        self.assertEqual(self.journal.records, [])

    def test_a_small_prompt_needs_no_thread(self) -> None:
        def in_thread(_: Callable[[], Any]) -> Deferred[Any]:
            raise AssertionError("a thread")

        begun = Deferred.fromCoroutine(
            self.recorder(in_thread=in_thread).begun(self.asked(prompt=f"no {_KEY}"))
        )

        self.successResultOf(begun)
        self.assertEqual(self.journal.started.prompt, "no [redacted:github-token]")

    def test_a_small_prompt_of_much_to_judge_is_looked_through_in_a_thread(self) -> None:
        """It is recorded as it was said, and what is secret in it is counted once."""
        waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        told: list[tuple[str, int]] = []
        self.redaction = Redaction(Secrets(counted=lambda kind, count: told.append((kind, count))))

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            waiting.append((work, Deferred()))
            return waiting[-1][1]

        prompt = f"{_KEY} " + "token=aaaa " * 9_000
        begun = Deferred.fromCoroutine(
            self.recorder(in_thread=in_thread).begun(self.asked(prompt=prompt))
        )

        self.assertNoResult(begun)
        self.assertEqual((self.journal.records, told), ([], []))
        ((work, done),) = waiting
        done.callback(work())
        self.successResultOf(begun)
        self.assertEqual(
            self.journal.started.prompt, "[redacted:github-token] " + "token=aaaa " * 9_000
        )
        self.assertEqual(told, [("github-token", 1)])

    def test_what_many_tools_gave_back_is_looked_through_in_a_thread(self) -> None:
        """Each of them takes time of its own, however short it is."""
        waiting: list[Callable[[], Any]] = []

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            waiting.append(work)
            return Deferred()

        results = tuple(
            ToolResult(call_id=f"t{n}", size_bytes=1, is_error=False, content="a")
            for n in range(2_000)
        )
        begun = Deferred.fromCoroutine(
            self.recorder(in_thread=in_thread).begun(
                self.asked(prompt="Hello", tool_results=results)
            )
        )

        self.assertNoResult(begun)
        self.assertEqual(len(waiting), 1)
        begun.cancel()
        self.failureResultOf(begun, CancelledError)

    def test_what_takes_too_long_to_be_judged_goes_as_a_whole(self) -> None:
        """A tool call cannot wait for a thread; all that one look finds shares one bound."""
        recording = self.begin()
        some = json.dumps({"path": "a", "content": "password=hunter2x " * (MOST_AT_ONCE * 2 // 3)})
        many = json.dumps(["password=hunter2x"] * 20_000)

        recording.observe(1, [self.call(some), self.call(some), self.call(many)])
        recording.observe(1, [self.call(some)])

        shown = [json.loads(each.input) for each in self.journal.of(ToolUsageRecorded)]
        whole = "[redacted:too-many-secrets]"
        self.assertEqual(shown[0], shown[3])
        self.assertEqual(shown[0]["content"][:40], "password=[redacted:password] password=[r")
        self.assertEqual(shown[1:3], [{"path": "a", "content": whole}, whole])
        self.assertNowhere("hunter2")

    def test_recording_takes_bounded_time_whatever_is_in_it(self) -> None:
        """No more than for so many pieces is judged while other requests wait."""
        assigned = json.dumps(["password=hunter2x"] * 20_000)
        recording = self.begin()

        def in_thread(_: Callable[[], Any]) -> Deferred[Any]:
            return Deferred()

        asked = self.asked(prompt="token=aaaa " * 23_000)
        began = time.thread_time()

        recording.observe(1, [self.call(assigned)])
        observed = time.thread_time()
        begun = Deferred.fromCoroutine(self.recorder(in_thread=in_thread).begun(asked))
        prompted = time.thread_time()

        self.assertLess(observed - began, 0.25)
        self.assertLess(prompted - observed, 0.15)
        begun.cancel()
        self.failureResultOf(begun, CancelledError)

    def test_what_the_client_says_of_itself_is_looked_through(self) -> None:
        """User agent and metadata, however deep."""
        self.begin(user_agent=f"x/1 {_KEY}", metadata={"a": [{"b": f"t={_KEY}", _KEY: 1}]})

        self.assertNowhere(_KEY)

    def test_a_program_that_was_clean_is_not_once_its_name_is_a_credential(self) -> None:
        """What is known to hold no secret of a known shape is still compared with those held."""
        for _ in range(2):
            self.begin(user_agent=f"agent {_HELD}x1")
            self.begin(user_agent="agent of-no-known-shape-either")
        self.redaction.hold(["of-no-known-shape-either"])
        self.begin(user_agent="agent of-no-known-shape-either")

        shown = [each.user_agent for each in self.journal.of(InterceptionStarted)]

        usual = ["agent [redacted:provider-key]x1", "agent of-no-known-shape-either"]
        self.assertEqual(shown, [*usual, *usual, "agent [redacted:provider-key]"])

    def test_few_programs_are_remembered(self) -> None:
        secrets = Secrets()
        redaction = Redaction(secrets)
        for n in range(3_000):
            redaction.redacted(started_of(self.asked(prompt="Hello", user_agent=f"program {n}")))
        redaction.redacted(started_of(self.asked(prompt="Hello", user_agent="program " * 1_000)))

        self.assertLessEqual(len(secrets._clean), 1_000)
        self.assertLessEqual(max(map(len, secrets._clean)), 512)

    def test_tool_arguments_stay_json(self) -> None:
        """They can be parsed as before."""
        recording = self.begin()
        recording.observe(
            1,
            [
                ToolUsage(
                    response_id="m",
                    tool_call_id="t",
                    tool="Bash",
                    input=json.dumps({"command": f'echo "{_KEY}"', "password": "hunter22"}),
                )
            ],
        )

        self.assertEqual(
            json.loads(self.journal.of(ToolUsageRecorded)[0].input),
            {"command": 'echo "[redacted:github-token]"', "password": "[redacted:password]"},
        )
        self.assertNowhere(_KEY)

    def test_thoughts_are_looked_through(self) -> None:
        """A model that repeats a secret does not keep it."""
        self.begin().observe(1, [ModelThought(content=f"They use {_KEY}.", source="thinking")])

        self.assertEqual(
            self.journal.of(ModelThoughtRecorded)[0].content, "They use [redacted:github-token]."
        )

    def test_provider_that_echoes_a_key_is_not_recorded_so(self) -> None:
        """Neither the organisation's key nor the user's own, whatever they look like."""
        self.end(self.begin(), f"bad key {_HELD}, or {_OWN}")

        self.assertEqual(
            self.journal.ended.error_message,
            "bad key [redacted:provider-key], or [redacted:provider-key]",
        )
        self.assertNowhere(_HELD)
        self.assertNowhere(_OWN)

    def test_keys_of_before_a_change_are_still_known(self) -> None:
        """A request that began before a reload is answered about the former key."""
        self.redaction.hold(["another-key-of-the-organisation"])

        self.end(self.begin(), f"bad key {_HELD}")

        self.assertNowhere(_HELD)

    def test_end_says_how_many_there_were(self) -> None:
        """Over prompt, tool calls, thoughts and the error."""
        recording = self.begin(f"{_KEY} and DB_PASSWORD=geheim")
        recording.observe(1, [ModelThought(content=_KEY, source="thinking")])
        self.end(recording, f"no {_HELD}")

        self.assertEqual(self.journal.ended.redactions, 4)

    def test_nothing_secret_counts_as_none(self) -> None:
        """Zero is known, which is not the same as unknown."""
        self.end(self.begin("Hello"))

        self.assertEqual(self.journal.ended.redactions, 0)
