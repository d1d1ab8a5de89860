"""Changes of what is recorded, in the audit log: who reads it later knows what could be there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog

from bridge.auth.audit import change
from bridge.config import options, recording
from bridge.config.settings import Settings
from bridge.domain.errors import Unavailable
from bridge.domain.records import Record
from bridge.whole_file import write_whole

FILE = "recording.json"
"""In the data directory: what was in force last, so that a change by a restart is noticed too."""
ACTION = "recording.change"

_log = structlog.get_logger("bridge.recording")


def note_recording(
    *,
    started: Settings,
    read: Settings,
    data_dir: Path,
    append: Callable[[list[Record]], object],
    now: float,
    source: str,
) -> None:
    """Write down what is recorded from now on, if it is not what it was.

    Args:
        started: the settings of the start.
        read: those read last, of which what can be reloaded is in force now.
        data_dir: where it is kept.
        append: the journal's.
        now: seconds since the epoch.
        source: `start` or `reload`.
    """
    path = data_dir / FILE
    after = _in_force(started, read)
    before = _last(path)
    if after == before:
        return
    row = change(
        ACTION,
        target="configuration",
        now=now,
        source=source,
        detail={"before": before, "after": after},
    )
    try:
        append([row])
        write_whole(path, msgspec.json.encode(after))
    except (Unavailable, OSError) as error:
        # The next start or reload finds the same difference.
        _log.warning("a change of what is recorded is not in the audit log", reason=str(error))


def _in_force(started: Settings, read: Settings) -> Mapping[str, str]:
    """Return what decides what is recorded and for how long, where it is not the default."""
    found: dict[str, str] = {}
    for option in (options.RETENTION, *recording.ALL):
        value = (read if option.reloadable else started)[option]
        if value != option.default:
            found[option.path] = option.kind.show(value)
    for provider in read.providers:
        for content, level in provider.record.items():
            found[f"aibridge.providers.{provider.name}.record.{content}"] = level
    return found


def _last(path: Path) -> Mapping[str, str]:
    """Return what was in force last; the defaults, which are nothing, when nobody knows."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("what was recorded before is not known", reason=str(error))
        return {}
