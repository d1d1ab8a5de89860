"""What commands that change something have in common: who does it, and how times are shown."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import click
import msgspec

from bridge.administration import Administration
from bridge.auth.audit import Whose, change, read_of
from bridge.cli.session import Session
from bridge.config import options
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.domain.records import AuditRecorded
from bridge.telemetry.escape import visible

SOURCE = "command line"
"""What the audit log calls where a change came from."""


def changed(
    session: Session, action: str, *, target: str, detail: Mapping[str, object] | None = None
) -> AuditRecorded:
    """Return the record that whoever runs this command did `action` to `target`."""
    return change(
        action,
        target=target,
        now=session.reactor.seconds(),
        source=SOURCE,
        actor_name=who_runs_this(os.environ),
        detail=detail,
    )


def administration(session: Session) -> Administration:
    """Return what changes users and tokens in the name of whoever runs this command."""
    return Administration(
        pool=session.pool,
        audit=session.audit,
        clock=session.reactor,
        source=SOURCE,
        actor_name=who_runs_this(os.environ),
    )


async def ready_to_change(session: Session) -> None:
    """Make sure that a change could be recorded, before it is made.

    Raises:
        Unavailable: the journal takes no records; nothing was changed.
    """
    await session.audit(())


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Let what cannot be meant end a command as wrong usage, as it does over the API.

    Raises:
        UsageError: in place of BadRequest.
    """
    try:
        yield
    except BadRequest as error:
        if error.status != BadRequest.status:
            raise
        raise click.UsageError(str(error)) from error


def who_runs_this(environ: Mapping[str, str]) -> str:
    """Return the system's name for the user of this process, and who became it with sudo."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    by = environ.get("SUDO_USER", "")
    return f"{name} (sudo by {by[:64]})" if by and uid == 0 else name


def shown_time(at: datetime | None) -> str:
    """Return a time for a table, "" for none."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else ""


def shown_json(value: object) -> bytes:
    """Return `value` as readable JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def examples(*lines: str) -> str:
    """Return the end of a command's help: command lines to copy."""
    # The first character keeps click from filling the paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def cutoff_of(session: Session) -> datetime | None:
    """Return the moment before which records are not there any more; None for none."""
    retention = session.settings[options.RETENTION]
    return utc(session.reactor.seconds()) - timedelta(seconds=retention) if retention else None


async def audit_reading(
    session: Session, *, target: str, users: Sequence[Whose], detail: Mapping[str, object]
) -> None:
    """Write down that others' content is about to be shown; what cannot be is not shown.

    Raises:
        Unavailable: the journal takes no records.
    """
    told = {**detail, **read_of(users)}
    await session.audit([changed(session, "content.read", target=target, detail=told)])


async def audit_list(
    session: Session,
    shown: Sequence[tuple[object, Whose]],
    *,
    what: str,
    detail: Mapping[str, object],
) -> None:
    """Write down that a list of others' content is about to be shown; an empty one leaves no trace.

    Args:
        session: of the command.
        shown: the id of each thing with content, and whose it is.
        what: what the things are called.
        detail: what was searched for.

    Raises:
        Unavailable: the journal takes no records.
    """
    if shown:
        ends = {"first": str(shown[0][0]), "last": str(shown[-1][0])}
        await audit_reading(
            session,
            target=f"{len(shown)} {what}",
            users=[whose for _, whose in shown],
            detail={**detail, **ends},
        )


def print_json(value: object) -> None:
    """Print `value` as readable JSON that no terminal takes for orders.

    The characters that JSON leaves as they are and terminals act on (C1 controls, bidi overrides,
    invisible ones) are written as escapes, which mean the same to whoever reads the JSON.
    """
    click.echo(harmless_json(shown_json(value).decode()))


def harmless_json(text: str) -> str:
    r"""Return the JSON `text` with `\uXXXX` for what is not visible."""
    return _NOT_PLAIN.sub(lambda found: _shown_in_json(found.group()), text)


_NOT_PLAIN = re.compile(r"[^\n\x20-\x7e]")


def _shown_in_json(character: str) -> str:
    return character if visible(character) else _json_escape(character)


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
