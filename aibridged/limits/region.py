"""The memory that workers share: made by their supervisor, inherited by each as a descriptor.

It has no name in any file system, a size that nothing can change, and what each part may grow to is
fixed. Pages are taken when they are first written to.

Whatever is stored here may be half written when its writer is killed. So there are two ways of
writing, and neither leaves anything that hurts: a single aligned number of at most 8 bytes, which
is there or isn't; and a cell, whose new content is written beside the old one, and then switched
to by such a number. What belongs to a key is worthless before its key is written (`keys`).
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from aibridged.core.runaway import MAX_DUMP
from aibridged.limits.robust_locks import SIZE as LOCK_SIZE
from aibridged.limits.robust_locks import RobustLocks

MAX_WORKERS = 128
LOCKS = 64
"""Each key has one of these: a stopped holder keeps that of one key in so many."""
KEY_SIZE = 16
WAYS = 8
"""Places where a key may be."""

CALLERS = 65_536
COUNTS = 65_536
VALUES = 65_536
REFUSED = 2048
PLACES = 16_384
CIRCUITS = 8192
SESSIONS = 4096
UNCOUNTED = 1024

CIRCUIT = struct.Struct("QddIIII")
"""State and generation, when it ends, when it was asked; failures, successes, admitted, unused."""
CIRCUIT_NAME = 512
SESSION_CONTENT = MAX_DUMP + 8

_MAGIC = b"aibridged limits"
_HEADER = struct.Struct("16sQQ")
_PAGE = 4096
_NOEXEC_SEAL = 0x8  # MFD_NOEXEC_SEAL: systems may demand it


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the region: `count` records of `size` bytes."""

    offset: int
    size: int
    count: int


class KeyedArea(NamedTuple):
    """The keys of records, and the records."""

    keys: Area
    records: Area


class CircuitRecord(NamedTuple):
    """Offsets within the record of a circuit."""

    used_at: int
    cell: int
    in_flight: int
    name: int
    size: int


class Layout:
    """Where everything is, for so many workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.size = _PAGE  # the header
        per_worker = -(-workers // 8) * 16  # numbers of two bytes
        self.circuit = CircuitRecord(
            used_at=0,
            cell=8,
            in_flight=8 + cell_size(CIRCUIT.size),
            name=8 + cell_size(CIRCUIT.size) + per_worker,
            size=8 + cell_size(CIRCUIT.size) + per_worker + CIRCUIT_NAME,
        )
        self.locks = self._add(LOCK_SIZE, LOCKS)
        self.slots = self._add(8, workers)
        self.uncounted = self._add(8 * workers, UNCOUNTED)
        self.callers = self._keyed(8, CALLERS)
        self.persons = self._keyed(8, CALLERS)
        self.refused = self._keyed(8, REFUSED)
        self.counts = self._keyed(16, COUNTS)
        self.values = self._keyed(16, VALUES)
        self.places = self._keyed(per_worker, PLACES)
        self.circuits = self._keyed(self.circuit.size, CIRCUITS)
        self.sessions = self._keyed(16 + cell_size(SESSION_CONTENT), SESSIONS)

    def _add(self, size: int, count: int) -> Area:
        area = Area(self.size, size, count)
        self.size += -(-size * count // _PAGE) * _PAGE
        return area

    def _keyed(self, size: int, count: int) -> KeyedArea:
        return KeyedArea(self._add(KEY_SIZE, count), self._add(size, count))


def cell_size(content: int) -> int:
    """Bytes of a cell: the number that is switched, and two contents."""
    return 8 + 2 * content


class Region:
    """The memory, mapped: as bytes, and as numbers by their index. `fd` is the caller's."""

    def __init__(self, fd: int) -> None:
        """Map what `make` has made.

        Raises:
            OSError, ValueError: it isn't that.
        """
        self.bytes = mmap.mmap(fd, 0)
        magic, size, workers = _HEADER.unpack_from(self.bytes, 0)
        if magic != _MAGIC or size != len(self.bytes) or not 0 < workers <= MAX_WORKERS:
            raise ValueError("This descriptor isn't that of shared limits.")
        self.layout = Layout(workers)
        whole = memoryview(self.bytes)
        self.words, self.doubles, self.shorts = whole.cast("Q"), whole.cast("d"), whole.cast("H")
        whole.release()
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        self.locks = RobustLocks(address + self.layout.locks.offset, self.layout.locks.count)

    def close(self) -> None:
        """Unmap it; nothing may be asked of it any more."""
        for view in (self.words, self.doubles, self.shorts):
            view.release()
        self.bytes.close()

    def read(self, cell: int, layout: struct.Struct) -> tuple[Any, ...] | None:
        """The content of a cell at this offset, all of it of one moment, also without a lock;
        None: it is empty."""
        while number := self.words[cell >> 3]:
            content = layout.unpack_from(self.bytes, cell + 8 + (number & 1) * layout.size)
            if self.words[cell >> 3] == number:
                return content
            # Meanwhile a second writer may have begun to overwrite it.
        return None

    def content(self, cell: int, size: int) -> tuple[int, int]:
        """The number of a cell at this offset, 0 for one that is empty, and where its content
        is."""
        number = self.words[cell >> 3]
        return number, cell + 8 + (number & 1) * size

    def next_content(self, cell: int, size: int) -> tuple[int, int]:
        """The number that switches to the next content, and where that goes."""
        number = self.words[cell >> 3] + 1
        return number, cell + 8 + (number & 1) * size


def make(workers: int) -> int:
    """Make the memory for so many workers; returns its descriptor, which is closed on exec.

    Raises:
        OSError: the system has no memory, or no robust locks.
    """
    if not 0 < workers <= MAX_WORKERS:
        raise ValueError(f"{workers} workers")
    size = Layout(workers).size
    fd = _memory()
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        with mmap.mmap(fd, size) as memory:
            _HEADER.pack_into(memory, 0, _MAGIC, size, workers)
        region = Region(fd)
        try:
            region.locks.make()
        finally:
            region.close()
    except BaseException:
        os.close(fd)
        raise
    return fd


def _memory() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("aibridged-limits", flags | _NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:  # before Linux 6.3
            raise
        return os.memfd_create("aibridged-limits", flags)
