"""Ids of rows: UUIDs of version 7, which sort by the time of their making (RFC 9562, 5.7)."""

import os
from datetime import datetime

_VARIANT = 0b10 << 62
_RANDOM = (1 << 62) - 1


def uuid7(at: datetime, sequence: int = 0) -> str:
    """A new id in canonical form; of one millisecond's, those with a lower `sequence` sort first.

    `sequence` is below 4096. An id is made together with what it names, not by the database, so
    that writing a row twice is seen.
    """
    milliseconds = int(at.timestamp() * 1000)
    tail = _VARIANT | (int.from_bytes(os.urandom(8)) & _RANDOM)
    digits = f"{milliseconds:012x}7{sequence:03x}{tail:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
