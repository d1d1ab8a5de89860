"""Which bridge this is: its version, and the commit it was made from."""

from __future__ import annotations

import configparser
import subprocess
from importlib import metadata
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_COMMIT_FILE = _HERE / "commit.txt"
"""Written into what is built or packed, never into a checkout; see setup.py."""
_CHECKOUT = _HERE.parent.parent
_SECONDS = 5.0


def version_text() -> str:
    """Return `0.1.0 (commit abcdef1)`.

    Changes that are not committed are named; without a trace of a commit it is `unknown commit`.
    """
    return f"{_version()} ({_commit()})"


def _version() -> str:
    if _in_checkout():
        # What an editable installation once noted may be older than the files that run.
        declared = configparser.ConfigParser()
        declared.read(_CHECKOUT / "setup.cfg", "utf-8")
        return declared.get("metadata", "version")
    try:
        return metadata.version("aibridge")
    except metadata.PackageNotFoundError:
        return "unknown version"


def _commit() -> str:
    try:
        return f"commit {_COMMIT_FILE.read_text('utf-8').strip()}"
    except OSError:
        described = _described_by_git() if _in_checkout() else ""
    if not described:
        return "unknown commit"
    commit, changed, _ = described.partition("+")
    return f"commit {commit}{changed and ' with changes'}"


def _in_checkout() -> bool:
    """Say whether this file lies in the project's own tree, not merely below some other one."""
    return (_CHECKOUT / ".git").exists() and (_CHECKOUT / "setup.cfg").exists()


def _described_by_git() -> str:
    """Return `abcdef1`, `abcdef1+` with changes, "" when git does not say."""
    command = ["git", "-C", str(_CHECKOUT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        answer = subprocess.run(  # noqa: S603  # constants and our own path
            command, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
