"""How the bridge is: whether it should get requests, and the details for who operates it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.auth.directory import TokenDirectory
from bridge.bodies import BodyMemory
from bridge.config import options
from bridge.config.settings import Settings
from bridge.database import Database
from bridge.domain.clock import Clock, utc
from bridge.intercept.interceptor import Interceptor
from bridge.journal.appender import Journal
from bridge.policy.admission import Admission
from bridge.policy.breaker import CircuitBreakers, NoBreakers
from bridge.policy.keyring import KeyHealth
from bridge.recording.refusals import Refusals
from bridge.recording.siem import SiemFollower
from bridge.recording.writer import Writer
from bridge.store.followers import Followers
from bridge.telemetry.logs import LogStreams
from bridge.telemetry.redact import redacted_text
from bridge.web.requests import Upstream


class Status:
    """Asks the parts."""

    def __init__(
        self,
        *,
        settings: Settings,
        siem: SiemFollower | None,
        followers: Followers,
        upstreams: Callable[[], Sequence[Upstream]],
        breakers: CircuitBreakers | NoBreakers,
        version: str,
        database: Database,
        journal: Journal,
        writer: Writer,
        directory: TokenDirectory,
        admission: Admission,
        interceptor: Interceptor,
        memory: BodyMemory,
        refusals: Refusals,
        streams: LogStreams,
        clock: Clock,
    ) -> None:
        """Keep the parts."""
        self._settings = settings
        self._siem = siem
        self._followers = followers
        self._upstreams = upstreams
        self._breakers = breakers
        self._version = version
        self._database = database
        self._journal = journal
        self._writer = writer
        self._directory = directory
        self._admission = admission
        self._interceptor = interceptor
        self._memory = memory
        self._refusals = refusals
        self._streams = streams
        self._clock = clock
        self._started = clock.seconds()

    def not_ready(self) -> str | None:
        """Return in a word why no requests should be sent here; None when they should.

        The database's being away is no reason: requests go on without it.
        """
        if self._admission.draining:
            return "draining"
        if not self._journal.accepting:
            return "journal"
        if not self._directory.ready:
            return "starting"
        return None

    def details(self) -> dict[str, Any]:
        """Return everything an operator may want to know, as JSON has it."""
        return {
            "version": self._version,
            "ready": self.not_ready() is None,
            "not_ready": self.not_ready(),
            "uptime_seconds": round(self._clock.seconds() - self._started, 1),
            "gateway": {
                "enabled": self._settings[options.ENABLED],
                "requests_running": self._interceptor.running,
                "request_body_bytes": self._memory.used_bytes,
                "refusals_not_recorded": self._refusals.lost,
            },
            "database": {
                "kind": "embedded" if self._database.embedded else "external",
                "connected": self._database.connected,
                "problem": self._database.problem,
            },
            "journal": self._journal.status(),
            "writer": self._writer.status(),
            "siem": self._siem.status() if self._siem is not None else None,
            "search": {"pending": self._followers.search.pending},
            "tokens": {
                "known": self._directory.count,
                "confirmed_at": (
                    utc(self._directory.confirmed_at)
                    if self._directory.confirmed_at is not None
                    else None
                ),
            },
            "providers": [
                {
                    "name": each.provider.name,
                    "type": each.type,
                    "own_keys_only": not each.provider.credentials,
                    "keys": [
                        _key(health, credential.hint)
                        for health, credential in zip(
                            each.place.keyring.health(), each.provider.credentials, strict=True
                        )
                    ],
                }
                for each in self._upstreams()
            ],
            "circuit_breakers": [
                {
                    "provider": each.circuit.provider,
                    "endpoint": each.circuit.route,
                    "model": redacted_text(each.circuit.model),
                    "state": each.state,
                    "since": utc(each.since),
                    "seconds_left": round(each.seconds_left, 1),
                }
                for each in self._breakers.states()
            ],
            "logs": {"lines_lost": self._streams.lost},
        }


def _key(health: KeyHealth, hint: str) -> Mapping[str, Any]:
    """Return how a key is; the provider's hint is the newest, of keys that are renewed."""
    left = health.seconds_left
    return {
        "hint": hint,
        "state": health.state,
        "since": utc(health.since),
        "seconds_left": round(left, 1) if left is not None else None,
        "answered_at": utc(health.answered_at) if health.answered_at is not None else None,
    }
