"""The supervisor: opens the sockets, runs the workers, and replaces those that end unasked."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from bridge.deferreds import limited, run_in_background
from bridge.domain.clock import utc
from bridge.policy.shared_limits import SharedLimits, Total, map_shared, size_for
from bridge.recording.writer import Writer
from bridge.retention import Retention
from bridge.store.errors import StoreUnavailable
from bridge.telemetry.counts import Counts
from bridge.telemetry.metrics import Metrics
from bridge.workers.child import Child, Spawning
from bridge.workers.handing import pairs
from bridge.workers.messages import (
    BeginAnew,
    Flush,
    Flushed,
    FromWorker,
    Ping,
    Pulse,
    Ready,
    Reload,
    Reloaded,
    Stop,
    Stored,
)
from bridge.workers.sockets import Choice, Opened
from bridge.workers.together import together

PING_SECONDS = 1.0
FRESH_SECONDS = 1.0
"""How long a scrape waits for the workers to say how they are."""
SILENT_PINGS = 30
"""A worker that leaves so many unanswered is stuck, and is killed. Not seconds, of which many may
have passed when it was the parent who stood still."""
STARTING_PINGS = 120
RELOAD_SECONDS = 20.0
STEADY_SECONDS = 10.0
"""A worker that lived so long is replaced at once."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
FLUSH_SECONDS = 2.0

_log = structlog.get_logger("bridge.workers")


class _Place:
    """One worker's place: its sockets and numbers outlive the process that serves there."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.child: Child | None = None
        self.ready = False
        self.since = now
        self.unanswered = 0
        """Pings since it last said anything."""
        self.pulse: Pulse | None = None
        self.restarts = 0
        self.pause_seconds = 0.0
        self.restarting: IDelayedCall | None = None
        self.reloaded: Deferred[list[str]] | None = None

    @property
    def state(self) -> str:
        if self.child is None:
            return "starting"
        if self.child.stopping:
            return "stopping"
        if not self.ready:
            return "starting"
        return "not_ready" if self.pulse is not None and self.pulse.not_ready else "ready"


class Supervisor:
    """All workers of a bridge."""

    def __init__(self, *, processes: int, reactor: Any) -> None:
        """Get ready to run so many workers.

        Args:
            processes: how many.
            reactor: processes and time.

        Raises:
            OSError: there is no memory to share.
        """
        self.processes = processes
        self.spawning: Spawning | None = None
        """How a worker is started; set before `start`."""
        self._reactor = reactor
        self._places = [_Place(n, reactor.seconds()) for n in range(processes)]
        self._memory = _memory(size_for(processes))
        self._shared = SharedLimits(map_shared(self._memory, processes), processes=processes, me=0)
        self._choice = Choice([], self._shared)
        self._pairs = pairs(processes)
        self._opened: list[tuple[str, Opened]] = []
        self._address = ""
        self._stopping = False
        self._served: list[Deferred[None]] = []
        self._fresh: list[tuple[int, Deferred[None]]] = []
        self._pinged = 0
        self._reloads = DeferredLock()
        self._pings = LoopingCall(self._ping)
        self._pings.clock = reactor
        self._writer: Writer | None = None
        self._retention: Retention | None = None
        self._metrics: Metrics | None = None

    def start(
        self,
        opened: Sequence[tuple[str, Opened]],
        *,
        writer: Writer,
        retention: Retention,
        metrics: Metrics,
    ) -> None:
        """Run all workers, on these addresses.

        Args:
            opened: each with its description.
            writer: brings what they write down to the database.
            retention: knows what is too old to be shown.
            metrics: go on counting for workers that are gone.
        """
        self._opened = list(opened)
        self._writer, self._retention, self._metrics = writer, retention, metrics
        groups = [each.sockets[0] for _, each in opened if each.apart]
        self._choice = Choice(groups, self._shared)
        for place in self._places:
            self._shared.clear(place.number)
            self._spawn(place)
        self._pings.start(PING_SECONDS, now=False)

    def database_is(self, address: str) -> None:
        """Tell all workers where the database is; a secret."""
        self._address = address
        self._tell_all(Stored(address=address))

    async def served(self) -> None:
        """Come back when a worker serves clients."""
        if not any(place.ready for place in self._places):
            waiting: Deferred[None] = Deferred()
            self._served.append(waiting)
            await waiting

    async def reload(self) -> list[str]:
        """Have the workers read the configuration again, one after the other.

        Returns:
            What any of them could not use; it goes on as it was.
        """
        problems: list[str] = []
        await self._reloads.acquire()
        try:
            for place in self._places:
                if place.child is None or not place.ready or place.child.stopping:
                    continue  # it reads the file when it starts
                place.reloaded = Deferred()
                place.child.tell(Reload())
                try:
                    found = await limited(
                        place.reloaded, RELOAD_SECONDS, self._reactor, TimeoutError
                    )
                except TimeoutError:
                    found = ["it does not answer"]
                finally:
                    place.reloaded = None
                problems += [f"worker {place.number + 1}: {each}" for each in found]
        finally:
            self._reloads.release()
        return problems

    async def stop(self, drain_seconds: float) -> None:
        """Let nobody in, let what runs end, and come back when all workers are gone.

        Args:
            drain_seconds: what comes after that is killed.
        """
        self._stopping = True
        for _, each in self._opened:
            each.refuse()
        self._tell_all(Stop())
        for _, each in self._opened:
            each.close()
        for place in self._places:
            if place.restarting is not None and place.restarting.active():
                place.restarting.cancel()
        ends = [place.child.ended for place in self._places if place.child is not None]
        try:
            await limited(DeferredList(ends), drain_seconds, self._reactor, TimeoutError)
        except TimeoutError:
            for place in self._places:
                if place.child is not None:
                    _log.error("worker killed, it did not end", worker=place.number + 1)
                    place.child.kill()
        if self._pings.running:
            self._pings.stop()

    def begin_anew(self) -> Deferred[None]:
        """Have all workers finish the segments of their journals."""
        self._tell_all(BeginAnew())
        return Deferred.fromCoroutine(self.refreshed())

    def together(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parent's details with those of the workers."""
        details = together(own, [each.details for each in self._pulses()])
        details["worker_restarts"] = sum(place.restarts for place in self._places)
        details["workers"] = [
            {
                "number": place.number + 1,
                "pid": place.child.pid if place.child is not None else None,
                "state": place.state,
                "not_ready": place.pulse.not_ready if place.pulse is not None else None,
                "since": utc(place.since),
                "restarts": place.restarts,
                "requests_running": (
                    place.pulse.details["gateway"]["requests_running"] if place.pulse else 0
                ),
                "connections": int(count) if count < math.inf else 0,
            }
            for place, count in zip(self._places, self._shared.each(Total.CONNECTIONS), strict=True)
        ]
        if not details["ready"]:
            return details
        reason = self.not_ready()
        return {**details, "ready": reason is None, "not_ready": reason}

    def counts(self) -> Sequence[Counts]:
        """Return what the workers have counted."""
        return [each.counts for each in self._pulses()]

    def not_ready(self) -> str | None:
        """Return in a word why no worker should get requests; None when one should."""
        reasons = [
            (place.pulse.not_ready if place.pulse is not None else None)
            for place in self._places
            if place.ready
        ]
        if not reasons:
            return "starting"
        return None if None in reasons else reasons[0]

    async def refreshed(self) -> None:
        """Come back when the workers have said how they are now, or are too slow to."""
        if not any(place.ready for place in self._places):
            return
        self._ping()
        waiting: Deferred[None] = Deferred(lambda _: self._fresh.remove(entry))
        entry = (self._pinged, waiting)
        self._fresh.append(entry)
        try:
            await limited(waiting, FRESH_SECONDS, self._reactor, TimeoutError)
        except TimeoutError:
            _log.warning("workers are slow to say how they are")

    def _pulses(self) -> list[Pulse]:
        return [place.pulse for place in self._places if place.pulse is not None]

    def _pulsed(self, place: _Place, pulse: Pulse) -> None:
        place.pulse = pulse
        behind = min(
            (each.pulse.number for each in self._places if each.ready and each.pulse is not None),
            default=0,
        )
        for entry in [entry for entry in self._fresh if entry[0] <= behind]:
            self._fresh.remove(entry)
            entry[1].callback(None)

    def _spawn(self, place: _Place) -> None:
        place.restarting = None
        place.since = self._reactor.seconds()
        place.unanswered = 0
        place.ready = False
        assert self.spawning is not None  # noqa: S101 - set by who has wired us
        place.child = self.spawning.spawn(
            number=place.number,
            processes=self.processes,
            memory=self._memory,
            addresses=[
                (text, each.sockets[place.number], each.apart) for text, each in self._opened
            ],
            pairs=self._pairs,
            heard=lambda message: self._heard_of(place, message),
            ended=lambda reason: self._ended(place, reason),
        )
        if self._address:
            place.child.tell(Stored(address=self._address))

    def _heard_of(self, place: _Place, message: FromWorker) -> None:
        place.unanswered = 0
        match message:
            case Pulse():
                self._pulsed(place, message)
            case Ready():
                self._ready(place)
            case Flush(number=number):
                run_in_background("store for a worker", self._flush(place, number))
            case Reloaded(problems=problems):
                if place.reloaded is not None:
                    place.reloaded.callback(problems)

    def _ready(self, place: _Place) -> None:
        if place.ready:
            return
        place.ready = True
        pid = place.child.pid if place.child is not None else None
        _log.info("worker serves", worker=place.number + 1, pid=pid)
        served, self._served = self._served, []
        for each in served:
            each.callback(None)

    async def _flush(self, place: _Place, number: int) -> None:
        child = place.child
        assert self._writer is not None  # noqa: S101 - workers run after `start`
        try:
            await self._writer.flush(limit_seconds=FLUSH_SECONDS)
        except StoreUnavailable as error:
            _log.info("a worker's request finds only what is stored", reason=str(error))
        if child is not None:
            child.tell(Flushed(number=number))

    def _ended(self, place: _Place, reason: str) -> None:
        """Count for a worker that is gone, and have another in its place."""
        child, place.child, place.ready = place.child, None, False
        if place.pulse is not None and self._metrics is not None:
            self._metrics.add(place.pulse.counts)
        place.pulse = None
        self._shared.clear(place.number)
        self._choice.look()
        if place.reloaded is not None:
            place.reloaded.callback([])
        if self._stopping:
            return
        lived = self._reactor.seconds() - place.since
        steady = lived >= STEADY_SECONDS
        place.pause_seconds = (
            0.0
            if steady
            else min(max(place.pause_seconds * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        )
        place.restarts += 1
        _log.error(
            "worker ended",
            worker=place.number + 1,
            pid=child.pid if child is not None else None,
            reason=reason,
            restart_seconds=place.pause_seconds,
        )
        place.since = self._reactor.seconds()
        place.restarting = self._reactor.callLater(place.pause_seconds, self._spawn, place)

    def _ping(self) -> None:
        self._pinged += 1
        cutoff = self._retention.cutoff() if self._retention is not None else None
        for place in self._places:
            if place.child is None:
                continue
            place.child.tell(Ping(number=self._pinged, cutoff=cutoff))
            place.unanswered += 1
            patience = SILENT_PINGS if place.ready else STARTING_PINGS
            if place.unanswered > patience and not place.child.stopping:
                _log.error("worker killed, it does not answer", worker=place.number + 1)
                place.child.kill()

    def _tell_all(self, message: Any) -> None:
        for place in self._places:
            if place.child is not None:
                place.child.tell(message)


def _memory(size: int) -> int:
    """Return an open file of so many bytes in memory, which no path leads to."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("aibridge-limits")
    else:
        with tempfile.TemporaryFile() as holder:
            fd = os.dup(holder.fileno())
    os.ftruncate(fd, size)
    return fd
