"""A request is sent again only when that may help, and not before the provider wants to see it."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.clock import utc
from bridge.policy.retries import Answered, RetryPolicy, Unanswered, retry_after, retryable
from tests.support.cases import BridgeTestCase

PATIENT = RetryPolicy(max_retries_answered=2)
YEAR = 365 * 86400.0


def answer(status: int, *headers: tuple[bytes, bytes]) -> Answered:
    return Answered(status=status, headers=headers)


class RetryCase(BridgeTestCase):
    def wait(
        self,
        outcome: Answered | Unanswered,
        *,
        policy: RetryPolicy = PATIENT,
        attempt: int = 1,
        chance: float = 0.0,
    ) -> float | None:
        return policy.wait(outcome, attempt=attempt, now=self.clock.seconds(), chance=chance)

    def asked(self, *values: bytes) -> float | None:
        headers = [(b"retry-after", value) for value in values]
        return retry_after(headers, self.clock.seconds())

    def date(self, seconds_from_now: float) -> bytes:
        date = utc(self.clock.seconds()) + timedelta(seconds=seconds_from_now)
        return format_datetime(date, usegmt=True).encode("ascii")


class HowOftenTests(RetryCase):
    def test_a_failed_connection_is_tried_twice_more(self) -> None:
        waits = [
            self.wait(Unanswered(), policy=RetryPolicy(), attempt=attempt) for attempt in (1, 2, 3)
        ]

        self.assertEqual(waits, [0.5, 1.0, None])

    def test_an_answer_is_the_clients_to_hear_unless_configured(self) -> None:
        self.assertIsNone(self.wait(answer(529), policy=RetryPolicy()))

    def test_answers_are_tried_again_as_often_as_configured(self) -> None:
        waits = [self.wait(answer(503), attempt=attempt) for attempt in (1, 2, 3)]

        self.assertEqual(waits, [0.5, 1.0, None])

    def test_attempts_of_both_kinds_count_together(self) -> None:
        policy = RetryPolicy(max_retries_connect=2, max_retries_answered=1)

        self.assertIsNone(self.wait(answer(503), policy=policy, attempt=2))
        self.assertIsNotNone(self.wait(Unanswered(), policy=policy, attempt=2))

    def test_a_provider_that_was_waited_for_too_long_is_not_asked_again(self) -> None:
        self.assertIsNone(self.wait(Unanswered(limit_fired=True)))

    def test_switched_off_nothing_is_sent_again(self) -> None:
        off = RetryPolicy(max_retries_connect=0, max_retries_answered=0)

        self.assertIsNone(self.wait(Unanswered(), policy=off))
        self.assertIsNone(self.wait(answer(503, (b"x-should-retry", b"true")), policy=off))


class RetryableTests(RetryCase):
    def test_statuses_that_pass_by_themselves_are(self) -> None:
        statuses = (408, 409, 429, 500, 502, 503, 504, 529, 599)

        self.assertEqual([s for s in statuses if not retryable(answer(s))], [])

    def test_what_was_wrong_with_the_request_stays_wrong(self) -> None:
        statuses = (400, 401, 403, 404, 413, 422, 424)

        self.assertEqual([s for s in statuses if retryable(answer(s))], [])

    def test_success_is_never_asked_for_twice(self) -> None:
        self.assertFalse(retryable(answer(200, (b"x-should-retry", b"true"))))
        self.assertFalse(retryable(answer(307)))

    def test_the_provider_says_no(self) -> None:
        self.assertFalse(retryable(answer(503, (b"x-should-retry", b"false"))))

    def test_the_provider_says_yes(self) -> None:
        self.assertTrue(retryable(answer(400, (b"x-should-retry", b" True "))))

    def test_of_yes_and_no_no_counts(self) -> None:
        self.assertFalse(
            retryable(answer(503, (b"x-should-retry", b"true"), (b"x-should-retry", b"false")))
        )

    def test_another_word_is_none(self) -> None:
        self.assertTrue(retryable(answer(503, (b"x-should-retry", b"perhaps"))))
        self.assertFalse(retryable(answer(400, (b"x-should-retry", b"1"))))


class HowLongTests(RetryCase):
    def test_back_off_doubles_up_to_eight_seconds(self) -> None:
        policy = RetryPolicy(max_retries_connect=5000)
        waits = [
            self.wait(Unanswered(), policy=policy, attempt=n) for n in (1, 2, 3, 4, 5, 6, 7, 5000)
        ]

        self.assertEqual(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0])

    def test_up_to_a_quarter_is_taken_off_by_chance(self) -> None:
        self.assertEqual(self.wait(Unanswered(), chance=0.5), 0.4375)
        self.assertGreater(self.wait(Unanswered(), chance=0.999999) or 0, 0.375)

    def test_back_off_is_within_the_limit_too(self) -> None:
        hasty = RetryPolicy(longest_wait=0.25)

        self.assertEqual(self.wait(Unanswered(), policy=hasty), 0.25)

    def test_what_the_provider_asks_is_done_exactly(self) -> None:
        outcome = answer(429, (b"retry-after", b"7"))

        self.assertEqual(self.wait(outcome, chance=0.9), 7.0)

    def test_come_at_once_is_an_answer(self) -> None:
        self.assertEqual(self.wait(answer(429, (b"retry-after", b"0"))), 0.0)

    def test_as_long_as_the_limit_is_waited_and_no_longer(self) -> None:
        self.assertEqual(self.wait(answer(429, (b"retry-after", b"30"))), 30.0)
        self.assertIsNone(self.wait(answer(429, (b"retry-after", b"30.1"))))

    def test_a_year_is_for_the_client_to_wait(self) -> None:
        self.assertIsNone(self.wait(answer(429, (b"retry-after", b"31536000"))))
        self.assertIsNone(self.wait(answer(429, (b"retry-after", self.date(YEAR)))))
        self.assertIsNone(self.wait(answer(429, (b"retry-after", b"1e400"))))

    def test_garbage_is_as_if_it_were_not_there(self) -> None:
        waits = [
            self.wait(answer(429, (b"retry-after", value)))
            for value in (b"", b"soon", b"-1", b"nan", b"inf", b"-inf", b"1_0", b"0x10", b"\xff")
        ]

        self.assertEqual(waits, [0.5] * 9)

    def test_a_date_in_the_past_is_as_if_it_were_not_there(self) -> None:
        self.assertEqual(self.wait(answer(429, (b"retry-after", self.date(-5)))), 0.5)


class RetryAfterTests(RetryCase):
    def test_nothing_said(self) -> None:
        self.assertIsNone(self.asked())

    def test_seconds_may_have_a_fraction(self) -> None:
        self.assertEqual((self.asked(b"1.5"), self.asked(b" 2 "), self.asked(b"3.")), (1.5, 2, 3))

    def test_all_forms_of_an_http_date(self) -> None:
        now = utc(self.clock.seconds())
        later = now + timedelta(seconds=20)
        forms = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")

        waits = [self.asked(later.strftime(form).encode("ascii")) for form in forms]

        self.assertEqual(waits, [20.0, 20.0, 20.0])

    def test_milliseconds_win(self) -> None:
        headers = [(b"retry-after", b"9"), (b"retry-after-ms", b"1500.5")]

        self.assertEqual(retry_after(headers, 0.0), 1.5005)

    def test_unreadable_milliseconds_do_not(self) -> None:
        now = self.clock.seconds()

        waits = [
            retry_after([(b"retry-after-ms", value), (b"retry-after", b"9")], now)
            for value in (b"soon", b"-1", b"nan", self.date(5))
        ]

        self.assertEqual(waits, [9.0] * 4)

    def test_of_two_lines_the_longer_wait_counts(self) -> None:
        self.assertEqual(self.asked(b"3", b"8"), 8.0)
        self.assertEqual(self.asked(b"8", self.date(3)), 8.0)
        self.assertEqual(self.asked(b"soon", b"3"), 3.0)

    def test_two_values_in_one_line_are_garbage(self) -> None:
        self.assertIsNone(self.asked(b"3, 8"))

    def test_a_date_that_no_calendar_has_is_garbage(self) -> None:
        waits = [
            self.asked(b"Mon, 06 Nov 99999999999999999999 08:49:37 GMT"),
            self.asked(b"Mon, 31 Feb 2027 08:49:37 GMT"),
            self.asked(b"Mon, 06 Nov 2027 08:49:37 +9999"),
        ]

        self.assertEqual(waits, [None, None, None])

    def test_more_digits_than_a_number_has_are_garbage(self) -> None:
        self.assertIsNone(self.asked(b"1" * 60_000))

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.lists(st.binary(max_size=70)))
    def test_whatever_comes_is_no_wait_or_one_forwards(self, values: list[bytes]) -> None:
        wait = retry_after([(b"retry-after", value) for value in values], 1_790_000_000.0)

        self.assertTrue(wait is None or wait >= 0)

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,9} [\d:]{1,9} \S{0,6}"))
    def test_whatever_looks_like_a_date_is_no_wait_or_one_forwards(self, text: str) -> None:
        headers = [(b"retry-after", text.encode("utf-8"))]

        wait = retry_after(headers, 1_790_000_000.0)

        self.assertTrue(wait is None or wait >= 0)
