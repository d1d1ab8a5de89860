"""The tokens' digests on disk, so that a restart without the database still knows everybody.

**Shape** of the file: `aibridge-tokens-1 <sha256 hex of the rest>` LF, then one JSON object
`{"confirmed_at", "issued": {"version", "tokens": [...]}}`. It holds no token's value.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from bridge.domain.tokens import IssuedTokens

_MAGIC = b"aibridge-tokens-1"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens, and when the database last said that this is all there is."""

    confirmed_at: float
    """Seconds since the epoch."""
    issued: IssuedTokens


class SnapshotUnusable(Exception):  # noqa: N818  (a state of the file, not a fault of the caller)
    """The file is there but says nothing that can be trusted."""


def load_snapshot(path: Path) -> Snapshot | None:
    """Read the file at `path`; None when there is none.

    Raises:
        SnapshotUnusable: it cannot be read, was cut or altered, or is of another version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotUnusable(f"it cannot be read: {error.strerror}") from error
    head, _, body = data.partition(b"\n")
    if head != _head(body):
        raise SnapshotUnusable("it was cut or altered, or is of another version")
    try:
        return msgspec.json.decode(body, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise SnapshotUnusable("its content is not what this version writes") from error


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write the file at `path`; at any moment, also after a power cut, one whole version is there.

    Raises:
        OSError: it cannot be written; the previous one stays.
    """
    body = msgspec.json.encode(snapshot)
    write_private(path, _head(body) + b"\n" + body)


def write_private(path: Path, data: bytes) -> None:
    """Put `data` into a file that only its owner can read, whatever the umask, or leave all as is.

    Raises:
        OSError: it cannot be written.
    """
    # Processes that share a directory must not write into each other's unfinished file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o600)
            file.write(data)
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _head(body: bytes) -> bytes:
    return _MAGIC + b" " + hashlib.sha256(body).hexdigest().encode()
