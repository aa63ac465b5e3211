"""Row ids: UUIDv7, which sort by time of creation (RFC 9562, 5.7)."""

import random
from datetime import datetime

_VARIANT = 0b10 << 14
_RANDOM_BITS = 62


def uuid7(at: datetime, sequence: int = 0) -> str:
    """A new id in canonical form; within a millisecond, those with a lower `sequence` sort first.

    `sequence` is below 4096. Ids are made with their rows, not by the database, so that a row that
    is written twice is detected. They are unique, not secret: the system's randomness would cost a
    system call each.
    """
    milliseconds = int(at.timestamp() * 1000)
    noise = random.getrandbits(_RANDOM_BITS)
    return (
        f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{sequence:03x}"
        f"-{_VARIANT | noise >> 48:04x}-{noise & 0xFFFF_FFFF_FFFF:012x}"
    )
