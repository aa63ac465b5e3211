"""Puts the manual, the completions and the systemd units into the wheel, where systems look.

And into the wheel and the source archive the commit that they are built of: of the variable
AIBRIDGED_COMMIT, of the checkout, or of the source archive that a wheel is built of.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMPLETIONS = {
    "aibridged.bash": "share/bash-completion/completions/aibridged",
    "_aibridged": "share/zsh/site-functions/_aibridged",
    "aibridged.fish": "share/fish/vendor_completions.d/aibridged.fish",
}


COMMIT = "aibridged/commit.txt"


class SharedFiles(BuildHookInterface[Any]):
    """Collects the files for every wheel, so that none has to be listed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable":
            return
        if self.target_name == "wheel":
            build_data["shared_data"].update(shared_files(root))
        if commit := commit_of(root):
            self._folder = tempfile.TemporaryDirectory()
            file = Path(self._folder.name, "commit.txt")
            file.write_text(f"{commit}\n", encoding="ascii")
            build_data["force_include"][str(file)] = COMMIT


def commit_of(root: Path) -> str | None:
    """The abbreviated commit of a source tree, with `-dirty` for one that was changed."""
    if told := os.environ.get("AIBRIDGED_COMMIT"):
        return told
    if (root / ".git").exists():
        describe = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty"]
        done = subprocess.run([*describe, "--abbrev=12"], capture_output=True, text=True)
        return done.stdout.strip() or None
    file = root / COMMIT
    return file.read_text(encoding="ascii").strip() if file.exists() else None


def shared_files(root: Path) -> dict[str, str]:
    """Each file of the source tree that goes below the prefix of an installation, and where."""
    manual = {
        page: f"share/man/man{page.suffix[1:]}/{page.name}" for page in root.glob("man/*.[1-8]")
    }
    completions = {file: _COMPLETIONS[file.name] for file in root.glob("completions/*aibridged*")}
    units = {
        unit: f"lib/systemd/system/{unit.name}"
        for kind in ("service", "socket")
        for unit in root.glob(f"packaging/systemd/*.{kind}")
    }
    return {str(file): place for file, place in (manual | completions | units).items()}
