"""Tests for bridge.recording.levels: the strictest of what is said counts."""

from __future__ import annotations

from msgspec.structs import replace

from bridge.domain.clock import utc
from bridge.domain.identity import CredentialKind, Role
from bridge.domain.ids import uuid7
from bridge.domain.interception import Api, Interception, Traffic
from bridge.domain.observations import ModelThought, ToolUsage
from bridge.domain.records import InterceptionStarted, ModelThoughtRecorded, ToolUsageRecorded
from bridge.recording.levels import LevelRules, LevelsInForce
from bridge.recording.recorder import Levels, Recorder
from tests.policy.test_admission import person
from tests.support.cases import BridgeTestCase
from tests.support.gateway import MemoryJournal


class LevelsInForceTests(BridgeTestCase):
    def asked(self, provider: str = "openai", roles: frozenset[Role] = frozenset()) -> Interception:
        now = self.clock.seconds()
        actor = person(1, token="tokentokento")
        object.__setattr__(actor, "roles", roles or frozenset({Role.MEMBER}))
        return Interception(
            id=uuid7(now),
            started_at=utc(now),
            traffic=Traffic.INTERCEPTED,
            actor=actor,
            provider="openai",
            provider_name=provider,
            api=Api.RESPONSES,
            method="POST",
            route="/v1/responses",
            model="m",
            streaming=True,
            client="Unknown",
            client_session_id=None,
            user_agent="",
            correlating_tool_call_id=None,
            credential_kind=CredentialKind.CENTRALIZED,
            credential_hint="",
            prompt="Hello",
            bytes_in=10,
        )

    def test_everybody_and_everywhere_is_the_default(self) -> None:
        """Without rules everything is recorded."""
        self.assertEqual(LevelsInForce(LevelRules()).of(self.asked()), Levels())

    def test_what_is_off_for_all_stays_off(self) -> None:
        """Neither provider nor role turns it on again."""
        rules = LevelRules(
            everywhere=Levels(prompts=False),
            by_provider={"openai": Levels()},
            by_role={Role.MEMBER: Levels()},
        )

        self.assertFalse(LevelsInForce(rules).of(self.asked()).prompts)

    def test_provider_counts_by_its_name(self) -> None:
        """One instance may be stricter than another of the same family."""
        levels = LevelsInForce(LevelRules(by_provider={"health": Levels(thoughts=False)}))

        self.assertFalse(levels.of(self.asked("health")).thoughts)
        self.assertTrue(levels.of(self.asked("health")).prompts)
        self.assertTrue(levels.of(self.asked("openai")).thoughts)

    def test_of_several_roles_the_strictest_counts(self) -> None:
        """Somebody who is also a member is recorded no more than a member."""
        levels = LevelsInForce(
            LevelRules(by_role={Role.MEMBER: Levels(tool_inputs=False), Role.OWNER: Levels()})
        )

        both = frozenset({Role.OWNER, Role.MEMBER})
        self.assertFalse(levels.of(self.asked(roles=both)).tool_inputs)
        self.assertTrue(levels.of(self.asked(roles=frozenset({Role.OWNER}))).tool_inputs)

    def test_recording_keeps_the_levels_it_began_with(self) -> None:
        """A reload changes what is recorded of later requests, not half of a running one."""
        journal = MemoryJournal()
        levels = LevelsInForce(LevelRules(by_provider={"openai": Levels(thoughts=False)}))
        recorder = Recorder(journal=journal, levels=levels, clock=self.clock)
        call = ToolUsage(response_id="r", tool_call_id="c", tool="t", input="{}")
        thought = ModelThought(content="hm", source="thinking")

        recording = recorder.begin(self.asked())
        levels.apply(LevelRules(everywhere=Levels(prompts=False, tool_inputs=False)))
        recording.observe(1, [call, thought])
        recorder.begin(replace(self.asked(), id=uuid7(self.clock.seconds() + 1)))

        self.assertEqual([each.input for each in journal.of(ToolUsageRecorded)], ["{}"])
        self.assertEqual(journal.of(ModelThoughtRecorded), [])
        self.assertEqual([each.prompt for each in journal.of(InterceptionStarted)], ["Hello", None])
