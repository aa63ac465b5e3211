"""Sessions of agents, whichever workers their requests go to. See `core.runaway` for the rules.

A session is kept as it dumps itself, and loaded, changed and stored under the lock of its key.
Where that lock can't be had, a session is taken as it was last stored, and what happens is counted
later, by the next request of it.
"""

import struct
from collections.abc import Callable
from hashlib import blake2b

from aibridged.clock import Clock
from aibridged.config.options import SessionSettings
from aibridged.core.runaway import SESSION_S, Session, Sessions, Sign, Turn
from aibridged.limits.keys import Keys, digest, lock_of
from aibridged.limits.region import SESSION_CONTENT, Region

_USED_AT, _PERSON, _CELL = 0, 8, 16  # offsets within a record
_LENGTH = struct.Struct("Q")


_MOST_LATE = 200
_Step = Callable[[Session], Sign | None]


class SharedSession(Session):
    """A session of a person, as it is for all workers."""

    __slots__ = ("_key", "_person", "_records")

    def __init__(self, records: "SharedSessions", key: bytes, person: int) -> None:
        super().__init__()
        self._records = records
        self._key = key
        self._person = person

    def admit(self, limits: SessionSettings) -> Sign | None:
        return self._take_turns(lambda session: Session.admit(session, limits))

    def observe(self, turn: Turn, limits: SessionSettings, now: float) -> Sign | None:
        return self._take_turns(lambda session: Session.observe(session, turn, limits, now))

    def _take_turns(self, step: _Step) -> Sign | None:
        records, key = self._records, self._key
        lock = lock_of(key)
        if not records.locks.take(lock):
            sign = self._step(step)
            if len(records.late) < _MOST_LATE:
                records.late.append((key, step))
            return sign
        try:
            sign = self._step(step)
            records.late = [each for each in records.late if each[0] != key]
            records.write_dump(key, self._person, self.dump())
            return sign
        finally:
            records.locks.give(lock)

    def _step(self, step: _Step) -> Sign | None:
        """Do it with the session as it is, and with what isn't counted there yet."""
        self.load(self._records.read(self._key) or _NEW)
        for whose, late in self._records.late:
            if whose == self._key:
                late(self)
        return step(self)


class SharedSessions(Sessions):
    """The sessions of all workers.

    Where all records that a session may have are taken, it takes that of the least recently used
    one of the person who has the most of them.
    """

    def __init__(self, clock: Clock, region: Region) -> None:
        super().__init__(clock)
        self.mark = _marked
        self.late: list[tuple[bytes, _Step]] = []
        """What is still to be counted, and of which session."""
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
        since = max(0.0, self._now() - SESSION_S)
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
