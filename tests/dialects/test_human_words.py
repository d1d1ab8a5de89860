"""What a human wrote is told from what a client wrote for it."""

from __future__ import annotations

from bridge.dialects.human_words import (
    is_added,
    is_title_request,
    last_words,
    opens_title_request,
    without_date,
)
from tests.support.cases import BridgeTestCase

REMINDER = "<system-reminder>\nToday is Tuesday.\n</system-reminder>"
DETAILS = "<environment_details>\nMessage time: now\n</environment_details>"
DATE = "<current_datetime>2026-11-25T20:39:02.529+00:00</current_datetime>\n\n"
OPENER = "Generate a title for this conversation:\n"
KILO_TITLE = (
    f"{OPENER}\nTitle the task, not the reference. When the context is only a link, an issue or "
    "ticket number, or a filename, describe the work in general terms instead of restating the "
    "reference.\n\nUser messages, oldest to newest:\n1. list the files"
)
LANGUAGE = "Write the title in the language the user wrote in, regardless of the language of the"
WISHES = (
    f"{LANGUAGE} examples above.",
    "Write the title in German. Keep technical terms and code identifiers in their original form.",
    (
        "Write the title in the predominant language of the session \u2014 a stray word or code "
        "token in another language doesn't change it, and neither does the English of these "
        "instructions."
    ),
)


def session(words: str, wish: str = WISHES[0]) -> str:
    return f"<session>\n{words}\n</session>\n\n{wish}"


class ContextTests(BridgeTestCase):
    """Sections that are all of a text are a client's; words beside them are a human's."""

    def test_each_section_alone_is_context(self) -> None:
        self.assertTrue(is_added(REMINDER))
        self.assertTrue(is_added(DETAILS))

    def test_spaces_around_do_not_matter(self) -> None:
        self.assertTrue(is_added(f"\n\n{DETAILS} \n"))

    def test_several_sections_are_context(self) -> None:
        self.assertTrue(is_added(f"{DETAILS}\n{REMINDER}\n\n{DETAILS}{DETAILS}"))

    def test_section_behind_words_is_a_humans(self) -> None:
        self.assertFalse(is_added(f"fix it\n{DETAILS}"))

    def test_section_before_words_is_a_humans(self) -> None:
        self.assertFalse(is_added(f"{DETAILS}\nfix it"))

    def test_words_between_sections_are_a_humans(self) -> None:
        self.assertFalse(is_added(f"{DETAILS}\nfix it\n{DETAILS}"))

    def test_section_that_is_not_closed_is_a_humans(self) -> None:
        self.assertFalse(is_added("<environment_details> what is this?"))
        self.assertFalse(is_added(f"{DETAILS}<environment_details>"))

    def test_section_that_another_one_closes_is_a_humans(self) -> None:
        self.assertFalse(is_added("<environment_details>why?</system-reminder>"))

    def test_section_with_attributes_is_a_humans(self) -> None:
        self.assertFalse(is_added("<environment_details a='1'></environment_details>"))

    def test_empty_text_and_spaces_are_no_context(self) -> None:
        self.assertFalse(is_added(""))
        self.assertFalse(is_added(" \n"))

    def test_date_alone_is_context(self) -> None:
        self.assertTrue(is_added(DATE))

    def test_date_before_sections_is_context(self) -> None:
        self.assertTrue(is_added(DATE + REMINDER))

    def test_date_before_words_is_a_humans(self) -> None:
        self.assertFalse(is_added(f"{DATE}go on"))

    def test_megabytes_of_sections_are_read_in_one_pass(self) -> None:
        self.assertTrue(is_added("<system-reminder></system-reminder>" * 100_000))
        self.assertTrue(is_added(f"<environment_details>{'<' * 5_000_000}</environment_details>"))
        self.assertFalse(is_added("<environment_details>" * 300_000))


class DateTests(BridgeTestCase):
    """The date in front of what a human wrote is cut, and nothing else is touched."""

    def test_date_at_the_start_is_cut(self) -> None:
        self.assertEqual(without_date(f"{DATE} how?\n"), " how?\n")

    def test_date_not_at_the_start_stays(self) -> None:
        for text in (f"\n{DATE}how?", f"how?\n{DATE}", f"what is {DATE}?"):
            self.assertEqual(without_date(text), text)

    def test_only_one_date_is_cut(self) -> None:
        self.assertEqual(without_date(f"{DATE}{DATE}how?"), f"{DATE}how?")

    def test_date_that_is_not_closed_stays(self) -> None:
        text = "<current_datetime> is what?\n\nAnd why?"

        self.assertEqual(without_date(text), text)

    def test_date_without_its_two_line_ends_stays(self) -> None:
        text = f"{DATE.strip()}\nhow?"

        self.assertEqual(without_date(text), text)

    def test_more_than_a_date_stays(self) -> None:
        text = f"<current_datetime>{'long ' * 50}</current_datetime>\n\nhow?"

        self.assertEqual(without_date(text), text)

    def test_date_alone_leaves_nothing(self) -> None:
        self.assertEqual(without_date(DATE), "")


class TitleTests(BridgeTestCase):
    """A client's request for a title is known by its whole text."""

    def test_session_with_each_known_wish_is_one(self) -> None:
        for wish in WISHES:
            self.assertTrue(is_title_request(session("list the files", wish)), wish)

    def test_words_of_the_session_do_not_matter(self) -> None:
        self.assertTrue(is_title_request(session(f"what is\n{session('x')}?")))
        self.assertTrue(is_title_request(session("</session>" * 500_000)))

    def test_session_inside_of_words_is_a_humans(self) -> None:
        self.assertFalse(is_title_request(f"why {session('x')}"))
        self.assertFalse(is_title_request(f"\n{session('x')}"))
        self.assertFalse(is_title_request(f"{session('x')}\nAnd fix it."))

    def test_session_without_the_wish_is_a_humans(self) -> None:
        self.assertFalse(is_title_request("<session>\nx\n</session>\n\nWhat is this?"))
        self.assertFalse(is_title_request(f"<session>\nx\n\n{WISHES[0]}"))
        self.assertFalse(is_title_request("<session>\n"))

    def test_wish_that_is_far_too_long_is_a_humans(self) -> None:
        self.assertFalse(is_title_request(session("x", f"{WISHES[0]} {'Fix it. ' * 50}")))

    def test_kilo_code_asks_in_one_text(self) -> None:
        self.assertTrue(is_title_request(KILO_TITLE))

    def test_kilo_codes_words_behind_others_are_a_humans(self) -> None:
        self.assertFalse(is_title_request(f"fix it\n{KILO_TITLE}"))

    def test_human_who_asks_for_a_title_is_one(self) -> None:
        for text in (f"{OPENER}\nUser: hello", "Generate a title for this conversation"):
            self.assertFalse(is_title_request(text))
            self.assertFalse(opens_title_request(text))

    def test_opencode_opens_with_a_line(self) -> None:
        self.assertTrue(opens_title_request(OPENER))
        self.assertFalse(opens_title_request(OPENER.strip()))
        self.assertFalse(opens_title_request(f"{OPENER}list the files"))


class LastWordsTests(BridgeTestCase):
    """Of several texts the last one that is a human's counts."""

    def test_context_is_passed_over(self) -> None:
        self.assertEqual(last_words([DETAILS, REMINDER, "two", "one"]), "two")

    def test_date_is_cut(self) -> None:
        self.assertEqual(last_words([REMINDER, f"{DATE}how?"]), "how?")

    def test_request_for_a_title_is_nothing_and_hides_what_is_before(self) -> None:
        self.assertIsNone(last_words([session("x"), "one"]))

    def test_context_alone_is_nothing(self) -> None:
        self.assertIsNone(last_words([DETAILS, REMINDER, DATE]))
        self.assertIsNone(last_words([]))

    def test_empty_text_is_a_humans(self) -> None:
        self.assertEqual(last_words([""]), "")
