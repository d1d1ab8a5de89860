"""What commands that change something have in common: who does it, and how times are shown."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from datetime import datetime

import msgspec

from bridge.administration import Administration
from bridge.auth.audit import change
from bridge.cli.session import Session
from bridge.domain.records import AuditRecorded

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
