"""Journals of the workers of a group, whose records another process writes.

Each worker has one of its own, named after the id of its recorder. The lock on it, which the system
releases however the worker dies, tells that the recorder lives, and what it has open stays open. A
journal that isn't locked is left behind: the process that writes replays and removes it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from aibridged.config.private_file import open_private
from aibridged.records.facts import Fact
from aibridged.records.journal import JOURNAL_FILE, Journal
from aibridged.records.spool import SpoolError, is_in_use

_STEM, _SUFFIX = "worker-journal", ".jsonl"


def journal_path(state_dir: Path, recorder_id: int) -> Path:
    """The journal of a worker's recorder."""
    return state_dir / f"{_STEM}-{recorder_id}{_SUFFIX}"


class WorkerJournal(Journal):
    """The journal of a living recorder: locked as long as it is open."""

    def __init__(self, state_dir: Path, recorder_id: int) -> None:
        self.path = journal_path(state_dir, recorder_id)
        super().__init__(self.path)
        self._lock_file = -1

    def open(self) -> None:
        """Make, lock and allocate the file.

        Raises:
            SpoolError: it can't be.
        """
        try:
            self._lock_file = open_private(self.path, os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = os.path.samestat(os.fstat(self._lock_file), self.path.stat())
        except OSError as error:
            self.close()
            raise SpoolError(
                f"The journal {self.path} can't be made and locked: {error.strerror}."
            ) from None
        if not is_there:
            self.close()
            raise SpoolError(f"The journal {self.path} was taken for one that is left behind.")
        super().open()

    def close(self) -> None:
        """Close and unlock the file."""
        super().close()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def remove(self) -> None:
        """Remove the file: nothing in it is needed any more."""
        with suppress(OSError):
            self.path.unlink()


class JournalsElsewhere(Journal):
    """The journal of a recorder whose facts are in the journals of those who have sent them.

    `on_release` is told how many of them are kept, of all that were recorded; from any thread.
    """

    def __init__(self, on_release: Callable[[int], None]) -> None:
        super().__init__(Path(os.devnull))
        self._on_release = on_release

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def hold(self, facts: Sequence[Fact]) -> None:
        """Nothing to do."""

    def append(self, facts: Sequence[Fact]) -> None:
        """Nothing to do."""

    def release(self, count: int) -> None:
        """Tell that the first `count` facts are kept."""
        self._on_release(count)

    def read(self) -> Iterator[list[Fact]]:
        """None: see `left_behind`."""
        return iter(())

    def clear(self) -> None:
        """Nothing to do."""


def is_living(state_dir: Path, recorder_id: int) -> bool:
    """Whether the worker with this recorder holds its journal."""
    return _is_locked(journal_path(state_dir, recorder_id))


def have_living(state_dir: Path) -> bool:
    """Whether there is any worker of a group with this state directory."""
    return any(map(_is_locked, _worker_journals(state_dir)))


def left_behind(state_dir: Path) -> Sequence[Path]:
    """The journals of workers that are dead. Only for the holder of the state directory's lock."""
    return [path for path in _worker_journals(state_dir) if not _is_locked(path)]


def left_behind_before_group(state_dir: Path) -> Sequence[Path]:
    """The same for the writer process, with the journal of a daemon that had no workers."""
    alone = state_dir / JOURNAL_FILE
    return [*([alone] if alone.exists() else []), *left_behind(state_dir)]


def _worker_journals(state_dir: Path) -> Sequence[Path]:
    return sorted(state_dir.glob(f"{_STEM}-*{_SUFFIX}"))


def _is_locked(path: Path) -> bool:
    """Whether a process holds the file. Where it can't be told, one may."""
    try:
        return is_in_use(path)
    except OSError:
        return True
