"""Puts the manual, the completions and the systemd units into the wheel, where systems look."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMPLETIONS = {
    "aibridged.bash": "share/bash-completion/completions/aibridged",
    "_aibridged": "share/zsh/site-functions/_aibridged",
    "aibridged.fish": "share/fish/vendor_completions.d/aibridged.fish",
}


class SharedFiles(BuildHookInterface[Any]):
    """Collects the files for every wheel, so that none has to be listed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["shared_data"].update(shared_files(Path(self.root)))


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
