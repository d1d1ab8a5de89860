"""What a provider keeps is reached by who made it, and looks like nothing to everybody else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred

from bridge.domain.errors import NotFound, Unavailable
from bridge.domain.identity import Actor, Role, Scope
from bridge.policy.stored_objects import StoredAccess, StoredObjects
from tests.support.cases import BridgeTestCase

ADA, BOB = UUID(int=1), UUID(int=2)


def actor(user: UUID) -> Actor:
    return Actor(
        id=user,
        username="somebody",
        roles=frozenset({Role.MEMBER}),
        token_id="Abcdefghijkl",
        scope=Scope.INFERENCE,
    )


class StoredObjectsTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.in_store = {(ADA, "openai", "resp_old")}
        self.asked: list[Collection[str]] = []
        self.away = False
        self.stored = StoredObjects(makers=self.makers)

    async def makers(self, provider: str, object_ids: Collection[str]) -> Mapping[str, UUID]:
        if self.away:
            raise Unavailable("The database is not available at the moment.")
        self.asked.append(tuple(object_ids))
        return {each: user for user, name, each in self.in_store
                if name == provider and each in object_ids}  # fmt: skip

    def reach(
        self,
        *object_ids: str,
        user: UUID = ADA,
        provider: str = "openai",
        access: StoredAccess = StoredAccess.OWN,
        own_key: bool = False,
    ) -> None:
        """Try to reach objects; raises what `require` raises."""
        work: Any = self.stored.require(
            actor(user), provider, object_ids, access=access, own_key=own_key
        )
        self.successResultOf(self.deferred(work))

    def assert_refused(self, *object_ids: str, **options: Any) -> str:
        work: Any = self.stored.require(
            actor(options.pop("user", ADA)),
            options.pop("provider", "openai"),
            object_ids,
            access=options.pop("access", StoredAccess.OWN),
            **options,
        )
        failure = self.failureResultOf(self.deferred(work), NotFound)
        return str(failure.value)

    def deferred(self, work: Any) -> Any:
        return Deferred.fromCoroutine(work)

    def test_what_was_just_made_is_reached_without_asking_the_store(self) -> None:
        self.stored.note(ADA, "openai", "resp_new")

        self.reach("resp_new")

        self.assertEqual(self.asked, [])

    def test_what_was_made_long_ago_is_asked_for_once(self) -> None:
        self.reach("resp_old")
        self.reach("resp_old")

        self.assertEqual(self.asked, [("resp_old",)])

    def test_anothers_looks_like_none(self) -> None:
        self.stored.note(BOB, "openai", "resp_bobs")

        theirs = self.assert_refused("resp_bobs")
        nobodys = self.assert_refused("resp_xxxx")

        self.assertEqual(theirs.replace("resp_bobs", "resp_xxxx"), nobodys)

    def test_one_that_is_not_theirs_among_several_is_enough(self) -> None:
        self.stored.note(ADA, "openai", "resp_new")
        self.stored.note(BOB, "openai", "resp_bobs")

        self.assert_refused("resp_new", "resp_bobs")
        self.assert_refused("resp_new", "resp_strange")

    def test_another_provider_of_the_same_id_is_another_object(self) -> None:
        self.stored.note(ADA, "openai", "resp_1")

        self.assert_refused("resp_1", provider="azure")

    def test_off_lets_nobody_in_and_all_everybody(self) -> None:
        self.stored.note(ADA, "openai", "resp_1")

        self.assert_refused("resp_1", access=StoredAccess.OFF)
        self.reach("resp_1", user=BOB, access=StoredAccess.ALL)

    def test_a_request_about_nothing_is_nobodys_business(self) -> None:
        self.reach(access=StoredAccess.OFF)

    def test_while_the_store_is_away_what_is_known_is_reached(self) -> None:
        self.stored.note(ADA, "openai", "resp_new")
        self.away = True

        self.reach("resp_new")
        work: Any = self.stored.require(
            actor(ADA), "openai", ("resp_old",), access=StoredAccess.OWN
        )

        self.failureResultOf(self.deferred(work), Unavailable)

    def test_who_made_it_first_stays_its_maker(self) -> None:
        """Some upstreams let clients choose the id."""
        self.stored.note(ADA, "openai", "resp_1")
        self.stored.note(BOB, "openai", "resp_1")

        self.reach("resp_1")
        self.assert_refused("resp_1", user=BOB)

    def test_with_a_key_of_ones_own_what_is_known_as_anothers_is_refused(self) -> None:
        """Where the upstream looks at no key, one that is made up would open everything."""
        self.stored.note(BOB, "openai", "resp_bobs")

        self.assert_refused("resp_bobs", own_key=True)
        self.assert_refused("resp_old", user=BOB, own_key=True)
        self.reach("resp_unknown", own_key=True)
        self.reach("resp_unknown", own_key=True, access=StoredAccess.OFF)

    def test_what_can_be_no_id_is_not_asked_for(self) -> None:
        for odd in ("x" * 513, "a\0b", "\ud800", "é", ""):
            self.assert_refused(odd)

        self.assertEqual(self.asked, [])

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(20_001):
            self.stored.note(ADA, "openai", f"resp_{number}")
        self.in_store = set()

        self.assert_refused("resp_0")
        self.reach("resp_20000")
