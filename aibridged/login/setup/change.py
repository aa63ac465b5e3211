"""A change of one file: read, edited as text, shown as a difference, written as a whole."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..failure import LoginError
from ..folders import remove_file, replace_file

_MAX_BYTES = 1024 * 1024
# Keys of gateways and providers, as far as they can be told by their looks.
_SECRET = re.compile(r"\b((?:ai[br]_|sk-|ghp_|gho_|xai-|AIza)[A-Za-z0-9]{0,4})[A-Za-z0-9_-]{8,}")


class UneditableError(ValueError):
    """A file can't be edited safely; the message says why."""


@dataclass(frozen=True)
class Change:
    """A file's text before and after; None where there is no file."""

    path: Path
    before: str | None
    after: str | None

    @property
    def is_one(self) -> bool:
        """Whether anything changes."""
        return self.before != self.after

    def shown(self) -> str:
        """The difference, with keys blanked."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(),
            (self.after or "").splitlines(),
            str(self.path) if self.before is not None else "(no file)",
            str(self.path) if self.after is not None else "(no file)",
            lineterm="",
        )
        return _SECRET.sub(r"\1***", "\n".join(lines))

    def make(self) -> None:
        """Write the file, through links and with the mode that it has.

        Raises:
            LoginError: it was changed since it was read, or can't be written.
        """
        if read(self.path) != self.before:
            raise LoginError(f"{self.path} was changed meanwhile", "Run the command again.")
        try:
            target = self.path.resolve()
            if self.after is None:
                remove_file(target)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            mode = target.stat().st_mode & 0o7777 if target.exists() else None
            replace_file(target, self.after.encode(), mode=mode)
        except PermissionError as error:
            raise LoginError(
                f"{error.filename or self.path}: {error.strerror}",
                "Run this as an administrator (sudo), or use --print and pass it on.",
            ) from None


def edited(path: Path, edit: Callable[[str], str], by_hand: str) -> Change:
    """The change that `edit` makes of a file's text ("" where there is none).

    Raises:
        LoginError: the file can't be read or edited: `by_hand` is what has to be added then.
    """
    before = read(path)
    try:
        return Change(path, before, edit(before or ""))
    except UneditableError as error:
        raise LoginError(
            f"{path}: {error}. Nothing was changed",
            "Mend the file, or add this by hand:",
            *by_hand.splitlines(),
        ) from None


def read(path: Path, most: int = _MAX_BYTES) -> str | None:
    """The text of a file, None where there is none; line ends as they are.

    Raises:
        LoginError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LoginError(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise LoginError(f"{path} is larger than {most // 1024} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise LoginError(f"{path} is not UTF-8", "Nothing was changed.") from None
