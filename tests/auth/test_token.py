"""Tokens have one form, and nothing of that form is mistaken for anything else."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib

from bridge.auth.token import contains_token_shape, digest_of, new_token, token_id
from tests.support.cases import BridgeTestCase


def zeros(count: int) -> bytes:
    return bytes(count)


class NewTokenTests(BridgeTestCase):
    def test_a_new_token_has_the_documented_form(self) -> None:
        """A token is aib_, 12 characters of id, an underscore, 43 of secret, 6 of checksum."""
        value = new_token().value.reveal()

        self.assertRegex(value, r"\Aaib_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\Z")

    def test_the_id_in_the_token_is_its_public_id(self) -> None:
        """What is listed and recorded is the 12 characters that the owner sees in the token."""
        token = new_token()

        self.assertEqual(token.value.reveal()[4:16], token.id)
        self.assertEqual(token_id(token.value.reveal()), token.id)

    def test_the_checksum_is_the_crc_32_of_all_before_it_in_base62(self) -> None:
        """Anybody can tell a real token from a lookalike with the published rule."""
        value = new_token(zeros).value.reveal()

        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        checksum = sum(digits.index(c) * 62**n for n, c in enumerate(reversed(value[-6:])))
        self.assertEqual(checksum, zlib.crc32(value[:-6].encode()))

    def test_all_256_random_bits_are_in_the_secret(self) -> None:
        """The secret of all ones is not cut: it still fits 43 digits."""
        value = new_token(lambda count: b"\xff" * count).value.reveal()

        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        secret = sum(digits.index(c) * 62**n for n, c in enumerate(reversed(value[17:-6])))
        self.assertEqual(secret, 2**256 - 1)

    def test_two_tokens_differ(self) -> None:
        """Nobody gets another's token."""
        self.assertNotEqual(new_token().value, new_token().value)

    def test_a_new_token_does_not_print_itself(self) -> None:
        """A token in a log line or a traceback shows at most its two ends."""
        token = new_token()

        self.assertNotIn(token.value.reveal()[17:-4], repr(token))

    def test_what_is_stored_is_the_sha_256(self) -> None:
        """The stored digest can be computed with any tool."""
        token = new_token()

        expected = hashlib.sha256(token.value.reveal().encode()).digest()
        self.assertEqual((token.digest, digest_of(token.value.reveal())), (expected, expected))


class TokenIdTests(BridgeTestCase):
    def test_a_mistyped_token_is_malformed(self) -> None:
        """One changed character is noticed by the checksum alone."""
        value = new_token(zeros).value.reveal()

        self.assertIsNone(token_id(value[:20] + "1" + value[21:]))

    def test_a_token_cut_short_is_malformed(self) -> None:
        """A token without its last character is not one."""
        self.assertIsNone(token_id(new_token().value.reveal()[:-1]))

    def test_a_token_with_something_behind_it_is_malformed(self) -> None:
        """A trailing newline is not part of a token."""
        self.assertIsNone(token_id(new_token().value.reveal() + "\n"))

    def test_letters_outside_ascii_are_malformed(self) -> None:
        """Digits of other scripts do not pass for digits."""
        value = new_token(zeros).value.reveal()

        self.assertIsNone(token_id(value[:20] + "\u0663" + value[21:]))


class ShapeTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.value = new_token().value.reveal().encode()

    def test_a_token_is_found_anywhere_in_a_value(self) -> None:
        """A token in the middle of a cookie does not leave."""
        self.assertTrue(contains_token_shape(b"a=1; t=" + self.value + b"; b=2"))

    def test_a_token_cut_short_is_found(self) -> None:
        """All but the last character is as good as the token, so it does not leave either."""
        self.assertTrue(contains_token_shape(self.value[:-1]))

    def test_a_token_in_basic_credentials_is_found(self) -> None:
        """Base64 hides no token."""
        basic = b"Basic " + base64.b64encode(b"x:" + self.value)

        self.assertTrue(contains_token_shape(basic))

    def test_a_token_with_escaped_underscores_is_found(self) -> None:
        """An escape in a query string hides no token."""
        escaped = b"key=" + re.sub(b"_", b"%5F", self.value)

        self.assertTrue(contains_token_shape(escaped))

    def test_a_provider_key_is_not_ours(self) -> None:
        """What providers hand out goes where it should."""
        self.assertFalse(contains_token_shape(b"Bearer sk-ant-api03-aib_" + b"x" * 80))

    def test_basic_credentials_that_are_not_base64_are_not_ours(self) -> None:
        """Nonsense is no token and no error."""
        self.assertFalse(contains_token_shape(b"Basic \xff\xfe!"))
