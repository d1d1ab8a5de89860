"""Where an embedded cluster lives, and as which system user its server runs.

**Shape** of its home: `cluster/` and `run/` (the socket), both 0700 and the server's; `lock`,
`password`, `superuser-password` and `postgres.log`, all 0600; with root also `program/`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from bridge.store.errors import StoreError

SYSTEM_ROOT = Path("/var/lib/aibridge")
"""Homes of servers that root starts; a data directory may be where nobody else can go."""
USUAL_USERS = ("postgres", "nobody")
LONGEST_SOCKET_DIRECTORY = 86
"""Bytes; with `/.s.PGSQL.5432` the path of a socket stays under 100 (the kernel takes 107)."""

_HOME_NAME = "postgres"
_WHERE_NAME = "location"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Home and user of a server."""

    home: Path
    uid: int
    """Of the server."""
    gid: int
    keeper_uid: int
    """Of the home, the lock and the password."""
    keeper_gid: int
    private_copy: bool
    """Whether the server runs from a copy of the programs in its home."""

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own directory."""
        return self.home / "cluster"

    @property
    def run(self) -> Path:
        """Directory of the socket."""
        return self.home / "run"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home / "postgres.log"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the server."""
        return self.home / "lock"


def find_place(data_dir: Path, run_as: str, *, system_root: Path = SYSTEM_ROOT) -> Place:
    """Return where the cluster of `data_dir` is or will be, and make the directories.

    Args:
        data_dir: the bridge's.
        run_as: system user of the server when we are root; "" for the usual.
        system_root: where root keeps homes.

    Raises:
        StoreError: there is no suitable user, or a directory is not ours.
    """
    data_dir = data_dir.absolute()
    inside = data_dir / _HOME_NAME
    try:
        if os.geteuid() != 0:
            return _own_place(inside, run_as)
        owner = _owner_of(inside / "cluster")
        if owner is not None and owner[0] != 0:
            # A service user made it; root, at the command line, must not begin another one.
            uid, gid = owner
            return Place(
                home=inside, uid=uid, gid=gid, keeper_uid=uid, keeper_gid=gid, private_copy=False
            )
        place = _system_place(data_dir, inside, run_as, system_root)
        _make_directories(place)
    except PermissionError as e:
        raise StoreError(
            f"The embedded database in {inside} belongs to somebody else: {e.strerror}; "
            "run this as the user that runs the bridge."
        ) from e
    return place


def short_socket_directory(run: Path) -> Path:
    """Return `run`, or a symbolic link to it where the path of a socket would be too long.

    Raises:
        StoreError: there is no name left for the link.
    """
    if len(os.fsencode(run)) <= LONGEST_SOCKET_DIRECTORY:
        return run
    digest = hashlib.sha256(os.fsencode(run)).hexdigest()[:12]
    for n in range(16):
        # In a sticky directory nobody else can replace a link that is ours.
        link = Path("/tmp") / f"aibridge-{digest}-{os.geteuid()}-{n}"  # noqa: S108
        try:
            link.symlink_to(run)
        except FileExistsError:
            found = link.lstat()
            if found.st_uid != os.geteuid() or not link.is_symlink() or link.readlink() != run:
                continue
        return link
    raise StoreError(f"No short name could be made for the socket directory {run}.")


def _own_place(home: Path, run_as: str) -> Place:
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise StoreError(
            f"The embedded database cannot run as user id {uid}, which has no entry in "
            "/etc/passwd; add one, or set `database` to an address."
        ) from None
    if run_as not in {"", name}:
        raise StoreError(f"run_as: only root can run the database as {run_as}; this is {name}.")
    place = Place(home=home, uid=uid, gid=gid, keeper_uid=uid, keeper_gid=gid, private_copy=False)
    _make_directories(place)
    return place


def _system_place(data_dir: Path, inside: Path, run_as: str, system_root: Path) -> Place:
    user = _system_user(run_as)
    if not system_root.exists():
        system_root.mkdir(parents=True)
        system_root.chmod(0o755)
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    home = system_root / digest
    inside.mkdir(mode=0o700, parents=True, exist_ok=True)
    where = inside / _WHERE_NAME
    if not where.exists():
        where.touch(mode=0o600)
        where.chmod(0o600)
        where.write_text(f"{home}\n", encoding="utf-8")
    return Place(
        home=home,
        uid=user.pw_uid,
        gid=user.pw_gid,
        keeper_uid=0,
        keeper_gid=user.pw_gid,
        private_copy=True,
    )


def _system_user(run_as: str) -> pwd.struct_passwd:
    for name in (run_as,) if run_as else USUAL_USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if user.pw_uid == 0:
            raise StoreError("run_as: PostgreSQL refuses to run as root; name another user.")
        return user
    wanted = run_as or " or ".join(USUAL_USERS)
    raise StoreError(
        f"run_as: there is no system user {wanted} as whom the embedded database could run; "
        "PostgreSQL refuses to run as root."
    )


def _make_directories(place: Place) -> None:
    # The server's user may pass through a home that is root's, and cannot put anything into it.
    mode = 0o750 if place.keeper_uid != place.uid else 0o700
    _make_directory(place.home, mode, place.keeper_uid, place.keeper_gid)
    _make_directory(place.run, 0o700, place.uid, place.gid)


def _make_directory(path: Path, mode: int, uid: int, gid: int) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if path.is_symlink():
        raise StoreError(f"{path} must be a directory, not a symbolic link.")
    if (found.st_uid, found.st_gid) != (uid, gid) and os.geteuid() == 0:
        os.chown(path, uid, gid)
    path.chmod(mode)


def _owner_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_uid, found.st_gid
