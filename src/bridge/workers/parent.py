"""The parent's life: it serves nobody itself, opens the addresses, and has workers serve them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.assembly import assemble
from bridge.auth.bootstrap import FirstStart
from bridge.config import options
from bridge.config.settings import Settings
from bridge.demo.process import DemoProcess
from bridge.lifecycle import Lifecycle, StartFailed
from bridge.part import Part
from bridge.telemetry.logs import LogStreams
from bridge.workers.child import Spawning
from bridge.workers.sockets import Opened, Opening
from bridge.workers.supervisor import Supervisor

AFTER_DRAIN_SECONDS = 30.0
"""What a worker may take, after limits.drain, to write down and close everything."""


class ParentLifecycle(Lifecycle):
    """Runs everything but the serving of clients."""

    def __init__(self, *, workers: Supervisor, **parts: Any) -> None:
        """Have `workers` serve; be given the rest as a Lifecycle is."""
        super().__init__(**parts)
        self._workers = workers

    def serve_clients(self) -> None:
        """Open all addresses, and start the workers.

        Raises:
            StartFailed: an address cannot be had.
        """
        bridge = self._bridge
        opening = Opening(bridge.reactor, processes=self._workers.processes)
        opened: list[tuple[str, Opened]] = []
        for description in bridge.settings[options.LISTEN]:
            port: Any = self._listen("listen", description, bridge.site, opening)
            self._ports.append(port)
            opened.append((description, port))
        self._workers.start(
            opened, writer=bridge.writer, retention=bridge.retention, metrics=bridge.metrics
        )

    async def clients_served(self) -> None:
        """Tell the workers of the database, and come back when one of them serves."""
        self._workers.database_is(self._bridge.database.address)
        await self._workers.served()

    async def drain_clients(self) -> None:
        """Have all workers drain and end."""
        drain = self._bridge.settings[options.DRAIN]
        await self._workers.stop(drain + AFTER_DRAIN_SECONDS)
        self._ports.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """How the parent was started, and a worker is to be."""

    directory: str
    config: str
    """The configuration file; "" for none."""
    flags: Mapping[str, str]
    log_human: str
    environ: Mapping[str, str]


def parent_of_workers(
    settings: Settings,
    *,
    processes: int,
    reactor: Any,
    streams: LogStreams,
    data_dir: Path,
    started: Started,
    on_ready: Callable[[FirstStart | None], object],
    on_failure: Callable[[StartFailed], object],
) -> tuple[ParentLifecycle, Supervisor]:
    """Wire a bridge whose clients are served by so many workers; nothing is started yet.

    Raises:
        Unavailable: the journal cannot be opened.
        OSError: likewise, or there is no memory.
    """
    workers = Supervisor(processes=processes, reactor=reactor)
    bridge = assemble(
        settings,
        reactor=reactor,
        streams=streams,
        data_dir=data_dir,
        part=Part(
            journals=workers,
            together=workers.together,
            counts=workers.counts,
            not_ready=workers.not_ready,
            refreshed=workers.refreshed,
        ),
    )
    workers.spawning = Spawning(
        reactor=reactor,
        environ=started.environ,
        directory=started.directory,
        config=started.config,
        flags=started.flags,
        data_dir=data_dir,
        log_human=started.log_human,
        demo=bridge.demo if isinstance(bridge.demo, DemoProcess) else None,
    )
    lifecycle = ParentLifecycle(
        workers=workers, bridge=bridge, on_ready=on_ready, on_failure=on_failure
    )
    return lifecycle, workers
