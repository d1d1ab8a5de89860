"""What is followed is shown once, and asked for once: each reading of content is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from bridge.cli.searching import search_from
from bridge.cli.tail import Following
from bridge.domain.errors import InvalidRequest
from bridge.domain.ids import least_id, uuid7
from bridge.store.filters import ENDED_WITHIN, page_id, parse
from bridge.store.reads_json import Interception, InterceptionList
from tests.cli.test_interceptions import ASKED
from tests.support.cases import BridgeTestCase

BEGIN = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def request(second: float, *, took: float = 1.0, model: str = "gpt-5") -> Interception:
    """Return one that began so many seconds after BEGIN."""
    began = BEGIN + timedelta(seconds=second)
    return msgspec.structs.replace(
        ASKED,
        id=uuid7(began.timestamp()),
        started_at=began,
        ended_at=began + timedelta(seconds=took),
        model=model,
    )


class Stored:
    """Interceptions that are found as the API finds them, and how often each was given away."""

    def __init__(self, *stored: Interception, most: int = 10_000, most_at_once: int = 1000) -> None:
        self.rows = list(stored)
        self.given: Counter[UUID] = Counter()
        self.asked = 0
        self._most = most
        self._most_at_once = most_at_once

    def answer(self, params: Mapping[str, str]) -> InterceptionList:
        wanted = parse(params["q"])
        self.asked += 1
        found = [
            each
            for each in sorted(self.rows, key=lambda row: row.id, reverse=True)
            if each.ended_at is not None
            and (
                wanted.ended_after is None
                or (
                    each.ended_at >= wanted.ended_after
                    and each.id >= least_id(wanted.ended_after - ENDED_WITHIN)
                )
            )
            and (wanted.started_after is None or each.started_at >= wanted.started_after)
            and (wanted.started_before is None or each.started_at < wanted.started_before)
            and wanted.model in (None, each.model)
        ]
        count = len(found)
        if "after_id" in params:
            found = [each for each in found if each.id < page_id(params["after_id"])]
        page = tuple(found[: int(params["limit"])])
        if len(page) > self._most_at_once:
            raise InvalidRequest("What is recorded of these is too large for one answer.", ())
        self.given.update(each.id for each in page)
        return InterceptionList(
            count=min(count, self._most), count_capped=count > self._most, results=page
        )


class FollowingTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shown: list[UUID] = []

    def following(self, text: str = "", *, since: datetime | None = None) -> Following:
        search = search_from(text, {})
        return Following(search, since=since, show=self.show)

    def show(self, found: Sequence[Interception]) -> None:
        self.shown += [each.id for each in found]

    def poll(self, follower: Following, stored: Stored) -> None:
        """Look once."""
        questions = follower.poll()
        try:
            question = next(questions)
            while True:
                try:
                    found = stored.answer(question.params)
                except InvalidRequest as error:
                    question = questions.throw(error)
                else:
                    question = questions.send(found)
        except StopIteration:
            return

    def test_what_was_shown_is_not_read_again(self) -> None:
        """However long nothing new ends, each poll leaves no trace in the audit log."""
        stored = Stored(request(0))
        follower = self.following()
        self.poll(follower, stored)
        stored.rows += [request(5), request(6)]

        for _ in range(75):
            self.poll(follower, stored)

        self.assertEqual(self.shown, [each.id for each in stored.rows[1:]])
        self.assertEqual(set(stored.given.values()), {1})

    def test_what_is_stored_late_is_shown_and_nothing_else_read_again(self) -> None:
        """It ended before others that were there first."""
        stored = Stored(*(request(second) for second in range(40)))
        follower = self.following(since=BEGIN)
        self.poll(follower, stored)
        late = [request(12.5, took=0.25), request(12.5, took=0.5), request(-3, took=30)]
        stored.rows += late

        self.poll(follower, stored)
        self.poll(follower, stored)

        self.assertEqual(self.shown[:40], [each.id for each in stored.rows[:40]])
        self.assertEqual(set(self.shown[40:]), {each.id for each in late})
        self.assertEqual(set(stored.given.values()), {1})
        self.assertLess(stored.asked, 60)

    def test_one_that_ran_for_hours_hides_none_that_is_stored_late(self) -> None:
        """The bridge does not look for it any more, so that it is not in the count."""
        stored = Stored(request(-7190, took=7230), request(0), request(74))
        follower = self.following(since=BEGIN)
        self.poll(follower, stored)
        stored.rows.append(request(30))

        self.poll(follower, stored)

        self.assertEqual(self.shown[3:], [stored.rows[3].id])

    def test_texts_that_are_too_large_for_one_answer_are_read_in_smaller_ones(self) -> None:
        """Down to single requests, which are answered whatever they have."""
        stored = Stored(*(request(second) for second in range(30)), most_at_once=1)

        self.poll(self.following(since=BEGIN), stored)

        self.assertEqual(set(self.shown), {each.id for each in stored.rows})
        self.assertEqual(set(stored.given.values()), {1})

    def test_more_than_can_be_counted_is_followed(self) -> None:
        """A full count says nothing, so that smaller spans are counted."""
        stored = Stored(*(request(second) for second in range(20)), most=7)
        follower = self.following(since=BEGIN)
        self.poll(follower, stored)
        stored.rows.append(request(3.5))

        self.poll(follower, stored)

        self.assertEqual(self.shown[20:], [stored.rows[20].id])
        self.assertEqual(set(stored.given.values()), {1})

    def test_what_began_at_the_same_moment_is_shown(self) -> None:
        """Then time tells nothing apart, and all of that moment are read."""
        stored = Stored(request(0), request(1), request(2))
        follower = self.following(since=BEGIN)
        self.poll(follower, stored)
        stored.rows.append(request(1, took=0.5))

        self.poll(follower, stored)

        self.assertEqual(self.shown[3:], [stored.rows[3].id])
        self.assertEqual(stored.given[stored.rows[0].id], 1)

    def test_a_search_with_times_of_its_own_can_be_followed(self) -> None:
        """They hold besides those by which it is followed."""
        stored = Stored(request(0), request(10), request(20, model="other"))
        text = f'model:gpt-5 started_after:"{(BEGIN + timedelta(seconds=5)).isoformat()}"'
        follower = self.following(text, since=BEGIN)
        self.poll(follower, stored)
        stored.rows += [request(4, took=6.5), request(8, took=1)]

        self.poll(follower, stored)

        self.assertEqual(self.shown, [stored.rows[1].id, stored.rows[4].id])

    def test_it_begins_behind_what_is_there(self) -> None:
        """Also when there is nothing yet."""
        stored = Stored()
        follower = self.following()
        self.poll(follower, stored)
        stored.rows.append(request(0))

        self.poll(follower, stored)

        self.assertEqual(self.shown, [stored.rows[0].id])
