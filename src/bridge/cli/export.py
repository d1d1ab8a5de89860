"""`aibridge export`: interceptions with everything that belongs to them, into a file."""

from __future__ import annotations

import gc
import itertools
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from bridge.cli.administration import audit_reading, cutoff_of, examples, harmless_json
from bridge.cli.resuming import resume_point
from bridge.cli.searching import Search, moment_text, searching
from bridge.cli.session import Session, run_with_store
from bridge.cli.sources import Source, reading
from bridge.domain.errors import BadRequest, InvalidRequest
from bridge.store.export import HEADINGS, Export, Format
from bridge.store.export_pages import Pages, expected_rows
from bridge.store.filters import RUNNING
from bridge.store.threaded import Readers
from bridge.telemetry.escape import printable
from bridge.web.management_export import within

_PRIVATE = 0o600
_PATH = "/export"
_CONNECTIONS = 2
"""The database makes so many pages at once."""
_SYNC_BYTES = 64 << 20
"""After so much the disk is told to take it, so that little is left in the end, or in memory."""
_AHEAD = 4
"""Pages in the making or in memory; must exceed _CONNECTIONS, so that none waits for the disk."""


@click.command(
    "export",
    epilog=examples(
        "aibridge export --from 2026-11-01 --to 2026-11-30 --output november.jsonl",
        "aibridge export --from 7d --initiator alice --format csv --output alice.csv",
        "aibridge export --output all.jsonl --resume",
        "aibridge export --url https://bridge.example --from 1d | gzip > yesterday.jsonl.gz",
    ),
)
@searching(when=False)
@click.option("--from", "begin", metavar="TIME", help="RFC 3339, a day (UTC), or how long ago: 7d.")
@click.option("--to", "end", metavar="TIME", help="Until then; a day is inclusive.")
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in Format]),
    default=Format.JSONL.value,
    show_default=True,
    help="JSON Lines with everything, or CSV with a record for each.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A new file; standard output when left out.",
)
@click.option("--resume", is_flag=True, help="Go on with a FILE that was not finished.")
@reading
def command(
    source: Source,
    /,
    *,
    search: Search,
    begin: str | None,
    end: str | None,
    form: str,
    output: Path | None,
    resume: bool,
) -> None:
    """Write interceptions with everything that belongs to them, oldest first.

    An export that was interrupted goes on with --resume and the same other options; the file is
    then the same as if it had been written in one go. In CSV, what a spreadsheet would take for a
    formula has a ' before it. The export is written to the audit log.
    """
    if resume and output is None:
        raise click.UsageError("--resume needs --output: the file that is to be gone on with.")
    if search.filter.status == RUNNING:
        raise click.UsageError("What has not ended cannot be exported.")
    form_ = Format(form)
    span = (moment_text(begin or "", days=False), moment_text(end or "", days=False))
    try:
        wanted = within(search.filter, *span)
    except InvalidRequest as error:
        first = error.validations[0]
        raise click.UsageError(f"--{first.field}: {first.detail}") from error
    try:
        with _opened(output, form_, resume=resume) as writing:
            if source.remote is not None:
                _remote(source, writing, search, span)
                return
            export_options: dict[str, Any] = {"format": form_, "after_id": writing.after_id}
            detail = {
                "q": search.shown, "from": span[0], "to": span[1],
                "format": form, "after": str(writing.after_id or ""),
            }  # fmt: skip

            async def work(session: Session) -> None:
                export = Export(
                    wanted, visible_to=None, cutoff=cutoff_of(session), **export_options
                )
                told = {name: value for name, value in detail.items() if value}
                await audit_reading(session, target="export", users=(), detail=told)
                if writing.watched:
                    writing.expect(
                        await session.pool.transaction(
                            lambda cursor: expected_rows(
                                cursor,
                                wanted,
                                after_id=writing.after_id,
                                visible_to=None,
                                cutoff=cutoff_of(session),
                            ),
                            read_only=True,
                        )
                    )
                await _direct(session, export, writing)

            run_with_store(source.configuration.settings, work)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = output if output is not None else "standard output"
        raise click.ClickException(f"{where}: {os.strerror(error.errno or 0)}.") from error


class Writing:
    """Where an export is written, and how far it is."""

    def __init__(self, descriptor: int, form: Format, *, after_id: UUID | None) -> None:
        """Write to `descriptor`; go on behind `after_id`."""
        self.form = form
        self.after_id = after_id
        self._descriptor = descriptor
        self._terminal = os.isatty(descriptor)
        self._bar: Any = None

    @property
    def regular(self) -> bool:
        """Whether it is a file on a disk."""
        return stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def sync(self) -> None:
        """Have the disk take what has been written, and forget it.

        Nobody reads it soon: it would drive out of memory what the database reads, and memory that
        has just been used is filled again in half the time.
        """
        os.fdatasync(self._descriptor)
        with suppress(OSError):  # it is advice
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def heading(self) -> None:
        """Write what an export begins with, unless it goes on."""
        if self.after_id is None:
            self.write(HEADINGS[self.form].encode(), rows=0)

    def write(self, data: bytes, *, rows: int) -> None:
        """Write all of `data`."""
        if self._terminal:
            data = self._harmless(data)
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        if self._bar is not None and rows:
            if self._bar.length is not None and self._bar.pos + rows > self._bar.length:
                self._bar.length = None  # there are more than was thought
            self._bar.update(rows)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show people at a terminal how far it is."""
        if self._terminal or not sys.stderr.isatty():
            yield
            return
        unknown = itertools.takewhile(bool, (False,))
        with click.progressbar(
            unknown, label="Interceptions", show_pos=True, file=sys.stderr
        ) as self._bar:
            yield

    @property
    def watched(self) -> bool:
        """Whether somebody sees how far it is."""
        return self._bar is not None

    def expect(self, rows: int | None) -> None:
        """Show how far it is of about so many; None when nobody knows."""
        if self._bar is not None:
            self._bar.length = rows

    def _harmless(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "replace")
        if self.form is Format.JSONL:
            return harmless_json(text).encode()
        return "".join(f"{printable(line)}\n" for line in text.splitlines()).encode()


@contextmanager
def _opened(path: Path | None, form: Format, *, resume: bool) -> Iterator[Writing]:
    """Open the file, cut back to what is whole of it; it is safe on the disk in the end."""
    if path is None:
        sys.stdout.flush()
        writing = Writing(1, form, after_id=None)
        with writing.shown():
            yield writing
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if resume else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, _PRIVATE)
    except FileExistsError as error:
        msg = f"{path} is there already; go on with it by --resume, or name another."
        raise click.ClickException(msg) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadRequest(f"{path} is no regular file.")
        size, after_id = resume_point(path, form) if resume else (0, None)
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, 0, os.SEEK_END)
        writing = Writing(descriptor, form, after_id=after_id)
        try:
            with writing.shown():
                yield writing
        finally:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _direct(session: Session, export: Export, writing: Writing) -> None:
    """Write page after page; the next ones are made while one is written."""
    gc.freeze()  # what is there stays, and is not looked through again and again
    readers = Readers(
        dsn=session.dsn,
        reactor=session.reactor,
        size=_CONNECTIONS,
        statement_seconds=session.pool.statement_seconds,
    )
    pages = Pages(readers, export, ahead=_AHEAD)
    syncing: Deferred[None] | None = None
    written = 0
    try:
        writing.heading()
        while (page := await pages.next()) is not None:
            writing.write(page.data, rows=page.rows)
            written += len(page.data)
            if writing.regular and written >= _SYNC_BYTES:
                before, syncing = syncing, None
                if before is not None:
                    await before
                syncing = deferToThreadPool(
                    session.reactor, session.reactor.getThreadPool(), writing.sync
                )
                written = 0
    finally:
        try:
            if syncing is not None:
                await syncing
        finally:
            await pages.close()
            await readers.close()


def _remote(source: Source, writing: Writing, search: Search, span: tuple[str, str]) -> None:
    assert source.remote is not None  # noqa: S101 - our caller asked
    params = {
        "format": writing.form.value,
        "from": span[0],
        "to": span[1],
        "q": search.q,
        "after": str(writing.after_id or ""),
    }
    given = {name: value for name, value in params.items() if value}
    with source.remote.stream(_PATH, given) as (_, pieces):
        for piece in pieces:
            rows = piece.count(b"\n") if writing.form is Format.JSONL else piece.count(b"\r\n")
            writing.write(piece, rows=rows)
