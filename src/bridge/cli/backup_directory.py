"""The directory of a backup: what is in it, written so that half of one is never taken for whole.

**Shape**: `database.dump` (pg_dump's own format), `configuration.json` (as `aibridge config show
--json --given` prints it, secrets masked) and, written last, `manifest.json`. The directory is
0700, the files are 0600.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path

import msgspec

from bridge.domain.errors import BadRequest
from bridge.journal.files import open_private, private_directory, sync_directory

MANIFEST_NAME = "manifest.json"
DUMP_NAME = "database.dump"
CONFIGURATION_NAME = "configuration.json"
FORMAT = 1

_PIECE_BYTES = 1 << 20


class BackedUpFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    name: str
    bytes: int
    sha256: str
    """Hex."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is."""

    format: int
    """1 so far."""
    made_at: datetime
    """When it was begun, UTC: what was stored later is not in it."""
    replay_since: datetime
    """From here on the journals may hold records that are not in it."""
    bridge_version: str
    schema_version: int
    min_reader: int
    """A program that knows no schema from this on cannot use what is restored."""
    server_version: str
    files: tuple[BackedUpFile, ...]


def new_directory(path: Path) -> None:
    """Make the directory of a new backup.

    Raises:
        BadRequest: there is something in it, or it cannot be made.
    """
    try:
        private_directory(path)
        if any(path.iterdir()):
            raise BadRequest(f"{path} is not empty; name a directory that is, or is not there yet.")
    except OSError as e:
        raise BadRequest(f"{path} cannot be used: {e.strerror}.") from e


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read, and have it on the disk."""
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def finish(directory: Path, manifest: Manifest) -> None:
    """Write the manifest, which makes the backup one, when all else is on the disk."""
    for each in manifest.files:
        fd = os.open(directory / each.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    write_private(directory / MANIFEST_NAME, text + b"\n")
    sync_directory(directory)


def described(directory: Path, name: str) -> BackedUpFile:
    """Return name, size and checksum of a file."""
    digest = hashlib.sha256()
    size = 0
    with (directory / name).open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return BackedUpFile(name=name, bytes=size, sha256=digest.hexdigest())


def checked(directory: Path) -> Manifest:
    """Return the manifest of a backup whose files are all as they were written.

    Raises:
        BadRequest: it is none, of a later format, or damaged.
    """
    try:
        manifest = msgspec.json.decode((directory / MANIFEST_NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BadRequest(
            f"{directory} holds no finished backup: {MANIFEST_NAME} is missing."
        ) from None
    except (OSError, msgspec.MsgspecError) as e:
        raise BadRequest(f"{directory / MANIFEST_NAME} cannot be read: {e}.") from e
    if manifest.format != FORMAT:
        raise BadRequest(
            f"{directory} is of format {manifest.format}, and this version reads {FORMAT}."
        )
    if DUMP_NAME not in {each.name for each in manifest.files}:
        raise BadRequest(f"{directory} names no {DUMP_NAME}.")
    for each in manifest.files:
        if "/" in each.name or each.name in {"", ".", ".."}:
            raise BadRequest(f"{directory / MANIFEST_NAME} names a file elsewhere: {each.name!r}.")
        try:
            found = described(directory, each.name)
        except OSError as e:
            raise BadRequest(f"{directory / each.name} cannot be read: {e.strerror}.") from e
        if found != each:
            raise BadRequest(
                f"{directory / each.name} is damaged: it has {found.bytes} bytes with SHA-256 "
                f"{found.sha256}, not {each.bytes} with {each.sha256}."
            )
    return manifest
