"""Who asks is read from the headers by one table; one test per cell."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from bridge.auth.authentication import (
    API_KEY,
    AUTHORIZATION,
    AZURE_KEY,
    Authenticated,
    authenticate,
)
from bridge.auth.token import new_token
from bridge.domain.errors import BadRequest, Forbidden, Unauthenticated, Unavailable
from bridge.domain.identity import Actor, Role, Scope, UserCredential
from bridge.domain.ids import uuid7
from tests.support.cases import BridgeTestCase

OURS = new_token().value.reveal().encode()
OTHERS = new_token().value.reveal().encode()
STRANGE = new_token().value.reveal().encode()
OWN_KEY = b"sk-ant-api03-their-own-key"
OWN_BEARER = b"Bearer their-own-oauth-token"


def actor(username: str) -> Actor:
    return Actor(
        id=uuid7(0),
        username=username,
        roles=frozenset({Role.MEMBER}),
        token_id="0" * 12,
        scope=Scope.INFERENCE,
    )


class TwoPeople:
    """A directory of two tokens; it too refuses others by raising."""

    known: Mapping[str, Actor] = {
        OURS.decode(): actor("alice"),
        OTHERS.decode(): actor("bob"),
    }

    def identify(self, token: str, /) -> Actor:
        found = self.known.get(token)
        if found is None:
            raise Unauthenticated("not a valid token")
        return found


class NobodyYet:
    def identify(self, token: str, /) -> Actor:
        raise Unavailable("not loaded yet")


class AuthenticationCase(BridgeTestCase):
    def authenticate(
        self,
        headers: Mapping[bytes, bytes],
        *,
        allow_byok: bool = True,
        own_headers: Sequence[bytes] = (API_KEY, AUTHORIZATION),
    ) -> Authenticated:
        listed: dict[bytes, Sequence[bytes]] = {name: [value] for name, value in headers.items()}
        return authenticate(listed, TwoPeople(), allow_byok=allow_byok, own_headers=own_headers)

    def assert_central(self, headers: Mapping[bytes, bytes], username: str = "alice") -> None:
        found = self.authenticate(headers)
        self.assertEqual((found.actor.username, found.user_credential), (username, None))

    def assert_own(
        self,
        headers: Mapping[bytes, bytes],
        header: bytes,
        value: bytes,
        own_headers: Sequence[bytes] = (API_KEY, AUTHORIZATION),
    ) -> None:
        found = self.authenticate(headers, own_headers=own_headers)
        self.assertEqual(found.actor.username, "alice")
        self.assertEqual(found.user_credential, UserCredential(header=header, value=value))

    def refusal(self, headers: Mapping[bytes, bytes]) -> str:
        return self.assertRaises(Unauthenticated, self.authenticate, headers).message


class OwnHeaderTests(AuthenticationCase):
    """The token has its own header."""

    def test_alone_uses_our_credential(self) -> None:
        """X-AI-Bridge-Token alone: the organisation pays."""
        self.assert_central({b"x-ai-bridge-token": OURS})

    def test_governance_header_is_accepted(self) -> None:
        """The established name of the header works."""
        self.assert_central({b"x-coder-ai-governance-token": OURS})

    def test_session_header_is_accepted(self) -> None:
        """The established name for management works."""
        self.assert_central({b"coder-session-token": OURS})

    def test_our_name_comes_before_the_governance_header(self) -> None:
        """Of two names, ours counts."""
        self.assert_central({b"x-ai-bridge-token": OURS, b"x-coder-ai-governance-token": OTHERS})

    def test_the_governance_header_comes_before_the_session_header(self) -> None:
        """Of two established names, the one for inference counts."""
        self.assert_central({b"x-coder-ai-governance-token": OURS, b"coder-session-token": OTHERS})

    def test_an_empty_header_counts_as_absent(self) -> None:
        """An unset variable in a client's settings does not hide the token behind it."""
        self.assert_central({b"x-ai-bridge-token": b" ", b"coder-session-token": OURS})

    def test_with_own_bearer_is_byok(self) -> None:
        """The user's Authorization goes upstream as it came."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: OWN_BEARER}

        self.assert_own(headers, AUTHORIZATION, OWN_BEARER)

    def test_with_own_authorization_of_another_scheme_is_byok(self) -> None:
        """A provider that wants Basic gets Basic."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: b"Basic dTpw"}

        self.assert_own(headers, AUTHORIZATION, b"Basic dTpw")

    def test_with_own_key_is_byok(self) -> None:
        """The user's X-Api-Key goes upstream as it came."""
        headers = {b"x-ai-bridge-token": OURS, API_KEY: OWN_KEY}

        self.assert_own(headers, API_KEY, OWN_KEY)

    def test_with_both_of_their_own_the_key_wins(self) -> None:
        """Providers that know both get X-Api-Key."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: OWN_BEARER, API_KEY: OWN_KEY}

        self.assert_own(headers, API_KEY, OWN_KEY)

    def test_with_both_of_their_own_authorization_wins_where_preferred(self) -> None:
        """Providers that know only Authorization get that."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: OWN_BEARER, API_KEY: OWN_KEY}

        self.assert_own(headers, AUTHORIZATION, OWN_BEARER, own_headers=(AUTHORIZATION, API_KEY))

    def test_with_own_bearer_and_a_token_as_key_is_byok_with_the_bearer(self) -> None:
        """A token never passes for a provider key."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: OWN_BEARER, API_KEY: OTHERS}

        self.assert_own(headers, AUTHORIZATION, OWN_BEARER)

    def test_with_a_token_as_bearer_and_own_key_is_byok_with_the_key(self) -> None:
        """A token never passes for a provider's bearer token."""
        headers = {
            b"x-ai-bridge-token": OURS,
            AUTHORIZATION: b"Bearer " + OTHERS,
            API_KEY: OWN_KEY,
        }

        self.assert_own(headers, API_KEY, OWN_KEY)

    def test_with_tokens_everywhere_uses_our_credential(self) -> None:
        """A token in every header is still only a token."""
        self.assert_central(
            {b"x-ai-bridge-token": OURS, AUTHORIZATION: b"Bearer " + OTHERS, API_KEY: OTHERS}
        )

    def test_with_a_token_as_bearer_uses_our_credential(self) -> None:
        """A client that also sends its token as its key brings no key of its own."""
        self.assert_central({b"x-ai-bridge-token": OURS, AUTHORIZATION: b"Bearer " + OTHERS})

    def test_with_a_token_as_key_uses_our_credential(self) -> None:
        """The same in the other header."""
        self.assert_central({b"x-ai-bridge-token": OURS, API_KEY: OTHERS})

    def test_with_a_token_cut_short_as_key_uses_our_credential(self) -> None:
        """What was nearly a token is no provider's key either."""
        self.assert_central({b"x-ai-bridge-token": OURS, API_KEY: OTHERS[:-3]})

    def test_with_a_token_hidden_in_basic_uses_our_credential(self) -> None:
        """Base64 does not carry a token upstream."""
        basic = b"Basic " + base64.b64encode(b"user:" + OTHERS)

        self.assert_central({b"x-ai-bridge-token": OURS, AUTHORIZATION: basic})

    def test_with_an_empty_bearer_uses_our_credential(self) -> None:
        """A scheme with nothing behind it is no credential."""
        self.assert_central({b"x-ai-bridge-token": OURS, AUTHORIZATION: b"Bearer "})

    def test_with_an_empty_key_uses_our_credential(self) -> None:
        """An empty X-Api-Key is no credential."""
        self.assert_central({b"x-ai-bridge-token": OURS, API_KEY: b""})

    def test_that_holds_no_token_is_refused_whatever_else_is_sent(self) -> None:
        """What stands in the token's own header has to be the token."""
        headers = {b"x-ai-bridge-token": OWN_KEY, AUTHORIZATION: b"Bearer " + OURS}

        self.assertEqual(self.refusal(headers), "not a valid token")

    def test_that_holds_a_provider_key_alone_is_refused(self) -> None:
        """A key in the wrong place is not guessed at."""
        self.assertEqual(self.refusal({b"x-ai-bridge-token": OWN_KEY}), "not a valid token")

    def test_that_holds_no_token_is_refused_beside_a_token_as_key(self) -> None:
        """The token's own header decides."""
        headers = {b"x-ai-bridge-token": STRANGE, API_KEY: OURS}

        self.assertEqual(self.refusal(headers), "not a valid token")


class SharedHeaderTests(AuthenticationCase):
    """The token is where SDKs put their API key."""

    def test_bearer_is_accepted(self) -> None:
        """Newest SDKs and ANTHROPIC_AUTH_TOKEN."""
        self.assert_central({AUTHORIZATION: b"Bearer " + OURS})

    def test_the_scheme_is_read_in_any_case(self) -> None:
        """`bearer` is Bearer."""
        self.assert_central({AUTHORIZATION: b"bEARER  " + OURS})

    def test_key_is_accepted(self) -> None:
        """Older SDKs and ANTHROPIC_API_KEY."""
        self.assert_central({API_KEY: OURS})

    def test_bearer_comes_before_the_key(self) -> None:
        """Of two tokens, the one in Authorization counts."""
        self.assert_central({AUTHORIZATION: b"Bearer " + OURS, API_KEY: OTHERS})

    def test_the_same_token_in_both_is_accepted(self) -> None:
        """A client with both variables set works."""
        self.assert_central({AUTHORIZATION: b"Bearer " + OURS, API_KEY: OURS})

    def test_a_provider_key_beside_a_bearer_token_stays_here(self) -> None:
        """A key that lies in the environment does not pay for the organisation's request."""
        self.assert_central({AUTHORIZATION: b"Bearer " + OURS, API_KEY: OWN_KEY})

    def test_a_foreign_bearer_beside_a_token_as_key_stays_here(self) -> None:
        """An OAuth login that a client still sends does not pay either."""
        self.assert_central({AUTHORIZATION: OWN_BEARER, API_KEY: OURS})

    def test_a_foreign_bearer_alone_is_refused(self) -> None:
        """A provider's key is no token; the answer says how to bring one's own."""
        self.assertIn("X-AI-Bridge-Token", self.refusal({AUTHORIZATION: OWN_BEARER}))

    def test_a_foreign_key_alone_is_refused(self) -> None:
        """The same in the other header, in the same words."""
        self.assertEqual(
            self.refusal({API_KEY: OWN_KEY}), self.refusal({AUTHORIZATION: OWN_BEARER})
        )

    def test_a_foreign_bearer_and_key_are_refused(self) -> None:
        """Two provider credentials make no token."""
        self.assertIn("valid", self.refusal({AUTHORIZATION: OWN_BEARER, API_KEY: OWN_KEY}))

    def test_a_token_without_a_scheme_is_refused(self) -> None:
        """Authorization has a scheme; a bare value is not guessed at."""
        self.assert_told_how({AUTHORIZATION: OURS})

    def test_a_token_as_basic_credentials_is_refused(self) -> None:
        """Basic is not a way in."""
        basic = b"Basic " + base64.b64encode(b"user:" + OURS)

        self.assert_told_how({AUTHORIZATION: basic})

    def test_a_token_in_quotation_marks_is_refused(self) -> None:
        """As a settings file has it that is not read by a shell."""
        self.assert_told_how({AUTHORIZATION: b'"' + OURS + b'"'})
        self.assert_told_how({AUTHORIZATION: b'Bearer "' + OURS + b'"'})
        self.assert_told_how({AUTHORIZATION: b'"Bearer ' + OURS + b'"'})
        self.assert_told_how({API_KEY: b"'" + OURS + b"'"})
        self.assert_told_how({API_KEY: b"Bearer " + OURS})

    def assert_told_how(self, headers: Mapping[bytes, bytes]) -> None:
        message = self.refusal(headers)
        self.assertIn("write Authorization: Bearer aib_", message)
        self.assertNotIn(OURS.decode(), message)

    def test_the_key_of_azures_sdk_is_accepted(self) -> None:
        """AzureOpenAI(api_key=…) sends Api-Key."""
        self.assert_central({AZURE_KEY: OURS})
        self.assert_central({AZURE_KEY: OURS, AUTHORIZATION: OWN_BEARER})

    def test_the_key_of_azures_sdk_comes_last(self) -> None:
        """Of several tokens."""
        self.assert_central({AZURE_KEY: OTHERS, API_KEY: OURS})

    def test_a_foreign_key_of_azures_sdk_is_refused(self) -> None:
        """In the words for every other."""
        self.assertEqual(
            self.refusal({AZURE_KEY: OWN_KEY}), self.refusal({AUTHORIZATION: OWN_BEARER})
        )

    def test_a_token_in_azures_header_is_no_key_of_ones_own(self) -> None:
        """Not even where one would be read from it."""
        found = self.authenticate(
            {b"x-ai-bridge-token": OURS, AZURE_KEY: OTHERS}, own_headers=(AZURE_KEY,)
        )

        self.assertIsNone(found.user_credential)
        self.assertIn(AZURE_KEY, found.remove)

    def test_a_token_that_nobody_has_is_refused(self) -> None:
        """The directory decides; the key header is not tried after a token in Authorization."""
        headers = {AUTHORIZATION: b"Bearer " + STRANGE, API_KEY: OURS}

        self.assertEqual(self.refusal(headers), "not a valid token")

    def test_nothing_at_all_is_told_what_to_set(self) -> None:
        """The first thing a new user sees says which variables to set."""
        message = self.refusal({b"user-agent": b"curl/8"})

        self.assertIn("ANTHROPIC_AUTH_TOKEN", message)
        self.assertIn("aibridge token create --user NAME", message)

    def test_empty_headers_are_as_nothing(self) -> None:
        """A client whose key variable is empty gets the same help."""
        self.assertIn("No AI Bridge token", self.refusal({API_KEY: b"", AUTHORIZATION: b" "}))

    def test_nobody_known_yet_is_not_a_wrong_token(self) -> None:
        """While starting, clients are told to wait, not to change their token."""
        headers = {API_KEY: [OURS]}

        self.assertRaises(Unavailable, authenticate, headers, NobodyYet(), allow_byok=True)


class RefusedOwnKeyTests(AuthenticationCase):
    """`allow_byok: false`."""

    def test_an_own_key_is_forbidden(self) -> None:
        """Who brings a key is told that it is not allowed."""
        headers = {b"x-ai-bridge-token": OURS, API_KEY: OWN_KEY}

        self.assertRaises(Forbidden, self.authenticate, headers, allow_byok=False)

    def test_an_own_bearer_is_forbidden(self) -> None:
        """The same for Authorization."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: OWN_BEARER}

        self.assertRaises(Forbidden, self.authenticate, headers, allow_byok=False)

    def test_a_wrong_token_is_told_so_first(self) -> None:
        """Strangers learn nothing of the settings."""
        headers = {b"x-ai-bridge-token": STRANGE, API_KEY: OWN_KEY}

        self.assertRaises(Unauthenticated, self.authenticate, headers, allow_byok=False)

    def test_the_token_in_its_own_header_alone_is_fine(self) -> None:
        """The header alone does not make it bring-your-own-key."""
        found = self.authenticate({b"x-ai-bridge-token": OURS}, allow_byok=False)

        self.assertEqual(found.actor.username, "alice")

    def test_a_key_that_would_not_be_used_is_fine(self) -> None:
        """What stays here anyway is no reason to refuse."""
        found = self.authenticate(
            {AUTHORIZATION: b"Bearer " + OURS, API_KEY: OWN_KEY}, allow_byok=False
        )

        self.assertIsNone(found.user_credential)


class MisplacedOwnKeyTests(AuthenticationCase):
    """A key in a header that the provider does not read would let the organisation pay."""

    def misplaced(
        self, header: bytes, *more: tuple[bytes, bytes], own: Sequence[bytes] = (AUTHORIZATION,)
    ) -> str:
        headers = {b"x-ai-bridge-token": OURS, header: OWN_KEY, **dict(more)}
        return self.assertRaises(BadRequest, self.authenticate, headers, own_headers=own).message

    def test_a_key_in_the_header_of_another_api_is_a_bad_request(self) -> None:
        """OpenAI's goes into Authorization."""
        self.assertIn("X-Api-Key: send it as Authorization: Bearer", self.misplaced(API_KEY))
        self.assertIn("Api-Key: send it as Authorization: Bearer", self.misplaced(AZURE_KEY))

    def test_the_same_beside_a_token_in_authorization(self) -> None:
        """A token is no key of one's own."""
        self.misplaced(API_KEY, (AUTHORIZATION, b"Bearer " + OTHERS))

    def test_the_best_header_is_named(self) -> None:
        """Azure's at Azure."""
        self.assertIn("as Api-Key,", self.misplaced(API_KEY, own=(AZURE_KEY, AUTHORIZATION)))

    def test_beside_a_key_in_the_right_place_it_stays_here(self) -> None:
        """What pays is clear."""
        headers = {b"x-ai-bridge-token": OURS, AUTHORIZATION: OWN_BEARER, API_KEY: OWN_KEY}

        self.assert_own(headers, AUTHORIZATION, OWN_BEARER, own_headers=(AUTHORIZATION,))

    def test_a_token_in_the_wrong_place_stays_here(self) -> None:
        """It was not meant to pay."""
        found = self.authenticate(
            {b"x-ai-bridge-token": OURS, API_KEY: OTHERS}, own_headers=(AUTHORIZATION,)
        )

        self.assertIsNone(found.user_credential)

    def test_without_the_tokens_own_header_it_stays_here(self) -> None:
        """Nobody asked for bring-your-own-key."""
        found = self.authenticate(
            {AUTHORIZATION: b"Bearer " + OURS, API_KEY: OWN_KEY}, own_headers=(AUTHORIZATION,)
        )

        self.assertIsNone(found.user_credential)


class HygieneTests(AuthenticationCase):
    def refused_twice(self, name: bytes) -> str:
        headers: dict[bytes, Sequence[bytes]] = {API_KEY: [OURS], name: [OURS, OURS]}
        return self.assertRaises(
            BadRequest, authenticate, headers, TwoPeople(), allow_byok=True
        ).message

    def test_authorization_twice_is_a_bad_request(self) -> None:
        """Two values could be read differently here and upstream."""
        self.assertIn("Authorization", self.refused_twice(AUTHORIZATION))

    def test_api_key_twice_is_a_bad_request(self) -> None:
        """The same for X-Api-Key."""
        self.assertIn("X-Api-Key", self.refused_twice(API_KEY))

    def test_our_header_twice_is_a_bad_request(self) -> None:
        """The same for our own header."""
        self.assertIn("X-Ai-Bridge-Token", self.refused_twice(b"x-ai-bridge-token"))

    def test_governance_header_twice_is_a_bad_request(self) -> None:
        """The same for the established header."""
        self.assertIn("Governance", self.refused_twice(b"x-coder-ai-governance-token"))

    def test_session_header_twice_is_a_bad_request(self) -> None:
        """The same for the established header of management."""
        self.assertIn("Session", self.refused_twice(b"coder-session-token"))

    def test_all_credential_headers_stay_here(self) -> None:
        """The provider's credential is written anew; nothing of the client's is left beside it."""
        found = self.authenticate({AUTHORIZATION: b"Bearer " + OURS, API_KEY: OWN_KEY})

        self.assertEqual(
            found.remove,
            {
                b"authorization",
                b"x-api-key",
                b"api-key",
                b"x-ai-bridge-token",
                b"x-coder-ai-governance-token",
                b"coder-session-token",
            },
        )

    def test_a_token_in_any_other_header_stays_here(self) -> None:
        """Who tried `x-auth-token` too has not sent the token to the provider."""
        found = self.authenticate({API_KEY: OURS, b"x-auth-token": OTHERS, b"x-title": b"Cline"})

        self.assertIn(b"x-auth-token", found.remove)
        self.assertNotIn(b"x-title", found.remove)

    def test_a_credential_does_not_print_itself(self) -> None:
        """A user's own key is in no log line by accident."""
        found = self.authenticate({b"x-ai-bridge-token": OURS, API_KEY: OWN_KEY})

        self.assertNotIn(OWN_KEY.decode(), repr(found))
