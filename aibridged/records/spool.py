"""The spool: a write-ahead file of facts in JSON Lines, while the database is unavailable.

A line is on disk when `append` returns. Facts have ids, so replaying a line twice writes nothing
twice: the file is emptied only after its facts are in the database. The file is held under a lock
as long as the daemon lives, which makes it the only recorder of its state directory.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from loguru import logger

from aibridged.config.private_file import flush, make_private, open_private
from aibridged.config.resolution import StartError
from aibridged.counted import counted
from aibridged.records.facts import Fact
from aibridged.records.stats import RecorderStats
from aibridged.records.storable import storable

SPOOL_FILE = "spool.jsonl"
"""Its name in the state directory."""

_CHUNK = 500

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Fact).decode


class SpoolError(StartError):
    """The spool can't be used; the message says why and how to fix it."""


class SpoolInUseError(SpoolError):
    """Another daemon uses the same state directory."""


class Spool:
    """The spool file of one recorder. Not thread-safe; all of it blocks.

    `size` is the file's size in bytes; `lost` counts lines that couldn't be read, and facts that
    can't be encoded as JSON.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        self.lost = 0
        self._path = path
        self._file = -1

    def open(self) -> None:
        """Open and lock the file, creating it if it is missing.

        Raises:
            SpoolInUseError: another daemon has it locked.
            SpoolError: it can't be opened, or isn't a regular file.
        """
        try:
            with suppress(FileExistsError):
                os.close(make_private(self._path))
            file = open_private(self._path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise SpoolError(
                f"The spool {self._path} can't be opened: {error.strerror}.",
                "Check the permissions of the state directory, or choose another --state-dir.",
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise SpoolInUseError(
                f"Another aibridged is using the state directory {self._path.parent}.",
                "Stop it (`aibridged status` tells its process id), or set a different "
                "--state-dir.",
            ) from None
        flush(self._path.parent)
        self._file = file
        self.size = os.fstat(file).st_size

    def close(self) -> None:
        """Unlock and close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def append(self, facts: Sequence[Fact]) -> None:
        """Write the facts, all or none of them.

        Raises:
            OSError: none was written.
        """
        each = [fact_line(fact) for fact in facts]
        self.lost += each.count(b"")
        lines = b"".join(each)
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            # Otherwise half a line would spoil the next one.
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(lines)

    def read(self) -> Iterator[list[Fact]]:
        """The facts in the file, in batches.

        An unterminated last line was being written when the daemon died, and nobody was told that
        it was safe; it is skipped. Other lines that can't be read are counted.
        """
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            chunk: list[Fact] = []
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    chunk.append(_decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    self.lost += 1
                if len(chunk) == _CHUNK:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk

    def clear(self) -> None:
        """Truncate the file, once all of its facts are in the database."""
        os.ftruncate(self._file, 0)
        os.fsync(self._file)
        self.size = 0


def is_in_use(path: Path) -> bool:
    """Whether a process holds the lock on this file at the moment.

    That of a spool is held by the daemon that runs on its state directory.

    Raises:
        OSError: that can't be told.
    """
    try:
        file = open_private(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def fact_line(fact: Fact) -> bytes:
    """The fact as a line of JSON, without lone surrogates and gateway tokens in its texts.

    Empty where it can't be encoded.
    """
    try:
        return _encode(_storable(fact)) + b"\n"
    except (TypeError, ValueError, OverflowError):
        return b""


def _storable(fact: Fact) -> Fact:
    texts = {
        name: storable(value)
        for name in fact.__struct_fields__
        if isinstance(value := getattr(fact, name), str)
    }
    return msgspec.structs.replace(fact, **texts)


class Spooling:
    """Keeps facts in the spool, or in memory while the spool can't be written either."""

    def __init__(self, spool: Spool, stats: RecorderStats) -> None:
        self._spool = spool
        self._stats = stats
        self._unsaved: list[Fact] = []

    def open(self) -> None:
        """Open the spool.

        Raises:
            SpoolError, OSError: it can't be used.
        """
        self._spool.open()

    def save(self, facts: Sequence[Fact]) -> None:
        """Spool the facts, with those that couldn't be spooled before."""
        self._unsaved += facts
        if not self._unsaved:
            return
        try:
            self._spool.append(self._unsaved)
        except OSError as error:
            logger.error(
                "The spool can't be written, {} kept in memory: {}",
                counted(len(self._unsaved), "record is", "records are"),
                error.strerror,
            )
            return
        self._stats.records_spooled += len(self._unsaved) - self._spool.lost
        self._count_lost_lines()
        self._stats.spool_bytes = self._spool.size
        self._unsaved = []

    def replay(self, write: Callable[[Sequence[Fact]], None]) -> None:
        """Pass all facts to `write`, the spool's first; drop them once it has written them.

        Raises what `write` does, and OSError if the spool can't be read or emptied.
        """
        if self._spool.size:
            for facts in self._spool.read():
                write(facts)
                self._stats.records_replayed += len(facts)
            self._count_lost_lines()
            self._spool.clear()
            self._stats.spool_bytes = 0
        write(self._unsaved)
        self._unsaved = []

    @property
    def unsaved(self) -> int:
        """How many facts are in memory only, since the spool couldn't be written."""
        return len(self._unsaved)

    def leave_to_journal(self, missed: int) -> None:
        """Say what becomes of the facts that neither the database nor the spool has taken.

        The journal has missed so many.
        """
        if not (unsaved := self.unsaved):
            return
        lost = min(missed, unsaved)
        if lost < unsaved:
            left = counted(unsaved - lost, "record is", "records are")
            logger.warning("{} in the journal only, and will be recorded at the next start", left)
        if lost:
            self._stats.lost_at_end = lost
            self._stats.records_lost += lost
            logger.error(
                "{} lost: the database, the spool and the journal did not accept them",
                counted(lost, "record is", "records are"),
            )

    def close(self) -> None:
        """Close the spool, and drop what is only in memory."""
        self._spool.close()

    def _count_lost_lines(self) -> None:
        lost, self._spool.lost = self._spool.lost, 0
        if lost:
            lines = counted(lost, "line of the spool is", "lines of the spool are")
            logger.error("{} unreadable or unwritable, and lost", lines)
            self._stats.records_lost += lost
