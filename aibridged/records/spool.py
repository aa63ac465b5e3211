"""The spool: a write-ahead file of facts in JSON Lines, while the database is unavailable.

A line is on disk when `append` returns. Facts have ids, so replaying a line twice writes nothing
twice: the file is emptied only after its facts are in the database. The file is held under a lock
as long as the daemon lives, which makes it the only recorder of its state directory.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from aibridged.config.private_file import open_private
from aibridged.records.facts import Fact
from aibridged.records.rows import storable

_CHUNK = 500

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Fact).decode


class SpoolError(Exception):
    """The spool can't be used; the message says why and what to do."""


class SpoolInUseError(SpoolError):
    """Another daemon uses the same state directory."""


class Spool:
    """The spool file of one recorder. For one thread, and all of it blocks.

    `size` is the file's size in bytes; `lost` counts the lines that couldn't be read, and the
    facts that are no JSON.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        self.lost = 0
        self._path = path
        self._file = -1

    def open(self) -> None:
        """Take the file, making it if it isn't there.

        Raises:
            SpoolInUseError: a living daemon has it.
            SpoolError: it can't be opened, or is no regular file.
        """
        try:
            file = open_private(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise SpoolError(
                f"The spool {self._path} can't be opened: {error.strerror}. "
                "Check the permissions of the state directory, or choose another --state-dir."
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise SpoolInUseError(
                f"Another aibridged is using the state directory {self._path.parent}: stop it, "
                "or set a different --state-dir."
            ) from None
        _sync_directory(self._path.parent)
        self._file = file
        self.size = os.fstat(file).st_size

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def append(self, facts: Sequence[Fact]) -> None:
        """Write the facts, all or none of them.

        Raises:
            OSError: none is written.
        """
        lines = b"".join(self._line(fact) for fact in facts)
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            # So that no half line is in the way of the next one.
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(lines)

    def read(self) -> Iterator[list[Fact]]:
        """The facts in the file, some hundred at a time.

        A last line without its end was being written when the daemon died, and nobody was told
        that it is safe; it is passed over. Other lines that can't be read are counted.
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
        """Empty the file, once all that it holds is in the database."""
        os.ftruncate(self._file, 0)
        os.fsync(self._file)
        self.size = 0

    def _line(self, fact: Fact) -> bytes:
        try:
            return _encode(_clean(fact)) + b"\n"
        except (TypeError, ValueError, OverflowError):
            self.lost += 1
            return b""


def _clean(fact: Fact) -> Fact:
    """The fact with texts that can be written."""
    texts = {
        name: storable(value)
        for name in fact.__struct_fields__
        if isinstance(value := getattr(fact, name), str)
    }
    return msgspec.structs.replace(fact, **texts)


def _sync_directory(path: Path) -> None:
    """A file's name is safe only when its directory is on disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
