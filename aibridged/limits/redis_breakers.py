"""Circuit breakers of which all replicas open and close together. See `core.breaker`.

Each replica has circuits of its own, and asks no other one: what they find out, it tells. Redis
counts the failures of all in a row, until a success anywhere. When that count is at the threshold,
or the circuit of one replica opens, all open; when one closes, all do. While a circuit is
half-open, each replica has its share of the probes, at least 1.

Without Redis each goes by what it sees itself.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import msgspec
from cachetools import LRUCache
from msgspec.structs import replace

from aibridged.core.breaker import Admission, BreakerKey, Breakers, OnChange, Trouble
from aibridged.core.circuit import BreakerSettings, Outcome, Rejection, State
from aibridged.limits.redis_lane import Lane
from aibridged.limits.redis_limits import digest, share_of
from aibridged.limits.redis_news import News
from aibridged.limits.redis_script import Closed, Failure, OpenCircuits, Opened, Success
from aibridged.tasks import Tasks

MOST_REMEMBERED = 10_000
MAX_NAME = 400
"""Characters of each part of a circuit's key in the news."""
_UNTIL_CLEARED_S = 3600.0
"""How long Redis keeps a count of failures that has no interval."""

_decode_key = msgspec.json.Decoder(tuple[str, str, str, str]).decode


class RedisBreakers(Breakers):
    """The circuits of one replica, which follow those of the others.

    `make` makes the circuits, of one process or of one machine's; `settings` are those of all.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        on_change: OnChange,
        make: Callable[[BreakerSettings, OnChange], Breakers],
        lane: Lane,
    ) -> None:
        self.settings = settings
        self._lane = lane
        self._told_by_others = False
        self._tell_change = on_change
        self._changes: LRUCache[BreakerKey, int] = LRUCache(MOST_REMEMBERED)
        self._failing: LRUCache[BreakerKey, None] = LRUCache(MOST_REMEMBERED)
        probes = share_of(settings.max_requests, lane.replicas)
        self._circuits_here = make(replace(settings, max_requests=probes), self._changed)

    def admit(self, key: BreakerKey) -> Admission | Rejection:
        found = self._circuits_here.admit(key)
        if isinstance(found, Rejection):
            return found
        return Admission(self, (key, found), self._changes.get(key, 0))

    def settle(self, circuit: Any, generation: int, outcome: Outcome) -> None:
        key, admission = circuit
        if outcome is Outcome.CANCELLED:
            admission.cancelled()
        elif outcome is Outcome.SUCCESS:
            admission.success()
            if self._failing and key in self._failing:
                del self._failing[key]
                self._lane.tell(Success(_digest(key)))
        else:
            admission.failure()
            # A failure that has opened the circuit has been told, and one that was admitted before
            # its last change isn't counted.
            if self._changes.get(key, 0) == generation:
                self._failing[key] = None
                self._lane.tell(self._failure(key))

    def impose(self, key: BreakerKey, state: State, seconds: float = 0.0) -> None:
        with self._silently():
            self._circuits_here.impose(key, state, seconds)

    def states(self) -> dict[BreakerKey, State]:
        return self._circuits_here.states()

    def troubles(self) -> Generator[None, None, list[Trouble]]:
        return self._circuits_here.troubles()

    def hear_opened(self, left_ms: int, body: str) -> None:
        """A circuit has opened in another replica, or by the failures of all."""
        if (key := _read(body)) is not None:
            self.impose(key, State.OPEN, min(max(0, left_ms) / 1000, self.settings.timeout))

    def hear_closed(self, _left_ms: int, body: str) -> None:
        """A circuit has closed in another replica."""
        if (key := _read(body)) is not None:
            self.impose(key, State.CLOSED)

    def hear_failing(self, _left_ms: int, body: str) -> None:
        """A circuit has a failure elsewhere: a success here is to be told."""
        if (key := _read(body)) is not None:
            self._failing[key] = None

    def listen(self, news: News, tasks: Tasks) -> None:
        """Follow the circuits of the others, from now on."""
        news.on("open", self.hear_opened)
        news.on("closed", self.hear_closed)
        news.on("failing", self.hear_failing)

        def catch_up() -> None:
            tasks.start(self.catch_up(), "circuits that are open elsewhere")

        news.on_listening["circuits"] = catch_up

    async def catch_up(self) -> None:
        """Open what is open elsewhere."""
        answered = self._lane.ask(OpenCircuits())
        found = None if answered is None else await answered
        if isinstance(found, list):
            for body, left_ms in found:
                self.hear_opened(left_ms, body)

    def _failure(self, key: BreakerKey) -> Failure:
        rules = self.settings
        interval = rules.interval or _UNTIL_CLEARED_S
        return Failure(
            _digest(key),
            _text(key),
            rules.failure_threshold,
            max(1, int(interval * 1000)),
            max(1, int(rules.timeout * 1000)),
        )

    def _changed(self, key: BreakerKey, before: State, now: State) -> None:
        self._changes[key] = self._changes.get(key, 0) + 1
        self._tell_change(key, before, now)
        if self._told_by_others:
            return
        if now is State.OPEN:
            timeout = max(1, int(self.settings.timeout * 1000))
            self._lane.tell(Opened(_digest(key), _text(key), timeout))
        elif now is State.CLOSED:
            self._lane.tell(Closed(_digest(key), _text(key)))

    @contextmanager
    def _silently(self) -> Generator[None]:
        self._told_by_others = True
        try:
            yield
        finally:
            self._told_by_others = False


def _text(key: BreakerKey) -> str:
    return msgspec.json.encode([_clean(part) for part in key]).decode()


def _clean(name: str) -> str:
    return name[:MAX_NAME].encode(errors="replace").decode()


def _read(body: str) -> BreakerKey | None:
    try:
        parts = _decode_key(body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return BreakerKey(*parts) if max(map(len, parts)) <= MAX_NAME else None


def _digest(key: BreakerKey) -> str:
    return digest("\0".join(key))
