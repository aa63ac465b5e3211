"""What `setup` has changed, and what was there before: in aibridged's own folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..failure import LoginError
from ..folders import private_folder, remove_file, replace_file
from .change import Change, read

_MAX_BYTES = 16 * 1024 * 1024


class Journal:
    """The changes for one agent: path, text before, and a digest of the text that was written."""

    def __init__(self, folder: Path, agent: str) -> None:
        self._folder = folder / "setup"
        self._path = self._folder / f"{agent}.json"

    def keep(self, change: Change) -> None:
        """Keep what is there before a change; what an earlier one of ours left doesn't count."""
        entries = self._entries()
        known = entries.get(str(change.path))
        is_ours = known is not None and known["after"] == _digest(change.before)
        before = known["before"] if known is not None and is_ours else change.before
        entries[str(change.path)] = {"before": before, "after": _digest(change.after)}
        private_folder(self._folder)
        replace_file(self._path, json.dumps(entries, indent=2).encode())

    def reverse(self, *, is_sure: bool) -> list[Change]:
        """The changes back.

        Raises:
            LoginError: `is_sure`, nobody is asked, and a file holds later changes of others.
        """
        changes = []
        for name, entry in self._entries().items():
            now = read(Path(name))
            if is_sure and _digest(now) not in (entry["after"], _digest(entry["before"])):
                raise LoginError(
                    f"{name} was changed since, and that would be lost",
                    "Look at the difference without --yes, or edit it by hand.",
                )
            changes.append(Change(Path(name), now, entry["before"]))
        return changes

    def forget(self) -> None:
        """Forget what was kept: it is restored."""
        remove_file(self._path)

    def _entries(self) -> dict[str, dict[str, Any]]:
        text = read(self._path, _MAX_BYTES)
        if text is None:
            return {}
        try:
            entries = json.loads(text)
            for entry in entries.values():
                if not isinstance(entry["before"], str | None) or not isinstance(
                    entry["after"], str
                ):
                    raise TypeError
        except (AttributeError, KeyError, TypeError, ValueError):
            raise LoginError(f"{self._path} is damaged", "Remove it.") from None
        return dict(entries)


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()
