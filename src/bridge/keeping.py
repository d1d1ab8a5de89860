"""Keeping: what stores records, and what gives them up again, as it is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from twisted.internet.threads import deferToThreadPool

from bridge.config import options, recording
from bridge.config.settings import Settings
from bridge.content_passes import ContentPasses
from bridge.database import Database
from bridge.part import Journals
from bridge.recording.scrub import scrub
from bridge.recording.writer import Writer
from bridge.retention import Retention
from bridge.store.writes import write_batch


def keep_seconds(settings: Settings) -> float:
    """Return how long the journal keeps what is stored: never longer than the database."""
    keep: float = settings[options.JOURNAL_KEEP]
    limits = (settings[options.RETENTION], settings[recording.CONTENT_RETENTION])
    return min(keep, *(limit for limit in limits if limit)) if any(limits) else keep


def storage(
    settings: Settings,
    reactor: Any,
    database: Database,
    root: Path,
    *,
    blanked: Callable[[int], object],
) -> tuple[Writer, Retention, Callable[[Journals], None]]:
    """Return what stores records and what gives them up, and what wants to know the journals.

    `blanked` is told of how many interceptions the content was blanked.
    """
    retention: Retention
    parts: list[Journals] = []

    async def scrubbed(erased: Mapping[UUID, str]) -> int:
        for journal in parts:
            if (begun := journal.begin_anew()) is not None:
                await begun
        # Only what is stored may be written anew.
        await writer.flush()
        return await scrub(
            root=root,
            pool=database,
            erased=erased,
            in_thread=lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work),
        )

    def cutoff() -> datetime | None:
        return retention.cutoff()

    # Each needs the other's word: what is too old to be stored, and what to purge.
    writer = Writer(
        journal_root=root,
        pool=database,
        write_batch=write_batch,
        reactor=reactor,
        log=structlog.get_logger("bridge.writer"),
        cutoff=cutoff,
        keep_seconds=keep_seconds(settings),
    )
    retention = Retention(
        pool=database,
        retention_seconds=settings[options.RETENTION],
        reactor=reactor,
        log=structlog.get_logger("bridge.retention"),
        journal_purge=writer.purge,
        content=ContentPasses(
            pool=database,
            content_seconds=settings[recording.CONTENT_RETENTION],
            clock=reactor,
            log=structlog.get_logger("bridge.content"),
            scrub=scrubbed,
            blanked=blanked,
        ),
    )
    return writer, retention, parts.append
