"""AWS credentials that are there when a request comes: found in a thread, renewed ahead of time.

Where they may come from is botocore's to know: the environment, shared files and profiles (roles
and single sign-on included), web identity, a container, the instance. Nothing of that ever stands
in a request's way: `current` returns what is known, or raises.

Source: botocore.credentials and botocore's model of STS, 1.44.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from bridge.deferreds import limited
from bridge.domain.errors import Unavailable
from bridge.domain.identity import Secret, hint
from bridge.periodic import Periodic

_LOOK_SECONDS = 30.0
_AHEAD_SECONDS = 15 * 60.0
"""Before they expire, new ones are asked for at every look; instances have them this early."""
_REREAD_SECONDS = 5 * 60.0
"""What names no end may still have been changed where it is kept."""
_RESOLVE_SECONDS = 30.0
_STS_CONNECT_SECONDS = 5
_STS_READ_SECONDS = 10
_RETRY_AFTER_SECONDS = 2.0

_FAILURES = (BotoCoreError, ClientError, OSError, ValueError, KeyError)
"""How botocore fails, a profile with a member missing included."""

_log = structlog.get_logger("bridge.aws")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Credentials that were found."""

    credentials: ReadOnlyCredentials
    """`access_key`, `secret_key`, and `token`, which is None for a lasting pair."""
    expires_at: float | None = None
    """Seconds since the epoch; None for never."""

    def __repr__(self) -> str:
        """Return a masked hint, never the values."""
        return f"Resolved({hint(self.credentials.access_key)!r}, expires_at={self.expires_at})"


Resolve = Callable[[], Resolved]
"""Finds credentials; blocks, so it runs in a thread; raises what botocore raises."""
InThread = Callable[[Resolve], Deferred[Resolved]]


class AwsCredentials(Protocol):
    """What signs requests."""

    @property
    def hint(self) -> str:
        """The masked access key id, "" while there is none."""

    def current(self) -> ReadOnlyCredentials:
        """Return the credentials to sign with now.

        Raises:
            Unavailable: there are none yet, or no longer.
        """


class StaticCredentials:
    """A key and its secret that somebody has written down."""

    def __init__(self, *, access_key_id: str, secret: Secret, session_token: Secret | None) -> None:
        """Sign with `access_key_id`; a session token goes with a pair that is temporary."""
        token = session_token.reveal() if session_token else None
        self._credentials = ReadOnlyCredentials(access_key_id, secret.reveal(), token)
        self.hint = hint(access_key_id)

    def current(self) -> ReadOnlyCredentials:
        """Return the pair."""
        return self._credentials


class RenewedCredentials:
    """Credentials that expire, or that are kept where they may change."""

    def __init__(
        self, *, name: str, resolve: Resolve, in_thread: InThread, clock: IReactorTime
    ) -> None:
        """Keep credentials of `resolve` at hand, once started.

        Args:
            name: of the provider, for the log.
            resolve: finds them.
            in_thread: runs it, and fires with what it returns.
            clock: for when.
        """
        self._name = name
        self._resolve = resolve
        self._in_thread = in_thread
        self._clock = clock
        self._resolved: Resolved | None = None
        self._read_at = 0.0
        self._in_flight = False
        self._waiting: Deferred[Resolved] | None = None
        self._looking = Periodic(
            name=f"AWS credentials of {name}", seconds=_LOOK_SECONDS, work=self.look, clock=clock
        )

    @property
    def hint(self) -> str:
        """The masked access key id, "" while there is none."""
        return hint(self._resolved.credentials.access_key) if self._resolved is not None else ""

    def start(self) -> None:
        """Find credentials, and keep them fresh."""
        self._looking.start()

    async def stop(self) -> None:
        """Renew nothing any more; what runs in a thread is not waited for."""
        if self._waiting is not None:
            self._waiting.cancel()
        await self._looking.stop()

    def current(self) -> ReadOnlyCredentials:
        """Return the credentials to sign with now.

        Raises:
            Unavailable: none were found yet, or they have expired and no new ones were found.
        """
        resolved, now = self._resolved, self._clock.seconds()
        if resolved is None or (resolved.expires_at is not None and resolved.expires_at <= now):
            raise Unavailable(
                f"The provider {self._name} has no valid AWS credentials at the moment.",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        return resolved.credentials

    async def look(self) -> None:
        """Find new credentials if it is time for that; should that fail, the old ones stay."""
        if self._in_flight or not self._due():
            return
        self._in_flight = True
        try:
            self._waiting = self._in_thread(self._flight)
            resolved = await limited(self._waiting, _RESOLVE_SECONDS, self._clock, TimeoutError)
        except CancelledError:
            raise
        except _FAILURES as e:
            _log.warning(
                "aws credentials not found",
                provider=self._name,
                error=type(e).__name__,
                reason=str(e),
                still_valid=self._valid(),
            )
            return
        finally:
            self._waiting = None
        if self._resolved is None or self._resolved != resolved:
            _log.info(
                "aws credentials found",
                provider=self._name,
                hint=hint(resolved.credentials.access_key),
                expires_at=resolved.expires_at,
            )
        self._resolved = resolved
        self._read_at = self._clock.seconds()

    def _flight(self) -> Resolved:
        """Run in the thread: one that hangs is not given a second."""
        try:
            return self._resolve()
        finally:
            self._in_flight = False

    def _due(self) -> bool:
        now, resolved = self._clock.seconds(), self._resolved
        if resolved is None:
            return True
        if resolved.expires_at is None:
            return now >= self._read_at + _REREAD_SECONDS
        return now >= resolved.expires_at - _AHEAD_SECONDS

    def _valid(self) -> bool:
        try:
            self.current()
        except Unavailable:
            return False
        return True


def default_chain(*, profile: str = "") -> Resolve:
    """Return what looks where AWS's own tools look, each time anew.

    Args:
        profile: in the shared files, "" for that of `AWS_PROFILE` or the default one.
    """

    def resolve() -> Resolved:
        found = Session(profile=profile or None).get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
        # botocore says only whether they are about to expire, by its own clock.
        expiry = getattr(found, "_expiry_time", None)
        return Resolved(
            credentials=frozen, expires_at=expiry.timestamp() if expiry is not None else None
        )

    return resolve


def fixed(credentials: StaticCredentials) -> Resolve:
    """Return what finds a written pair, for a role to be assumed with it."""
    return lambda: Resolved(credentials=credentials.current())


def assumed_role(
    source: Resolve,
    *,
    role_arn: str,
    session_name: str,
    region: str,
    external_id: str = "",
    sts_endpoint: str = "",
) -> Resolve:
    """Return what asks STS for the credentials of a role.

    Args:
        source: who asks.
        role_arn: `arn:aws:iam::<account>:role/<name>`.
        session_name: appears in AWS's audit log.
        region: whose STS is asked.
        external_id: agreed on with the owner of the role, "" for none.
        sts_endpoint: in place of AWS's own, "" for that.
    """

    def resolve() -> Resolved:
        asking = source().credentials
        sts: Any = Session().create_client(
            "sts",
            region_name=region,
            endpoint_url=sts_endpoint or None,
            aws_access_key_id=asking.access_key,
            aws_secret_access_key=asking.secret_key,
            aws_session_token=asking.token,
            config=Config(
                connect_timeout=_STS_CONNECT_SECONDS,
                read_timeout=_STS_READ_SECONDS,
                retries={"total_max_attempts": 2},
            ),
        )
        outside = {"ExternalId": external_id} if external_id else {}
        try:
            answer = sts.assume_role(RoleArn=role_arn, RoleSessionName=session_name, **outside)
        finally:
            sts.close()
        given = answer["Credentials"]
        return Resolved(
            credentials=ReadOnlyCredentials(
                given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
            ),
            expires_at=given["Expiration"].timestamp(),
        )

    return resolve
