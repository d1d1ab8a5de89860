"""Tests for bridge.domain.secrets: what is found, what is left alone, and how long it takes."""

from __future__ import annotations

import json
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.domain.secret_assignments import ASSIGNMENT, FLAG
from bridge.domain.secret_patterns import LONGEST_PATTERN, ExtraPattern
from bridge.domain.secret_shapes import PLACES, SHAPES
from bridge.domain.secrets import MOST_SPANS, Secrets, _hinting, known_secrets
from tests.domain.secret_samples import NEGATIVES, PEM, POSITIVES, X
from tests.support.cases import BridgeTestCase

_KEY = f"ghp_{X(36)}"
_PIECES = (
    "-----BEGIN PRIVATE KEY-----", "-----END", "-", "sk-", "eyJ", ".", "ghp_", "://", ":", "@", "a",
    "password", "=", '"', "'", "\\", "\\n", " ", "\n", "Bearer ", "authorization", "curl ", "-u ",
    "--token ", "AKIA", "A" * 40, "7", "xox", "AccountKey=", "&sig=", "é", "[redacted:x]",
    "api_key",
)  # fmt: skip


class FindingTests(BridgeTestCase):
    def test_every_sample_with_a_secret_loses_it(self) -> None:
        """No kind of secret in the corpus is left, and each is called what it is."""
        kept = [
            (label, shown)
            for label, text, secret in POSITIVES
            for shown, count in [known_secrets().redacted(text)]
            if secret in shown or f"[redacted:{label}]" not in shown or not count
        ]

        self.assertEqual(kept, [])
        self.assertGreaterEqual(len(POSITIVES), 60)

    def test_texts_that_only_look_alike_stay_as_they_are(self) -> None:
        """Hashes, ids, images, code and prose are not taken for secrets."""
        changed = [
            shown
            for text in NEGATIVES
            for shown, count in [known_secrets().redacted(text)]
            if shown != text or count
        ]

        self.assertEqual(changed, [])
        self.assertGreaterEqual(len(NEGATIVES), 60)

    @given(data=st.data())
    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
    def test_the_first_look_at_a_short_text_overlooks_no_kind(self, data: st.DataObject) -> None:
        shapes = [each.pattern for each in (*SHAPES, *PLACES)]
        pattern = data.draw(st.sampled_from(shapes) | st.sampled_from((ASSIGNMENT, FLAG)))
        secret = data.draw(st.from_regex(pattern, fullmatch=True))
        text = (b"a word, " + secret + b" and more").decode("latin-1")

        whole = known_secrets()._anything.search(text.encode()) is not None

        self.assertTrue(_hinting(text.encode()) or not whole, text)

    def test_the_first_look_at_a_short_text_sees_every_sample(self) -> None:
        for label, text, _ in POSITIVES:
            self.assertTrue(_hinting(text.encode()), label)

    def test_the_first_look_takes_letters_for_others_as_re2_does(self) -> None:
        for text in ("apiK: h8U3kd93kd", "api\N{KELVIN SIGN}ey: h8U3kd93kd",
                     "--pa\N{LATIN SMALL LETTER LONG S}sword hunter2abc"):  # fmt: skip
            found = known_secrets().redacted(text)[1] > 0
            self.assertEqual(known_secrets().may_be_in([text]), found, text)

    def test_a_value_may_begin_with_any_character(self) -> None:
        for first in "é\N{SNOWMAN}\U0001f600":
            shown = known_secrets().redacted(f"password = {first}hunter2x and more")
            self.assertEqual(shown, ("password = [redacted:password] and more", 1))

    @given(st.lists(st.sampled_from((*_PIECES, "\ud800", "\N{SNOWMAN}")), max_size=8))
    def test_no_text_is_cut_inside_a_character(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        for redact in (known_secrets().redacted, known_secrets().redacted_json):
            redact(text)[0].encode("utf-8", "surrogatepass")

    def test_nothing_that_was_said_is_remembered(self) -> None:
        secrets = Secrets()
        for look in range(2):
            secrets.may_be_in([f"a prompt {look}", "token=" + X(20)], usual=["password=" + X(20)])

        self.assertIs(known_secrets(), known_secrets())
        self.assertFalse(hasattr(_hinting, "cache_info"))
        self.assertEqual(secrets._clean, set())

    def test_a_short_text_of_plain_words_needs_no_second_look(self) -> None:
        self.assertFalse(_hinting(b"Hello, what is the weather like in Paris?"))

    def test_no_secret_is_hidden_by_its_neighbours(self) -> None:
        """One look at many texts sees what a look at each would have seen."""
        for label, text, _ in POSITIVES:
            self.assertTrue(known_secrets().may_be_in(["word", text, "word"]), label)
        self.assertTrue(known_secrets().may_be_in(["a", "its held-key", "b"], ["held-key"]))
        self.assertFalse(known_secrets().may_be_in(["Hello", "claude-cli/2.1", "model"]))

    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.sampled_from(_PIECES), max_size=8), st.sampled_from(_PIECES))
    def test_no_neighbour_hides_anything(self, pieces: list[str], neighbour: str) -> None:
        text = "".join(pieces)

        if known_secrets().redacted(text)[1]:
            self.assertTrue(known_secrets().may_be_in([neighbour, text, neighbour]))

    def test_of_configured_patterns_nothing_is_known_before(self) -> None:
        secrets = Secrets([ExtraPattern(label="badge", pattern="^B-[0-9]+$")])

        self.assertTrue(secrets.may_be_in(["Hello", "B-17"]))

    def test_no_label_is_without_a_sample(self) -> None:
        """A kind that is added comes with a sample, but for a few rare ones."""
        sampled = {label for label, _, _ in POSITIVES}
        rare = {each.label for each in (*SHAPES, *PLACES)} - sampled

        self.assertLessEqual(len(rare), 16, sorted(rare))

    def test_redacting_twice_changes_nothing_more(self) -> None:
        """What is left of a secret is no secret."""
        for _, text, _ in POSITIVES:
            once, _ = known_secrets().redacted(text)

            self.assertEqual(known_secrets().redacted(once), (once, 0))

    def test_several_secrets_are_each_replaced_and_the_rest_stays(self) -> None:
        """Only the secrets go."""
        shown, count = known_secrets().redacted(f"é {_KEY}, then DB_PASSWORD=geheim — ende")

        self.assertEqual(
            shown, "é [redacted:github-token], then DB_PASSWORD=[redacted:password] — ende"
        )
        self.assertEqual(count, 2)

    def test_credential_of_the_bridge_is_found_by_its_value(self) -> None:
        """A provider's key of no known shape is found because the bridge holds it."""
        shown, count = known_secrets().redacted("bad key: correct-horse-battery", ["correct-horse"])

        self.assertEqual((shown, count), ("bad key: [redacted:provider-key]-battery", 1))

    def test_text_of_secrets_only_goes_as_a_whole(self) -> None:
        """Beyond a number of secrets no text is gone through any further."""
        shown, count = known_secrets().redacted("password=x1y2z3q4 " * (MOST_SPANS + 1))

        self.assertEqual((shown, count), ("[redacted:too-many-secrets]", 1))

    def test_lone_surrogates_do_not_stop_it(self) -> None:
        """Text that is no Unicode is gone through too."""
        shown, _ = known_secrets().redacted(f"\ud800 {_KEY}")

        self.assertEqual(shown, "\ud800 [redacted:github-token]")

    def test_long_value_goes_to_its_end(self) -> None:
        """Nothing of a long token is left behind."""
        shown, _ = known_secrets().redacted(f"ACCESS_TOKEN={X(3000)} and more")

        self.assertEqual(shown, "ACCESS_TOKEN=[redacted:token] and more")


class JsonTests(BridgeTestCase):
    def test_json_stays_json_and_other_bytes_stay(self) -> None:
        """Order, spaces, numbers and repeated names are as they were."""
        text = '{ "b":1.0,\n "cmd": "echo KEY\\n\\"x\\"", "b": 2e3, "password" : "hunter22"}'
        text = text.replace("KEY", _KEY)

        shown, count = known_secrets().redacted_json(text)

        self.assertEqual(
            shown,
            '{ "b":1.0,\n "cmd": "echo [redacted:github-token]\\n\\"x\\"", "b": 2e3, '
            '"password" : "[redacted:password]"}',
        )
        self.assertEqual(count, 2)

    def test_secret_written_with_escapes_is_found(self) -> None:
        """Neither \\u nor \\/ hides anything."""
        for text in (
            '{"a": "\\u0067hp_' + X(36) + '"}',
            '{"a": "postgres:\\/\\/me:hunter2@db\\/x"}',
            '{"pass\\u0077ord": "hunter22"}',
        ):
            shown, count = known_secrets().redacted_json(text)

            self.assertEqual(count, 1, text)
            self.assertIn("[redacted:", json.loads(shown)[next(iter(json.loads(shown)))])

    def test_secret_that_begins_a_line_is_found(self) -> None:
        """Directly behind an escape, whose letter is none of the word's."""
        for before in "\b\f\n\r\t":
            for said, secret in (
                (_KEY, _KEY),
                ("curl -u admin:hunter2 https://x", "hunter2"),
                ("--password geheim1", "geheim1"),
                ("Authorization: Basic dXNlcjpzM2NyZXQ=", "dXNlcjpzM2NyZXQ="),
                (f"Bearer {X(30)}", X(30)),
            ):
                shown, count = known_secrets().redacted_json(json.dumps({"a": f"x{before}{said}"}))

                self.assertEqual(count, 1, said)
                self.assertNotIn(secret, shown)

    def test_private_key_in_a_string_goes_whole(self) -> None:
        """A file that a tool is to write keeps its name, not its key."""
        text = json.dumps({"path": "id_rsa", "content": f"{PEM}\n"})

        shown, _ = known_secrets().redacted_json(text)

        self.assertEqual(
            json.loads(shown), {"path": "id_rsa", "content": "[redacted:private-key]\n"}
        )

    def test_json_that_was_cut_is_text(self) -> None:
        """What cannot be parsed is gone through all the same."""
        shown, count = known_secrets().redacted_json('{"a": "' + _KEY)

        self.assertEqual((shown, count), ('{"a": "[redacted:github-token]', 1))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20)
            | st.sampled_from([text for _, text, _ in POSITIVES]),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["password", "a", 'x"\\', "apiKey", _KEY]), inner),
            max_leaves=8,
        ),
        st.booleans(),
    )  # fmt: skip
    def test_json_stays_json_whatever_is_in_it(self, value: object, ascii_only: bool) -> None:
        """Every document can be parsed afterwards, and has the shape it had."""
        text = json.dumps(value, ensure_ascii=ascii_only)

        shown, count = known_secrets().redacted_json(text)

        after = json.loads(shown)
        self.assertIs(type(after), type(value))
        if not count:
            self.assertEqual(shown, text)
        self.assertNotIn(X(36), shown)


class ExtraPatternTests(BridgeTestCase):
    def test_configured_pattern_is_looked_for(self) -> None:
        """Its first group is what goes."""
        secrets = Secrets([ExtraPattern(label="badge", pattern=r"badge-(\d{6})")])

        self.assertEqual(
            secrets.redacted("badge-123456 badge-12"), ("badge-[redacted:badge] badge-12", 1)
        )
        windows = Secrets([ExtraPattern(label="path", pattern=r"C:\\C[a-z]+")])
        self.assertEqual(windows.redacted(r"C:\Cellar"), ("[redacted:path]", 1))

    def test_impossible_patterns_are_refused(self) -> None:
        """Look-around, matches of nothing, bad names and long ones are told of at the start."""
        for label, pattern, said in (
            ("a", r"(?<=x)y", "RE2"),
            ("a", r"x*", "nothing"),
            ("A b", r"x", "words"),
            ("a", "x" * (LONGEST_PATTERN + 1), "longer"),
            ("a", r"(\w{1000}){1000}", "RE2"),
            ("a", r"k\\\C", "characters"),
        ):
            with self.assertRaisesRegex(ValueError, said):
                Secrets([ExtraPattern(label=label, pattern=pattern)])

    def test_catastrophic_pattern_takes_linear_time(self) -> None:
        """What would hang a backtracking engine is over at once."""
        secrets = Secrets([ExtraPattern(label="evil", pattern=r"(a+)+$")])
        began = time.thread_time()

        secrets.redacted("a" * 200_000 + "b")

        self.assertLess(time.thread_time() - began, 1.0)


class TimeTests(BridgeTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6), st.booleans())
    def test_time_is_linear_whatever_the_text(self, pieces: list[str], as_json: bool) -> None:
        """Four times the text takes about four times as long, and never long."""
        unit = "".join(pieces)
        small = unit * (50_000 // len(unit))
        large = small * 4
        redact = known_secrets().redacted_json if as_json else known_secrets().redacted

        took = min(_seconds(redact, small) for _ in range(2))
        took_more = min(_seconds(redact, large) for _ in range(2))

        self.assertLess(took_more, 0.05 + 10 * took, unit)
        self.assertLess(took_more, 3.0, unit)

    def test_time_is_bounded_for_what_has_to_be_judged_piece_by_piece(self) -> None:
        secrets = known_secrets()
        assignments = 'password:"' * 500_000
        strings = "[" + '"a",' * 1_000_000 + '"password=hunter2hunter2"]'

        shown, _ = secrets.redacted(assignments)
        took = _seconds(secrets.redacted, assignments)
        took_json = _seconds(secrets.redacted_json, strings)

        self.assertTrue(shown.startswith("[redacted:"), shown[:40])
        self.assertNotIn("hunter2", secrets.redacted_json(strings)[0])
        self.assertLess(took, 2.0)
        self.assertLess(took_json, 2.0)

    def test_large_text_takes_bounded_time(self) -> None:
        """A prompt of 50 MB without secrets is over in about a second of processor time."""
        text = "the function returns a value, and the token is read from the file; " * 750_000

        self.assertLess(min(_seconds(known_secrets().redacted, text) for _ in range(2)), 3.0)


def _seconds(redact: object, text: str) -> float:
    assert callable(redact)
    began = time.thread_time()
    redact(text)
    return time.thread_time() - began
