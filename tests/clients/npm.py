"""Clients from npm, by exact version, each installed once into a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.bridge_process import ROOT

CACHE = ROOT / ".clients"
NEEDED = ("node", "npm", "git")
INSTALL_SECONDS = 600.0

_UNREACHABLE = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT"
)
_FLAGS = (
    *("--no-save", "--no-audit", "--no-fund", "--loglevel=error"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=120000"),
)


class Unavailable(Exception):  # noqa: N818  # reads as a sentence
    """Something that is needed to install a client is not here; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A client as npm knows it."""

    name: str
    version: str
    command: str

    @property
    def specification(self) -> str:
        """What npm is told."""
        return f"{self.name}@{self.version}"


def installed(package: Package) -> Path:
    """Return the path of the command, installed now if it has not been before.

    Raises:
        Unavailable: a program is missing, or npm cannot reach its registry.
        AssertionError: npm failed for another reason, e.g. there is no such version.
    """
    found = _attempted(package)
    if isinstance(found, Unavailable):
        raise found
    return found


def node_version() -> str:
    """Return the version of the Node that runs them."""
    return subprocess.check_output(["node", "--version"], text=True).strip()


@cache  # a registry that cannot be reached is not asked again for every test
def _attempted(package: Package) -> Path | Unavailable:
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        return Unavailable(f"not installed here: {', '.join(missing)}")
    home = CACHE / package.specification.replace("/", "+")
    command = home / "node_modules" / ".bin" / package.command
    if not command.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="installing-") as directory:
            fresh = Path(directory) / "client"
            fresh.mkdir()
            try:
                _install(package, fresh)
            except Unavailable as e:
                return e
            if home.exists():
                shutil.rmtree(home)
            fresh.rename(home)  # only what is complete ever has this name
    return command


def _install(package: Package, directory: Path) -> None:
    (directory / "package.json").write_text('{"private": true}')
    ended = subprocess.run(
        ["npm", "install", *_FLAGS, package.specification],
        cwd=directory,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    unreachable = _UNREACHABLE.search(ended.stdout)
    if ended.returncode != 0 and unreachable is not None:
        raise Unavailable(f"npm cannot reach its registry: {unreachable[0]}")
    assert ended.returncode == 0, f"npm install {package.specification}: {ended.stdout}"
