"""The wiring: from settings to parts that know each other, and nothing started yet.

Only this floor reads the settings; everything below gets plain values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from twisted.internet.threads import deferToThreadPool
from twisted.web.server import Site

from bridge.administration import Lifetimes, administration_by
from bridge.auth.directory import TokenDirectory
from bridge.bodies import BodyMemory
from bridge.config import options
from bridge.config.settings import Settings
from bridge.database import Database, Patient
from bridge.demo.process import DemoAddress, DemoProcess
from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.interface import Dialect
from bridge.dialects.messages.dialect import Messages
from bridge.dialects.responses.dialect import Responses
from bridge.domain.clock import utc
from bridge.domain.interception import Api, Ending, Interception
from bridge.domain.tokens import IssuedTokens
from bridge.intercept.interceptor import Interceptor
from bridge.journal.appender import Journal, open_journal
from bridge.journal.files import DiskFiles
from bridge.keeping import keep_seconds, storage
from bridge.limits import body_memory, reading_limits, relay_limits, site_limits
from bridge.pages.building import build_pages
from bridge.part import Part
from bridge.policy.admission import Admission
from bridge.policy.breaker import CircuitBreakers, NoBreakers
from bridge.policy.stored_objects import StoredObjects
from bridge.privacy import level_rules, redaction_from
from bridge.recording.levels import LevelsInForce
from bridge.recording.recorder import Recorder
from bridge.recording.redaction import Redaction
from bridge.recording.refusals import Refusals
from bridge.recording.siem import SiemFollower
from bridge.recording.structured_log import StructuredLog
from bridge.recording.writer import Writer
from bridge.retention import Retention
from bridge.scraping import scraping
from bridge.siem import build_siem
from bridge.status import Status
from bridge.store.followers import Followers
from bridge.store.identity import CHANNEL, issued_tokens
from bridge.storing import fsync_of, makers_in
from bridge.telemetry.logs import LogStreams
from bridge.telemetry.metrics import Metrics
from bridge.upstreams import build_breakers, build_upstreams
from bridge.version import version_text
from bridge.web.addresses import ClientAddresses
from bridge.web.gateway import Gateway
from bridge.web.management import Management
from bridge.web.operations import Operations
from bridge.web.root import Root, RootGate
from bridge.web.site import BridgeSite

T = TypeVar("T")

JOURNAL_DIRECTORY = "journal"
SNAPSHOT_FILE = "tokens.snapshot"
DIALECTS: dict[Api, Dialect] = {
    Api.MESSAGES: Messages(),
    Api.CHAT_COMPLETIONS: ChatCompletions(),
    Api.RESPONSES: Responses(),
}
_ENDED_TOKENS_SECONDS = 90 * 86400.0
_WHOLE = Part()
# How long the holder of an ended token is still told what happened to it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """All parts of a bridge, for who starts and stops them in order."""

    settings: Settings
    part: Part
    reactor: Any
    streams: LogStreams
    data_dir: Path
    journal: Journal
    database: Database
    writer: Writer
    followers: Followers
    retention: Retention
    siem: SiemFollower | None
    directory: TokenDirectory
    admission: Admission
    interceptor: Interceptor
    refusals: Refusals
    redaction: Redaction | None
    levels: LevelsInForce
    metrics: Metrics
    status: Status
    gateway: Gateway
    breakers: CircuitBreakers | NoBreakers
    demo: DemoProcess | DemoAddress | None
    site: BridgeSite
    operations: Site


def assemble(
    settings: Settings,
    *,
    reactor: Any,
    streams: LogStreams,
    data_dir: Path,
    part: Part = _WHOLE,
) -> Bridge:
    """Wire a bridge.

    Args:
        settings: what was configured, checked.
        reactor: for everything.
        streams: the open logs.
        data_dir: exists, and only we can enter it.
        part: what the process is among several.

    Raises:
        Unavailable: the journal cannot be opened.
        OSError: likewise.
    """
    database = Database(
        address=settings[options.DATABASE_ADDRESS],
        data_dir=data_dir,
        run_as=settings[options.RUN_AS],
        statement_seconds=settings[options.STATEMENT],
        reactor=reactor,
        log=structlog.get_logger("bridge.database"),
        server=part.server,
    )
    asked = Patient(database, questions=True)
    metrics = Metrics(
        names=settings[options.METRICS_NAMES],
        user_label=settings[options.METRICS_USER_LABEL],
        clock=reactor,
    )
    root = data_dir / JOURNAL_DIRECTORY
    writer, retention, scrubbing = storage(
        settings, reactor, database, root, blanked=metrics.blanked
    )
    journal = open_journal(
        root=root,
        fsync=fsync_of(settings),
        max_bytes=settings[options.JOURNAL_MAX_BYTES],
        segment_bytes=settings[options.JOURNAL_SEGMENT_BYTES],
        keep_seconds=keep_seconds(settings),
        reactor=reactor,
        log=structlog.get_logger("bridge.journal"),
        on_append=None if part.is_worker else writer.notify,
        files=metrics.timed(DiskFiles()),
    )
    scrubbing(journal)
    writer.store_after(journal.on_disk)
    if part.journals is not None:
        scrubbing(part.journals)
        if fsync_of(settings) != "never":
            writer.force_others_to_disk(journal.directory)
    directory = _directory(settings, reactor, database, data_dir)
    admission = Admission(
        max_concurrency=settings[options.MAX_CONCURRENCY],
        rate_limit=settings[options.RATE_LIMIT],
        max_streams_per_user=settings[options.MAX_STREAMS_PER_USER],
        clock=reactor,
        recording=lambda: journal.accepting,
        shared=part.shared,
    )
    refusals = Refusals(append=metrics.counting_refusals(journal.append), clock=reactor)
    interceptor = Interceptor(
        clock=reactor, limits=relay_limits(settings), reading_limits=reading_limits(settings)
    )
    demo = part.demo if part.is_worker else _demo(settings, reactor)
    breakers = build_breakers(settings, clock=reactor, metrics=metrics)
    upstreams = build_upstreams(
        settings,
        reactor=reactor,
        data_dir=data_dir,
        demo=demo,
        breakers=breakers,
        metrics=metrics,
    )
    redaction = redaction_from(settings, partial(reactor.callFromThread, metrics.redacted))
    levels = LevelsInForce(level_rules(settings))
    stored = StoredObjects(makers=makers_in(Patient(database), part.stored))
    trusted = settings[options.TRUSTED_PROXIES]
    addresses = ClientAddresses(behind_proxy=settings[options.BEHIND_PROXY], trusted=trusted)
    memory = BodyMemory(limit_bytes=body_memory(settings, part.processes))
    gateway = Gateway(
        upstreams=upstreams,
        dialects=DIALECTS,
        directory=directory,
        allow_byok=settings[options.ALLOW_BYOK],
        enabled=settings[options.ENABLED],
        max_body_bytes=settings[options.MAX_BODY],
        admission=admission,
        recorder=_recorder(settings, reactor, streams, journal, stored, metrics, levels, redaction),
        refusals=refusals,
        interceptor=interceptor,
        reactor=reactor,
        addresses=addresses,
        stored=stored,
    )
    siem = None if part.is_worker else build_siem(settings, database=database, reactor=reactor)
    log = structlog.get_logger("bridge.followers")
    followers = Followers(pool=database, reactor=reactor, log=log)
    status = Status(
        settings=settings,
        siem=siem,
        followers=followers,
        upstreams=lambda: gateway.upstreams,
        breakers=breakers,
        version=version_text(),
        database=database,
        journal=journal,
        writer=writer,
        directory=directory,
        admission=admission,
        interceptor=interceptor,
        memory=memory,
        refusals=refusals,
        streams=streams,
        clock=reactor,
    )
    administration = administration_by(
        pool=asked, append=journal.append, durable=journal.durable, clock=reactor
    )
    lifetimes = Lifetimes(
        default=settings[options.TOKEN_DEFAULT_LIFETIME],
        longest=settings[options.TOKEN_MAX_LIFETIME],
    )
    management = Management(
        directory=directory,
        pool=asked,
        cutoff=retention.cutoff,
        append=journal.append,
        refusals=refusals,
        not_ready=status.not_ready,
        clock=reactor,
        addresses=addresses,
        administration=administration,
        lifetimes=lifetimes,
        client_stall=settings[options.CLIENT_STALL],
    )
    pages = build_pages(
        directory=directory,
        access=management.access,
        pacing=management.pacing,
        pool=asked,
        append=journal.append,
        durable=journal.durable,
        refusals=refusals,
        details=status.details,
        cutoff=retention.cutoff,
        reactor=reactor,
        addresses=addresses,
        behind_proxy=bool(settings[options.BEHIND_PROXY] or trusted),
        administration=administration,
        lifetimes=lifetimes,
        shared=part.shared,
    )

    details = status.details
    if part.together is not None:
        together = part.together
        details = lambda: together(status.details())  # noqa: E731
    operations = Operations(
        details=details,
        not_ready=lambda: status.not_ready() or part.not_ready(),
        metrics=scraping(metrics, details=details, part=part, reactor=reactor),
    ).site()
    return Bridge(
        settings=settings,
        part=part,
        reactor=reactor,
        streams=streams,
        data_dir=data_dir,
        journal=journal,
        database=database,
        writer=writer,
        followers=followers,
        retention=retention,
        siem=siem,
        directory=directory,
        admission=admission,
        interceptor=interceptor,
        refusals=refusals,
        redaction=redaction,
        levels=levels,
        metrics=metrics,
        status=status,
        gateway=gateway,
        breakers=breakers,
        demo=demo,
        site=BridgeSite(
            resource=Root(gateway=gateway, management=management.app, pages=pages.app),
            gate=RootGate(gateway=gateway),
            memory=memory,
            limits=site_limits(settings, part.processes),
            reactor=reactor,
        ),
        operations=operations,
    )


def _directory(
    settings: Settings, reactor: Any, database: Database, data_dir: Path
) -> TokenDirectory:
    async def load(known_version: int) -> IssuedTokens | None:
        since = utc(reactor.seconds() - _ENDED_TOKENS_SECONDS)
        return await database.transaction(
            lambda cursor: issued_tokens(cursor, known_version, since), read_only=True
        )

    def in_thread(work: Callable[[], T]) -> Awaitable[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return TokenDirectory(
        snapshot=data_dir / SNAPSHOT_FILE,
        loader=load,
        reactor=reactor,
        log=structlog.get_logger("bridge.tokens"),
        offline_grace=settings[options.OFFLINE_GRACE],
        in_thread=in_thread,
        subscribe=lambda callback: database.listen(CHANNEL, callback),
    )


def _recorder(
    settings: Settings,
    reactor: Any,
    streams: LogStreams,
    journal: Journal,
    stored: StoredObjects,
    metrics: Metrics,
    levels: LevelsInForce,
    redaction: Redaction | None,
) -> Recorder:
    def ended(interception: Interception, ending: Ending) -> None:
        if interception.stores and ending.response_id:
            stored.note(interception.actor.id, interception.provider_name, ending.response_id)

    return Recorder(
        journal=journal,
        levels=levels,
        clock=reactor,
        log=(StructuredLog(log=streams.records) if settings[options.STRUCTURED_LOGGING] else None),
        on_end=ended,
        counting=metrics,
        redaction=redaction,
        in_thread=partial(deferToThreadPool, reactor, reactor.getThreadPool()),
    )


def _demo(settings: Settings, reactor: Any) -> DemoProcess | None:
    if not settings[options.ENABLED] or all(each.type != "demo" for each in settings.providers):
        return None
    return DemoProcess(reactor=reactor, log=structlog.get_logger("bridge.demo"))
