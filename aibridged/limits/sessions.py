"""Sessions of agents, whichever workers their requests go to. See `core.runaway` for the rules.

A session is kept as it dumps itself, and loaded, changed and stored under the lock of its key.
Where a stopped worker keeps that lock, a session is taken as it was last stored, and nothing is
counted.
"""

import struct
from hashlib import blake2b

from aibridged.clock import Clock
from aibridged.config.options import SessionSettings
from aibridged.core.runaway import SESSION_S, Session, Sessions, Sign, Turn
from aibridged.limits.keys import Keys, digest, lock_of
from aibridged.limits.region import SESSION_CONTENT, Region

_USED_AT, _PERSON, _CELL = 0, 8, 16  # offsets within a record
_LENGTH = struct.Struct("Q")


class SharedSession(Session):
    """A session of a person, as it is for all workers."""

    __slots__ = ("_key", "_person", "_records")

    def __init__(self, records: "SharedSessions", key: bytes, person: int) -> None:
        super().__init__()
        self._records = records
        self._key = key
        self._person = person

    def admit(self, limits: SessionSettings) -> Sign | None:
        with _Turns(self._records, self, self._key, self._person):
            return super().admit(limits)

    def observe(self, turn: Turn, limits: SessionSettings, now: float) -> Sign | None:
        with _Turns(self._records, self, self._key, self._person):
            return super().observe(turn, limits, now)


class _Turns:
    """The time that one worker has a session for itself."""

    def __init__(
        self, records: "SharedSessions", session: Session, key: bytes, person: int
    ) -> None:
        self._records, self._session = records, session
        self._key, self._person = key, person
        self._lock = lock_of(key)
        self._is_locked = False

    def __enter__(self) -> None:
        self._is_locked = self._records.locks.take(self._lock)
        dump = self._records.read(self._key)
        self._session.load(_NEW if dump is None else dump)

    def __exit__(self, failure: object, *_: object) -> None:
        if not self._is_locked:
            return
        try:
            if failure is None:
                self._records.write_dump(self._key, self._person, self._session.dump())
        finally:
            self._records.locks.give(self._lock)


class SharedSessions(Sessions):
    """The sessions of all workers.

    Where all records that a session may have are taken, it takes that of the least recently used
    one of the person who has the most of them.
    """

    def __init__(self, clock: Clock, region: Region) -> None:
        super().__init__(clock)
        self.mark = _marked
        self.locks = region.locks
        self._now = clock.monotonic
        self._region = region
        self._keys = Keys(region, region.layout.sessions.keys)
        records = region.layout.sessions.records
        self._first, self._size, self._total = records.offset, records.size, records.count

    def __len__(self) -> int:
        first, step = self._first // 8, self._size // 8
        times = self._region.doubles[first : first + self._total * step : step].tolist()
        return sum(time > 0 for time in times)

    def of(self, person: str, session_id: str) -> Session:
        whose, id = (each.encode(errors="surrogatepass") for each in (person, session_id))
        key = digest(b"%d %b%b" % (len(whose), whose, id), b"session")
        return SharedSession(self, key, int.from_bytes(digest(whose)[:8], "little"))

    def read(self, key: bytes) -> bytes | None:
        """The dump of a session; None if there is none, or it is a day old."""
        number = self._keys.find(key)
        if number < 0:
            return None
        at = self._first + number * self._size
        switch, content = self._region.content(at + _CELL, SESSION_CONTENT)
        used_at = self._region.doubles[(at + _USED_AT) // 8]
        if not switch or self._now() - used_at >= SESSION_S:
            return None
        (length,) = _LENGTH.unpack_from(self._region.bytes, content)
        start = content + _LENGTH.size
        dump = self._region.bytes[start : start + length]
        return dump if self._region.words[(at + _CELL) // 8] == switch else None

    def write_dump(self, key: bytes, person: int, dump: bytes) -> None:
        """Store the dump of a person's session; this needs the lock of its key."""
        number = self._keys.find(key)
        at = self._claim(key, person) if number < 0 else self._first + number * self._size
        switch, content = self._region.next_content(at + _CELL, SESSION_CONTENT)
        _LENGTH.pack_into(self._region.bytes, content, len(dump))
        start = content + _LENGTH.size
        self._region.bytes[start : start + len(dump)] = dump
        self._region.words[(at + _CELL) // 8] = switch
        self._region.doubles[(at + _USED_AT) // 8] = self._now()

    def _claim(self, key: bytes, person: int) -> int:
        words, doubles = self._region.words, self._region.doubles
        since = self._now() - SESSION_S
        places = [self._first + number * self._size for number in self._keys.places(key)]
        used = {at: doubles[(at + _USED_AT) // 8] for at in places}
        whose = {at: words[(at + _PERSON) // 8] for at in places}
        owners = list(whose.values())
        at = min(places, key=lambda at: (used[at] > since, -owners.count(whose[at]), used[at]))
        words[(at + _CELL) // 8] = 0
        words[(at + _PERSON) // 8] = person
        self._keys.write((at - self._first) // self._size, key)
        return at


def _marked(text: str) -> int:
    """A number of a text that is the same in every process, as `hash` isn't."""
    data = text.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)


_NEW = Session().dump()
