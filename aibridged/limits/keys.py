"""Keys in shared memory: a hash table in which each has few places, so that a search is bounded.

A key of 16 bytes, a digest, has `WAYS` places side by side. Records are found by their number.
Where all places are taken, the caller says which key has to go. What belongs to a key is made
worthless by the caller before the key is written, so that a writer that is killed in between leaves
either key without anything.
"""

import struct
from hashlib import blake2b

from aibridged.limits.region import KEY_SIZE, LOCKS, WAYS, Area, Region

START = struct.Struct("I").unpack_from
SET = WAYS * KEY_SIZE


def digest(key: bytes, purpose: bytes = b"") -> bytes:
    """The key in a table of what isn't one yet; `purpose` keeps those of several apart."""
    return blake2b(key, digest_size=KEY_SIZE, person=purpose).digest()


def lock_of(key: bytes) -> int:
    """The number of the lock of a key, in whatever table."""
    return key[-1] % LOCKS


class Keys:
    """The keys of one table; all but `find` needs the lock of the key."""

    def __init__(self, region: Region, area: Area) -> None:
        self._bytes = region.bytes
        self._offset = area.offset
        self._mask = area.count // WAYS - 1
        assert area.count & (area.count - 1) == 0, "a power of two"

    def find(self, key: bytes) -> int:
        """The number of its record, -1 without one."""
        start = self._offset + (START(key)[0] & self._mask) * SET
        found = self._bytes.find(key, start, start + SET)
        return (found - self._offset) // KEY_SIZE if found >= 0 else -1

    def places(self, key: bytes) -> range:
        """The numbers of the records that it may have."""
        start = (START(key)[0] & self._mask) * WAYS
        return range(start, start + WAYS)

    def offset(self, number: int) -> int:
        """Where the key of a record is."""
        return self._offset + number * KEY_SIZE

    def key(self, number: int) -> bytes:
        """The key of a record."""
        at = self.offset(number)
        return self._bytes[at : at + KEY_SIZE]

    def write(self, number: int, key: bytes) -> None:
        """Give a record, which is worthless, to a key."""
        at = self.offset(number)
        self._bytes[at : at + KEY_SIZE] = key
