"""Attempts: whom to ask, with which key, and what follows when that failed; nothing is sent here.

One request is sent until an answer is to be relayed: with the next key when a key is throttled or
refused, again after a while where that helps, at last to another provider. A user's own credential
is sent to its own provider only. Once a byte of an answer may be relayed, nothing is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bridge.dialects.models import with_model
from bridge.domain.clock import Clock
from bridge.domain.errors import BridgeError, UpstreamNotConnected, UpstreamTimedOut
from bridge.domain.identity import Credential, CredentialKind, UserCredential
from bridge.policy.breaker import Circuit, CircuitBreakers, NoBreakers, Passage
from bridge.policy.keyring import Keyring
from bridge.policy.retries import Answered, Outcome, RetryPolicy, Unanswered
from bridge.providers.interface import Asked, Provider
from bridge.upstream.client import Outgoing, Response, UpstreamClient

_MOST_ATTEMPTS = 50
"""Of one request, whatever keys, retries and fallbacks would still allow."""
_QUICKLY_RENAMED_BYTES = 1024 * 1024
_THROTTLED = 429
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_ABOUT_THE_KEY = frozenset({_UNAUTHORIZED, _FORBIDDEN, _THROTTLED})
"""With a user's own credential these say nothing of the provider to others."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that may be asked, and what decides how."""

    provider: Provider
    client: UpstreamClient
    keyring: Keyring
    """Of `provider.credentials`, in their order."""
    retries: RetryPolicy
    breakers: CircuitBreakers | NoBreakers
    models: Mapping[str, str] = {}
    """What models are called here, by the name that the client asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One leg that is about to be sent, or was."""

    n: int
    """From 1."""
    place: Place
    credential: Credential
    key: int | None
    """Its place in the keyring; None for a user's own."""
    model: str
    """What was asked for there."""
    passage: Passage
    """Through the circuit breaker; has to be told how the leg went."""
    started: float

    @property
    def is_own(self) -> bool:
        """Whether it goes with a credential of the user's own."""
        return self.credential.kind is CredentialKind.BYOK

    def tell(self, status: int, *, failed: bool = False) -> None:
        """Tell the circuit breaker of an answer, unless it is about a user's own key.

        Args:
            status: of the answer.
            failed: whether it broke off, fell silent, or said that the provider cannot.
        """
        if self.is_own and status in _ABOUT_THE_KEY:
            self.passage.abandoned()
        elif failed:
            self.passage.failed()
        else:
            self.passage.answered(status)


class Preparation:
    """What a request is made of."""

    __slots__ = ("_asked", "_credential", "_provider", "_renamed", "slow")

    def __init__(
        self, provider: Provider, credential: Credential, asked: Asked, *, renamed: bool
    ) -> None:
        """Make what `asked` says of `provider`; the body names another model when `renamed`."""
        self._provider = provider
        self._credential = credential
        self._asked = asked
        self._renamed = renamed
        self.slow = provider.slow_to_prepare(asked) or (
            renamed and len(asked.body) > _QUICKLY_RENAMED_BYTES
        )
        """Whether making it takes longer than the reactor may be kept: then it wants a thread."""

    def make(self) -> Outgoing:
        """Return the request; touches nothing that others use.

        Raises:
            BridgeError: it cannot be made.
        """
        asked = self._asked
        if self._renamed:
            asked = msgspec.structs.replace(asked, body=with_model(asked.body, asked.model))
        prepared = self._provider.prepare(asked, self._credential)
        return Outgoing(
            method=asked.method,
            target=prepared.target,
            headers=prepared.headers,
            body=prepared.body,
        )


@dataclass(frozen=True, slots=True)
class Again:
    """Send the request once more, after a while."""

    seconds: float = 0.0


@dataclass(slots=True)
class _Here:
    """What has been tried at the place that is being asked."""

    attempts: int = 0
    tried: set[int] = field(default_factory=set)
    """Keys that have been throttled or refused."""
    forbidden: list[int] = field(default_factory=list)
    """Keys that got a 403, which may as well be about what was asked."""


class Attempts:
    """Decides about one request."""

    def __init__(
        self,
        *,
        places: Sequence[Place],
        own: UserCredential | None,
        asked: Callable[[], Asked],
        blames_keys: bool = True,
        route: str,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        """Begin with the first of `places`.

        Args:
            places: the provider that the client named, then those that may stand in for it.
            own: the user's own credential; with one, only the first place is ever asked.
            asked: returns what is asked; called for each attempt.
            blames_keys: whether a 401 or 403 is about the key; it may as well be about the account
                that the client has named.
            route: the route's pattern, for the circuit breakers.
            clock: gives the time.
            chance: returns a random number in [0, 1).
        """
        self._places = places[:1] if own is not None else places
        self._own = own
        self._asked = asked
        self._blames_keys = blames_keys
        self._route = route
        self._clock = clock
        self._chance = chance
        self._at = 0
        self._here = _Here()
        self._n = 0

    def begin(self) -> tuple[Attempt, Preparation]:
        """Return the next attempt, and what makes the request that is to be sent.

        Raises:
            BridgeError: there is nobody left to ask, or not now.
        """
        while True:
            place = self._places[self._at]
            try:
                return self._attempt(place)
            except BridgeError:
                if not self._elsewhere():
                    raise

    def unprepared(self, attempt: Attempt) -> bool:
        """Take back an attempt whose request could not be made; return whether to go on.

        Not to go on means to tell the client why.
        """
        attempt.passage.abandoned()
        self._n -= 1
        self._here.attempts -= 1
        return self._elsewhere()

    def answered(self, attempt: Attempt, response: Response) -> Again | None:
        """Return what follows an answer's head: None to relay it.

        Raises:
            BridgeError: what the client is to be told in place of the answer.
        """
        keyring, key, status = attempt.place.keyring, attempt.key, response.status
        if status < 400 or self._n >= _MOST_ATTEMPTS:
            return None
        answer = Answered(status=status, headers=response.headers)
        if key is not None and len(keyring) > 1:
            if self._with_another_key(keyring, key, answer):
                attempt.passage.abandoned()  # it was about the key
                return Again()
            if status == _THROTTLED or (status == _UNAUTHORIZED and self._blames_keys):
                if self._elsewhere():
                    return self._again(attempt, answer, 0.0)
                attempt.passage.answered(status)
                raise keyring.exhausted()
        elif (wait := self._wait(attempt, answer)) is not None:
            return self._again(attempt, answer, wait)
        if (status == _THROTTLED or status >= 500) and self._elsewhere():
            return self._again(attempt, answer, 0.0)
        return None

    def works(self, attempt: Attempt) -> None:
        """Note that a good answer has begun."""
        keyring, key = attempt.place.keyring, attempt.key
        if key is not None:
            keyring.answered(key, tries=len(self._here.tried) + 1)
            for refused in self._here.forbidden:
                keyring.refused(refused, "forbidden")  # another was better, so it was the key

    def failed(self, attempt: Attempt, error: BridgeError) -> Again | None:
        """Return what follows an attempt that got no answer: None to tell the client `error`."""
        attempt.passage.failed()
        if self._n >= _MOST_ATTEMPTS:
            return None
        late = isinstance(error, UpstreamTimedOut) and not isinstance(error, UpstreamNotConnected)
        wait = self._wait(attempt, Unanswered(limit_fired=late))
        if wait is not None:
            return Again(wait)
        return Again() if self._elsewhere() else None

    def _attempt(self, place: Place) -> tuple[Attempt, Preparation]:
        credential, key = self._credential(place)
        asked = self._asked()
        model = place.models.get(asked.model, asked.model)
        renamed = model != asked.model
        if renamed:
            asked = msgspec.structs.replace(asked, model=model)
        circuit = Circuit(provider=place.provider.name, route=self._route, model=model)
        passage = place.breakers.admit(circuit)
        try:
            sent_model = place.provider.sent_model(asked)
        except BaseException:
            passage.abandoned()
            raise
        self._n += 1
        self._here.attempts += 1
        attempt = Attempt(
            n=self._n,
            place=place,
            credential=credential,
            key=key,
            model=sent_model,
            passage=passage,
            started=self._clock.seconds(),
        )
        return attempt, Preparation(place.provider, credential, asked, renamed=renamed)

    def _credential(self, place: Place) -> tuple[Credential, int | None]:
        credentials = place.provider.credentials
        if self._own is not None or not credentials:
            return place.provider.credential(self._own), None
        if len(credentials) == 1:
            return credentials[0], 0  # the provider's own word is better than ours
        key = place.keyring.pick(self._here.tried)
        if key is None:
            raise place.keyring.exhausted()
        return credentials[key], key

    def _with_another_key(self, keyring: Keyring, key: int, answer: Answered) -> bool:
        """Note what an answer says of a key, and return whether another one can be used."""
        if answer.status == _THROTTLED:
            keyring.throttled(key, answer.headers)
        elif answer.status == _UNAUTHORIZED:
            if self._blames_keys:
                keyring.refused(key)
        elif answer.status == _FORBIDDEN:
            if self._blames_keys:
                self._here.forbidden.append(key)
        else:
            return False
        self._here.tried.add(key)
        return keyring.pick(self._here.tried) is not None

    def _wait(self, attempt: Attempt, outcome: Outcome) -> float | None:
        return attempt.place.retries.wait(
            outcome,
            attempt=self._here.attempts,
            now=self._clock.seconds(),
            chance=self._chance(),
        )

    def _again(self, attempt: Attempt, answer: Answered, seconds: float) -> Again:
        attempt.tell(answer.status)
        return Again(seconds)

    def _elsewhere(self) -> bool:
        """Go on to the next place, if there is one."""
        if self._at + 1 >= len(self._places):
            return False
        self._at += 1
        self._here = _Here()
        return True
