"""The SIEM's follower, built from the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.threads import deferToThreadPool

from bridge.config import options
from bridge.config.settings import Settings
from bridge.database import Database
from bridge.recording.event_file import EventFile
from bridge.recording.siem import SiemFollower


def build_siem(settings: Settings, *, database: Database, reactor: Any) -> SiemFollower | None:
    """Return the follower, not started; None when no file is configured.

    Args:
        settings: what was configured.
        database: where the records are.
        reactor: time and threads.
    """
    path = settings[options.SIEM_FILE]
    if not path:
        return None

    def in_thread(work: Callable[[], None]) -> Awaitable[None]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return SiemFollower(
        pool=database,
        # A daemon changes its directory.
        events=EventFile(Path(path).absolute()),
        content=settings[options.SIEM_CONTENT],
        in_thread=in_thread,
        reactor=reactor,
        log=structlog.get_logger("bridge.siem"),
    )
