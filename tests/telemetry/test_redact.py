"""Secrets never reach a log, whatever field they come in."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.interception import EndState
from bridge.telemetry.redact import plain, plain_fields, redacted_text
from tests.support.cases import BridgeTestCase

_TOKEN = "aib_0123456789Ab_" + "S" * 43 + "000000"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class RedactedTextTests(BridgeTestCase):
    def test_bridge_token_keeps_only_its_public_part(self) -> None:
        """The id in a token may be known, the secret may not."""
        self.assertEqual(redacted_text(f"got {_TOKEN}!"), "got aib_0123456789Ab_...!")

    def test_provider_key_is_masked(self) -> None:
        """An sk- key in a message is gone."""
        self.assertEqual(redacted_text("key sk-ant-api03-abcdefghijk"), "key sk-...")

    def test_words_that_only_look_alike_stay(self) -> None:
        """A hyphenated word with sk in it is no key."""
        self.assertEqual(redacted_text("a task-management-system-x"), "a task-management-system-x")

    def test_password_in_an_address_is_masked(self) -> None:
        """User and host may be known; a password with an @ in it may not."""
        self.assertEqual(
            redacted_text("at postgresql://me:p@ss:w@db.example/x?y"),
            "at postgresql://me:...@db.example/x?y",
        )

    def test_address_without_password_stays(self) -> None:
        """A port is not a password."""
        self.assertEqual(redacted_text("http://h:4001/x y@z"), "http://h:4001/x y@z")

    def test_keyword_password_and_bearer_are_masked(self) -> None:
        """The other two ways of writing one."""
        self.assertEqual(
            redacted_text("host=h password=geheim user=u Bearer abcdefghijkl"),
            "host=h password=... user=u Bearer ...",
        )

    def test_text_of_much_that_looks_like_secrets_is_masked_as_a_whole(self) -> None:
        """What a provider says in an error is looked through while other requests wait."""
        self.assertEqual(redacted_text("token=aaaa " * 3_000), "[redacted:too-many-secrets]")

    @given(st.text(max_size=60), st.text(max_size=60))
    def test_token_is_masked_in_any_surroundings(self, before: str, after: str) -> None:
        """No text around a token saves its secret."""
        self.assertNotIn("SSSSS", redacted_text(f"{before} {_TOKEN} {after}"))


class PlainTests(BridgeTestCase):
    def test_secret_by_name_becomes_its_hint(self) -> None:
        """Known header and option names are masked whatever their value looks like."""
        shown = plain_fields(
            {"Authorization": b"Basic 0123456789abcdef", "x": {"api_key": "hunter2"}, "token": "ab"}
        )

        self.assertEqual(
            shown, {"Authorization": "Basi...cdef", "x": {"api_key": "h...2"}, "token": "..."}
        )

    def test_counts_and_ids_are_not_secrets(self) -> None:
        """Names that merely contain the word are left alone."""
        fields = {"input_tokens": 3, "token_id": "0123456789Ab", "api_key_id": "k", "token": 7}

        self.assertEqual(plain_fields(fields), fields)

    def test_kinds_become_json(self) -> None:
        """UUIDs, enums, bytes, sets and exceptions are readable."""
        self.assertEqual(
            plain([UUID(int=1), EndState.LOST, b"\xff", {1}, ValueError("sk-aaaaaaaaaaaaaaaa")]),
            [str(UUID(int=1)), "lost", "\\xff", [1], "ValueError: sk-..."],
        )

    def test_endless_nesting_ends(self) -> None:
        """A list that holds itself is cut off."""
        loop: list[object] = []
        loop.append(loop)

        self.assertIn("...", str(plain(loop)))

    def test_value_that_cannot_show_itself_says_so(self) -> None:
        """One bad value does not cost the line."""
        self.assertEqual(
            plain_fields({"a": Unprintable(), "b": 1}),
            {"a": "<unprintable: RuntimeError>", "b": 1},
        )
