"""Row ids: UUIDv7, which sort by time of creation (RFC 9562, 5.7)."""

import random
from datetime import UTC, datetime
from hashlib import blake2b

_FIXED = 7 << 76 | 0b10 << 62  # version and variant
_VARIANT = 0b10 << 62
_RANDOM_BITS = 62


def uuid7(at: datetime, sequence: int = 0) -> str:
    """A new id in canonical form; within a millisecond, those with a lower `sequence` sort first.

    `sequence` is below 4096. Ids are made with their rows, not by the database, so that a row that
    is written twice is detected. They are unique, not secret: the system's randomness would cost a
    system call each.
    """
    known, _, beginning = _last.told
    if at is not known:
        beginning = _last.beginning(at)
    noise = hex(_VARIANT | random.getrandbits(_RANDOM_BITS))  # with 0x before it
    digits = f"{sequence:03x}" if sequence else "000"
    return f"{beginning}{digits}-{noise[2:6]}-{noise[6:]}"


class _Last:
    """How the ids of the last time begin: a request's are of few times. Threads may share it."""

    def __init__(self) -> None:
        self.told: tuple[datetime | None, int, str] = None, -1, ""

    def beginning(self, at: datetime) -> str:
        """The milliseconds and the version."""
        milliseconds = int(at.timestamp() * 1000)
        _, known, beginning = self.told
        if milliseconds != known:
            digits = milliseconds.to_bytes(6).hex()
            beginning = f"{digits[:8]}-{digits[8:]}-7"
        self.told = at, milliseconds, beginning
        return beginning


_last = _Last()


def made_at(id: str) -> datetime:
    """The time in an id, to the millisecond."""
    return datetime.fromtimestamp(_milliseconds(id) / 1000, UTC)


def first_id(at: datetime) -> str:
    """The least id of that time, to the millisecond: a bound, which no row has."""
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def _milliseconds(id: str) -> int:
    return int(id.replace("-", "")[:12], 16)


def uuid7_beside(id: str, sequence: int, name: str) -> str:
    """The id of the row of this name that belongs to `id`: the same every time, of its millisecond.

    Another daemon that writes the row makes the same id.
    """
    milliseconds = _milliseconds(id)
    digest = blake2b(f"{id}/{name}".encode("utf-8", "replace"), digest_size=8).digest()
    return _made(milliseconds, sequence, int.from_bytes(digest) >> (64 - _RANDOM_BITS))


def _made(milliseconds: int, sequence: int, noise: int) -> str:
    digits = (milliseconds << 80 | sequence << 64 | _FIXED | noise).to_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
