"""Starting and stopping a bridge: what comes before what, and how long each step may take."""

from __future__ import annotations

import errno
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from bridge.assembly import Bridge
from bridge.auth.bootstrap import FirstStart, bootstrap
from bridge.config import options
from bridge.config.settings import Settings
from bridge.deferreds import limited, run_in_background
from bridge.demo.process import DemoProcess
from bridge.domain.errors import BridgeError, Overloaded, Unauthenticated
from bridge.domain.identity import Actor
from bridge.large_pages import use_large_pages
from bridge.listening import close_port, is_inherited
from bridge.periodic import Periodic
from bridge.recording.refusals import WINDOW_SECONDS
from bridge.recording_changes import note_recording
from bridge.reload import Reloaded, reload
from bridge.store.errors import StoreError
from bridge.store.identity import create_first
from bridge.upstreams import close_upstreams, start_upstreams

_log = structlog.get_logger("bridge")

REVOCATION_SECONDS = 15.0
"""How often live answers are checked against the tokens; a revocation closes them soon after."""
CROSSING_SECONDS = 1.0
"""How long a connection on which nothing runs is kept for a request that is on its way."""
_ABORT_SECONDS = 5.0
_FLUSH_SECONDS = 10.0
_STEP_SECONDS = 10.0
_DATABASE_STOP_SECONDS = 45.0
_COLLECTOR = (50_000, 20, 100)
# All of these and limits.drain together stay below TimeoutStopSec in etc/aibridge.service.


class StartFailed(Exception):  # noqa: N818  # it is told to a person, not caught as an error
    """The bridge cannot run as it is configured; the message says what to do."""


class Lifecycle:
    """Runs one bridge from its first to its last moment."""

    def __init__(
        self,
        *,
        bridge: Bridge,
        on_ready: Callable[[FirstStart | None], object],
        on_failure: Callable[[StartFailed], object],
    ) -> None:
        """Run `bridge`.

        Args:
            bridge: assembled, not started.
            on_ready: called once, when requests are served and recorded in the database.
            on_failure: called when the start has failed for good.
        """
        self._bridge = bridge
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._ports: list[IListeningPort] = []
        self._operations_ports: list[IListeningPort] = []
        self._bringing_up: Deferred[object] | None = None
        self._stopping = False
        self._shut_out = True
        self._inherited: list[IListeningPort] = []
        clock = bridge.reactor
        self._periodic = (
            Periodic(
                name="write refusals",
                seconds=WINDOW_SECONDS,
                work=bridge.refusals.flush,
                clock=clock,
            ),
            Periodic(
                name="end revoked answers",
                seconds=REVOCATION_SECONDS,
                work=self._end_revoked,
                clock=clock,
            ),
        )

    @property
    def addresses(self) -> Sequence[tuple[str, Any]]:
        """The addresses on which clients are served, as (scheme, IAddress)."""
        descriptions = self._bridge.settings[options.LISTEN]
        return [
            ("https" if text.startswith(("ssl:", "tls:")) else "http", port.getHost())
            for text, port in zip(descriptions, self._ports, strict=False)
        ]

    def start(self) -> None:
        """Listen at once, and do the rest in the background.

        Raises:
            StartFailed: an address cannot be listened on.
        """
        bridge = self._bridge
        if not bridge.part.is_worker:
            bridge.writer.start()
            note_recording(
                started=bridge.settings,
                read=bridge.settings,
                data_dir=bridge.data_dir,
                append=bridge.journal.append,
                now=bridge.reactor.seconds(),
                source="start",
            )
        start_upstreams(bridge.gateway.upstreams)
        # Whom the last run knew is served while the database is being started.
        bridge.directory.load_snapshot()
        self.serve_clients()
        operations = bridge.settings[options.OPERATIONS_LISTEN]
        if operations and not bridge.part.is_worker:
            self._operations_ports.append(
                self._listen("operations_listen", operations, bridge.operations)
            )
        for each in self._periodic:
            each.start(now=False)
        bridge.directory.changed.append(self._revoke)
        self._bringing_up = run_in_background("start", self._bring_up())

    def serve_clients(self) -> None:
        """Listen on the addresses for clients.

        Raises:
            StartFailed: one of them cannot be listened on.
        """
        for description in self._bridge.settings[options.LISTEN]:
            self._ports.append(self._listen("listen", description, self._bridge.site))

    async def clients_served(self) -> None:
        """Come back when clients are served, which is at once where they are served here."""

    async def drain_clients(self) -> None:
        """Close the addresses for clients, and let running answers end."""
        await self._stop_listening(self._ports)
        await self._drain()

    def reload(self, settings: Settings) -> Reloaded:
        """Put a changed configuration in force, without dropping a stream."""
        if self._bridge.siem is not None:
            self._bridge.siem.reopen()
        return reload(self._bridge, settings)

    def reloaded(self, *, succeeded: bool) -> None:
        """Count a reload."""
        self._bridge.metrics.reloaded(succeeded=succeeded)

    async def stop(self) -> None:
        """Let running answers end, write down what there is, and stop everything in order."""
        bridge = self._bridge
        self._stopping = True
        bridge.admission.draining = bridge.site.draining = True
        _log.info("stopping", running=bridge.interceptor.running)
        await self.drain_clients()
        await self._stop_listening(self._operations_ports)
        for each in self._periodic:
            await _step("stop periodic work", each.stop(), bridge.reactor)
        bridge.refusals.close()
        if bridge.database.connected and not bridge.part.is_worker:
            await _step("store the last records", bridge.writer.flush(), bridge.reactor)
        for name, work in (
            ("stop the writer", bridge.writer.stop()),
            ("stop following tokens", bridge.directory.stop()),
            ("stop the followers", bridge.followers.stop()),
            ("stop the retention", bridge.retention.stop()),
            ("close connections to providers", close_upstreams(bridge.gateway.upstreams)),
            ("close the journal", _as_awaitable(bridge.journal.close())),
        ):
            await _step(name, work, bridge.reactor)
        if bridge.siem is not None:
            await _step("stop telling the SIEM", bridge.siem.stop(), bridge.reactor)
        if isinstance(bridge.demo, DemoProcess):
            await _step("stop the demo provider", bridge.demo.stop(), bridge.reactor)
        await _step(
            "stop the database", bridge.database.stop(), bridge.reactor, _DATABASE_STOP_SECONDS
        )
        _log.info("stopped")

    async def _bring_up(self) -> None:
        bridge = self._bridge
        try:
            await self._start_demo()
            await bridge.database.start()
            if self._stopping:
                return
            first = None if bridge.part.is_worker else await self._first_start()
            await bridge.directory.start()
            if not bridge.part.is_worker:
                self._begin_work()
            await self.clients_served()
        except CancelledError:
            raise
        except (StoreError, OSError) as error:
            if not self._stopping:
                self._on_failure(StartFailed(_sentence(error)))
            return
        _collect_rarely()
        self._on_ready(first)

    def _begin_work(self) -> None:
        """Do what one process does for all."""
        bridge = self._bridge
        bridge.followers.start()
        bridge.retention.start()
        if bridge.siem is not None:
            bridge.siem.start()

    async def _start_demo(self) -> None:
        if not isinstance(self._bridge.demo, DemoProcess):
            return
        try:
            await self._bridge.demo.start()
        except (BridgeError, OSError) as error:
            # Its requests are answered 502; nobody else's are worse for it.
            _log.error("demo provider not started", reason=_sentence(error))

    async def _first_start(self) -> FirstStart | None:
        bridge = self._bridge
        first = await bootstrap(
            data_dir=bridge.data_dir,
            now=bridge.reactor.seconds(),
            default_lifetime=bridge.settings[options.TOKEN_DEFAULT_LIFETIME],
            max_lifetime=bridge.settings[options.TOKEN_MAX_LIFETIME],
            create=lambda user, tokens, save: bridge.database.transaction(
                lambda cursor: create_first(cursor, user, tokens, save)
            ),
        )
        if first is not None:
            bridge.journal.append(first.records)
        return first

    def _listen(
        self, option: str, description: str, factory: Any, reactor: Any = None
    ) -> IListeningPort:
        """Listen; `reactor` is what ports are asked of, None for ours."""
        found: list[Any] = []
        try:
            endpoint = serverFromString(reactor or self._bridge.reactor, description)
            endpoint.listen(factory).addBoth(found.append)
        except LookupError as error:
            msg = (
                f"{option}: systemd has not handed over the socket of {description}; enable "
                "aibridge.socket, and begin with index=0."
            )
            raise StartFailed(msg) from error
        except (ValueError, TypeError, OSError, ImportError) as error:
            msg = f"{option}: {description!r} is not an address to listen on: {error}."
            raise StartFailed(msg) from error
        if not found:
            msg = f"{option}: {description!r} does not begin to listen at once."
            raise StartFailed(msg)
        if isinstance(found[0], Failure):
            reason = getattr(found[0].value, "socketError", found[0].value)
            msg = f"{option}: cannot listen on {description}: {_sentence(reason)}"
            if isinstance(reason, OSError) and reason.errno == errno.EADDRINUSE:
                msg += "; stop what uses it, perhaps another bridge, or choose another address"
            raise StartFailed(msg)
        port: IListeningPort = found[0]
        if is_inherited(description):
            self._inherited.append(port)
        return port

    def _revoke(self) -> None:
        run_in_background("end revoked answers", self._end_revoked())

    async def _end_revoked(self) -> None:
        bridge = self._bridge
        now = bridge.reactor.seconds()

        def revoked(actor: Actor) -> bool:
            return not bridge.directory.valid(actor, now)

        error = Unauthenticated("The token that this request came with is no longer good.")
        ended = bridge.interceptor.abort(error, which=revoked)
        if ended:
            _log.info("answers of revoked tokens ended", count=ended)

    async def _stop_listening(self, ports: Sequence[IListeningPort]) -> None:
        reactor = self._bridge.reactor
        for port in ports:
            # Who comes to an inherited socket meanwhile waits there for our successor.
            shut_out = self._shut_out and port not in self._inherited
            closing = close_port(port, reactor, shut_out=shut_out)
            await _step("stop listening", closing, reactor)

    async def _drain(self) -> None:
        """Serve the connections that there are: what runs, and one more request on each.

        No connection is made any more, so whoever is connecting goes to another bridge. A request
        that was on its way on a kept connection is answered like any other, and that connection
        ends with it.
        """
        bridge, seconds = self._bridge, self._bridge.settings[options.DRAIN]
        crossing = min(seconds, CROSSING_SECONDS)
        if seconds and not await _within(bridge.site.empty(), crossing, bridge.reactor):
            await _within(bridge.interceptor.idle(), seconds - crossing, bridge.reactor)
        bridge.admission.closed = True
        if not bridge.interceptor.running:
            return
        error = Overloaded("The bridge is restarting (limits.drain).", retry_after=1.0)
        ended = bridge.interceptor.abort(error, which=lambda _: True)
        _log.warning("answers cut because the bridge stops", count=ended)
        await _within(bridge.interceptor.idle(), _ABORT_SECONDS, bridge.reactor)


def reload_on_hangup(work: Callable[[], object], reactor: Any) -> None:
    """Call `work` in the reactor at every SIGHUP."""
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(work))


def _collect_rarely() -> None:
    """Spare what the start has made, which stays, from every later collection of garbage.

    A request makes a few hundred objects, nearly all freed by counting. With Python's defaults the
    collector would look for cycles at every second or third request, and now and then at all
    modules: a tenth of the processor time, and pauses that clients feel. It goes into large pages.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)
    use_large_pages()


async def _step(
    name: str, work: Awaitable[object], reactor: Any, seconds: float = _STEP_SECONDS
) -> None:
    """Do one step of the stop; whatever becomes of it, the next one follows."""

    async def done() -> None:
        await work

    try:
        await limited(
            Deferred.fromCoroutine(done()), seconds, reactor, lambda: TimeoutError("too slow")
        )
    except Exception as error:  # noqa: BLE001  # the database must still be stopped
        _log.warning("step of the stop failed", step=name, reason=_sentence(error))


async def _within(work: Deferred[None], seconds: float, reactor: Any) -> bool:
    """Wait for `work`, at most `seconds`, and say whether it came."""
    try:
        await limited(work, seconds, reactor, TimeoutError)
    except TimeoutError:
        return False
    return True


async def _as_awaitable(work: object) -> None:
    if isinstance(work, Deferred):
        await work


def _sentence(error: BaseException | None) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{os.strerror(error.errno)}" + (f": {error.filename}" if error.filename else "")
    return str(error) or type(error).__name__
