"""Bringing the schema up to date: numbered SQL files, each in a transaction, each once.

A file `schema/0007_words.sql` may begin with `-- min_reader: 5`: programs that know less than
version 5 must not use a database that has it. Without that line what was said before holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from bridge.store.errors import SchemaTooNew, StoreError
from bridge.store.pool import Cursor, Pool
from bridge.store.rows import many, none, one

_LOCK_NUMBER = 0x6169_6264_0010  # "aibd"; any number that nobody else uses

_LOCK = "SELECT pg_advisory_xact_lock(%s)"
_EXISTS = "SELECT to_regclass('aibridge_schema_version') IS NOT NULL"
_CREATE = """
CREATE TABLE IF NOT EXISTS aibridge_schema_version (
    version integer PRIMARY KEY,
    min_reader integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE aibridge_schema_version IS 'One row for each change of the schema.';
COMMENT ON COLUMN aibridge_schema_version.version IS 'Number of the file that made the change.';
COMMENT ON COLUMN aibridge_schema_version.min_reader IS
    'Programs that know no version from this on must not use the database.';
COMMENT ON COLUMN aibridge_schema_version.applied_at IS 'When it was made, UTC.';
"""
_APPLIED = "SELECT version, min_reader FROM aibridge_schema_version"
_RECORD = "INSERT INTO aibridge_schema_version (version, min_reader) VALUES (%s, %s)"
_SERVER = "SELECT current_setting('server_version'), pg_database_size(current_database())"

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")
_MIN_READER = re.compile(r"^-- min_reader: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFile:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def min_reader(self) -> int:
        """The least version that a program must know to use the database after it; 0 for any."""
        found = _MIN_READER.search(self.sql)
        return int(found.group(1)) if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStatus:
    """How the database and this program stand to each other."""

    program_version: int
    """The last change that this program knows."""
    database_version: int
    """The last change that was made; 0 for none."""
    min_reader: int
    """What a program must know; 0 for nothing."""
    pending: tuple[str, ...]
    """Names of the files that `migrate` would apply."""
    server_version: str
    database_bytes: int

    @property
    def too_new(self) -> bool:
        """Whether this program must not use the database."""
        return self.min_reader > self.program_version


def schema_files() -> tuple[SchemaFile, ...]:
    """Return the steps that this program knows, in order."""
    found = []
    for entry in resources.files("bridge.store").joinpath("schema").iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            sql = entry.read_text(encoding="utf-8")
            found.append(SchemaFile(version=int(match.group(1)), name=entry.name, sql=sql))
    return tuple(sorted(found, key=lambda file: file.version))


async def migrate(pool: Pool, files: tuple[SchemaFile, ...] | None = None) -> int:
    """Apply what is missing, and return how many files that were; any number may do so at once.

    Args:
        pool: connected; its user may create tables.
        files: the steps; None for this program's own.

    Raises:
        SchemaTooNew: a later program has been here and shut this one out.
        StoreUnavailable: not now.
        StoreError: a file fails; it has left no trace, and earlier ones are in force.
    """
    known = schema_files() if files is None else files
    count = 0
    for file in known:

        async def step(cursor: Cursor, file: SchemaFile = file) -> bool:
            await none(cursor, _LOCK, (_LOCK_NUMBER,))
            await none(cursor, _CREATE)
            applied = await _applied(cursor)
            _check(applied, known)
            if file.version in applied:
                return False
            await none(cursor, file.sql)
            least = max(file.min_reader, *applied.values(), 0)
            await none(cursor, _RECORD, (file.version, least))
            return True

        try:
            # However long it takes: a big table may have to be rewritten.
            count += await pool.transaction(step, statement_seconds=0)
        except SchemaTooNew:
            raise
        except StoreError as e:
            raise type(e)(f"The schema change {file.name} failed: {e}") from e
    return count


async def check_schema(pool: Pool) -> None:
    """Make sure that this program may use the database as it is.

    Raises:
        SchemaTooNew: a later program has been here and shut this one out.
        StoreError: changes are pending.
        StoreUnavailable: not now.
    """
    status = await schema_status(pool)
    if status.too_new:
        raise _too_new(status.database_version, status.min_reader, status.program_version)
    if status.pending:
        raise StoreError(
            f"The database lacks {len(status.pending)} schema changes of this version; "
            "run `aibridge db migrate`, or start the bridge."
        )


async def schema_status(pool: Pool, files: tuple[SchemaFile, ...] | None = None) -> SchemaStatus:
    """Return how the database stands, without changing it.

    Raises:
        StoreUnavailable: not now.
    """
    known = schema_files() if files is None else files

    async def ask(cursor: Cursor) -> SchemaStatus:
        (exists,) = await one(cursor, _EXISTS)
        applied = await _applied(cursor) if exists else {}
        server_version, size = await one(cursor, _SERVER)
        return SchemaStatus(
            program_version=_last(known),
            database_version=max(applied, default=0),
            min_reader=max(applied.values(), default=0),
            pending=tuple(file.name for file in known if file.version not in applied),
            server_version=server_version,
            database_bytes=size,
        )

    return await pool.transaction(ask, read_only=True)


async def _applied(cursor: Cursor) -> dict[int, int]:
    """Return the changes made, each with its min_reader."""
    return {version: least for version, least in await many(cursor, _APPLIED)}  # noqa: C416  # typed


def _check(applied: dict[int, int], known: tuple[SchemaFile, ...]) -> None:
    least = max(applied.values(), default=0)
    if least > _last(known):
        raise _too_new(max(applied), least, _last(known))


def _last(known: tuple[SchemaFile, ...]) -> int:
    return max((file.version for file in known), default=0)


def _too_new(database: int, least: int, program: int) -> SchemaTooNew:
    return SchemaTooNew(
        f"The database has schema {database}, which wants a program that knows {least}; this one "
        f"knows {program}. Use a later version of the bridge."
    )
