"""Notes in whatever is built or packed which commit it was made from; the rest is setup.cfg."""

from __future__ import annotations

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
NOTE = Path("bridge", "commit.txt")


def commit() -> str:
    """Return the commit of this checkout or of the packed source; "" when nobody knows."""
    packed = HERE / "src" / NOTE
    if packed.exists():
        return packed.read_text("utf-8").strip()
    if not (HERE / ".git").exists():
        return ""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty= with changes"]
    try:
        answer = subprocess.run(  # noqa: S603  # constants and our own path
            [*command, "--exclude=*"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def note(package_root: Path) -> None:
    """Write the commit beside the code below `package_root`."""
    found = commit()
    if found:
        (package_root / NOTE).write_text(found + "\n", "utf-8")


class BuildWithCommit(build_py):
    """Copies the code and notes the commit; an editable installation copies and notes nothing."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            note(Path(self.build_lib))


class PackWithCommit(sdist):
    """Packs the source and notes the commit, because no .git goes with it."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Pack."""
        super().make_release_tree(base_dir, files)
        note(Path(base_dir, "src"))


setup(cmdclass={"build_py": BuildWithCommit, "sdist": PackWithCommit})
