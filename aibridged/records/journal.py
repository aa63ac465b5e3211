"""The journal: a write-ahead file of facts that are known and not committed yet.

Facts wait for a group commit, in memory; what is written to a file survives the process, whatever
kills it. So each is appended here at once, by one write and without a flush, and the next start
replays what it finds. A row that was committed meanwhile is written once all the same: its id is
in the database already.

The file is allocated when it is opened, in two areas that take turns: it never grows, and facts
find room in it on a full disk. An area is emptied once all that it holds is committed or spooled.
It holds JSON Lines, and zeros where there is nothing.
"""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from loguru import logger

from aibridged.config.private_file import open_private
from aibridged.gateway_tokens import may_hold_token
from aibridged.records.facts import Fact, InterceptionEnd
from aibridged.records.spool import SpoolError, fact_line
from aibridged.records.truncation import TEXTS, cut_short

JOURNAL_FILE = "journal.jsonl"
"""Its name in the state directory."""
AREA_BYTES = 4 * 1024 * 1024
"""Of each of the two: the facts of some thousand requests."""
MAX_TEXT = 64 * 1024
"""Characters: a longer text is cut, since the event loop waits while it is written."""
MAX_TEXTS = 256 * 1024
"""Characters of all texts that are appended at once; those behind are left out."""

_CHUNK = 500
_ZEROS = bytes(64 * 1024)
_NOTHING = re.compile(rb"\0+")

_encode_lines = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(Fact).decode


class Journal:
    """The journal of one recorder; the lock on the spool beside it guards it, too.

    Facts are counted in the order in which they are appended: `release` takes such a count.
    `missed` counts those that aren't in the file, of all that aren't released; `missed_total` is
    since the start, and `lost` counts the lines that couldn't be read. Threads may share it.
    """

    def __init__(self, path: Path, *, area_bytes: int = AREA_BYTES) -> None:
        self.missed = 0
        self.missed_total = 0
        self.lost = 0
        self._path = path
        self._area_bytes = area_bytes
        self._file = -1
        self._lock = threading.Lock()
        self._held: list[Fact] = []
        self._appended = 0
        self._released = 0
        self._start = 0  # of the area that is written to
        self._position = 0
        self._limit = area_bytes
        self._other_start = area_bytes
        self._other_end = area_bytes
        self._other_count = 0  # it is in use until so many are released

    @property
    def size(self) -> int:
        """The bytes that are in use in the file."""
        return self._position - self._start + self._other_end - self._other_start

    def open(self) -> None:
        """Open the file, making it if it isn't there, with all the room that it will ever take.

        Raises:
            SpoolError: it can't be opened or allocated, or is no regular file.
        """
        try:
            self._file = open_private(self._path, os.O_CREAT | os.O_RDWR)
            os.posix_fallocate(self._file, 0, 2 * self._area_bytes)
        except OSError as error:
            self.close()
            raise SpoolError(
                f"The journal {self._path} can't be opened and allocated: {error.strerror}.",
                "Check the permissions of the state directory, and that "
                f"{2 * self._area_bytes >> 20} MiB are free, or choose another --state-dir.",
            ) from None

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def hold(self, facts: Sequence[Fact]) -> None:
        """Keep the facts to be written with the next ones, which costs a write less."""
        with self._lock:
            self._held += facts
            self._appended += len(facts)

    def append(self, facts: Sequence[Fact]) -> None:
        """Write the facts, and those that are held. Without room for all, none is; it is counted.

        What is held and committed meanwhile is not written any more.
        """
        with self._lock:
            self._appended += len(facts)
            if self._held:
                facts, self._held = (*self._held, *facts), []
            if not facts:
                return
            lines = _encode(facts)
            try:
                fits = self._position + len(lines) < self._limit or self._take_other_area(
                    len(lines), self._appended - len(facts)
                )
                written = os.pwrite(self._file, lines, self._position) if fits else 0
            except OSError:
                written = 0
            self._position += written
            if written < len(lines):
                self._position += written > 0  # a zero parts it from what comes next
                self._miss(len(facts))

    def release(self, count: int) -> None:
        """The first `count` of all that were ever appended are kept elsewhere.

        What can't be emptied, the next call empties.
        """
        with self._lock, suppress(OSError):
            self._released = count
            if count == self._appended:
                self.missed = 0
                self._held.clear()
            if count >= self._other_count and self._other_end > self._other_start:
                self._empty(self._other_start, self._other_end)
                self._other_end = self._other_start
            if count == self._appended and self._position > self._start:
                self._empty(self._start, self._position)
                self._position = self._start

    def read(self) -> Iterator[list[Fact]]:
        """The facts that an earlier process left, some hundred at a time, ends after the others.

        A last line without its end was being written when the process died; it is passed over.
        Other lines that can't be read are counted.
        """
        facts: list[Fact] = []
        content = os.pread(self._file, 2 * self._area_bytes, 0)
        for part in _NOTHING.split(content):
            for line in part.split(b"\n")[:-1]:
                try:
                    facts.append(_decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    self.lost += 1
        facts.sort(key=lambda fact: isinstance(fact, InterceptionEnd))
        for start in range(0, len(facts), _CHUNK):
            yield facts[start : start + _CHUNK]

    def clear(self) -> None:
        """Empty the file, once all that it holds is in the database."""
        self._empty(0, 2 * self._area_bytes)

    def _miss(self, count: int) -> None:
        if not self.missed_total:
            logger.error(
                "The journal {} is full or can't be written: a kill takes what isn't committed",
                self._path,
            )
        self.missed += count
        self.missed_total += count

    def _take_other_area(self, length: int, count: int) -> bool:
        """Turn to the other one, if nothing in it is needed any more and so much finds room.

        `count` facts were appended before.
        """
        if self._other_count > self._released or length >= self._area_bytes:
            return False
        self._empty(self._other_start, self._other_end)
        self._start, self._other_start = self._other_start, self._start
        self._other_end, self._position = self._position, self._start
        self._limit = self._start + self._area_bytes
        self._other_count = count
        return True

    def _empty(self, start: int, end: int) -> None:
        for at in range(start, end, len(_ZEROS)):
            os.pwrite(self._file, _ZEROS[: end - at], at)


def _encode(facts: Sequence[Fact]) -> bytes:
    """The facts as lines, with texts that may be written; see `spool.fact_line`."""
    length = 0
    for fact in facts:
        if (names := TEXTS.get(type(fact))) is not None:
            for name, _ in names:
                if (text := getattr(fact, name)) is not None:
                    length += len(text)
    if length <= MAX_TEXT:
        try:
            lines = _encode_lines(facts)
        except (TypeError, ValueError, OverflowError):
            pass  # a text is no Unicode, or a fact no JSON
        else:
            if not may_hold_token(lines):
                return lines
    # What can't be encoded, the writer counts.
    return b"".join(map(fact_line, _shortened(facts)))


def _shortened(facts: Sequence[Fact]) -> Iterator[Fact]:
    left = MAX_TEXTS
    for fact in facts:
        cut, taken = cut_short(fact, min(MAX_TEXT, left))
        left -= taken
        yield cut
