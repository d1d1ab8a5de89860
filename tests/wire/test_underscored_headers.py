"""Tests for bridge.wire.headers: `X_Api_Key` is `X-Api-Key` to many a server, so it is to us."""

from __future__ import annotations

from bridge.wire.headers import request_headers
from tests.support.cases import BridgeTestCase


class UnderscoredNamesTests(BridgeTestCase):
    def passing(self, name: bytes, *, remove: frozenset[bytes] = frozenset()) -> bool:
        return bool(request_headers([(name, b"1")], remove=remove))

    def test_another_spelling_of_a_name_that_stays_here_stays_here(self) -> None:
        for name in (b"x_forwarded_for", b"transfer_encoding", b"x_aibridge_actor", b"x-real_ip"):
            self.assertFalse(self.passing(name), name)

    def test_nobody_adds_a_credential_or_an_actor_in_another_spelling(self) -> None:
        remove = frozenset({b"x-api-key", b"x-acting-user"})
        for name in (b"x_api_key", b"x-api_key", b"x_acting_user"):
            self.assertFalse(self.passing(name, remove=remove), name)

    def test_a_removed_name_with_underscores_is_removed(self) -> None:
        self.assertFalse(self.passing(b"x_own_token", remove=frozenset({b"x_own_token"})))

    def test_what_a_connection_names_goes_in_either_spelling(self) -> None:
        found = request_headers([(b"connection", b"x-once"), (b"x_once", b"1")], remove=frozenset())
        self.assertEqual(found, [])

    def test_others_pass_as_they_came(self) -> None:
        for name in (b"session_id", b"x_anything"):
            self.assertTrue(self.passing(name), name)
