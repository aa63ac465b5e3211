"""Feed of the requests that run now: one look at them a second at most, however many watch.

Each watcher gets a snapshot, and then what has changed, as server-sent events. Those with the same
rights share every message.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Sequence

import msgspec

from aibridged.api.live_others import AT_ONCE, NoOthers, Others, merged
from aibridged.clock import Clock
from aibridged.errors import RATE_LIMITED, GatewayError
from aibridged.identity.active_requests import ActiveRequests, LiveRequest
from aibridged.tasks import Tasks
from aibridged.transport.time_slices import TimeSlices

TICK_S = 1.0
EACH_S = 0.0015
"""That passes between two looks for each of the requests, of which a look takes some 20 µs."""
HEARTBEAT_S = 15.0
"""How often a watcher hears something, at the least: proxies close connections that are silent."""
LIFETIME_S = 600.0
"""How long a watch lasts: then the client comes again, with credentials that may have ended."""
MAX_WATCHERS = 64
MAX_WATCHERS_EACH = 4
MAX_SHOWN = 2000
"""Requests that are followed, the oldest ones; the count is that of all."""
MAX_BEHIND = 4
"""Messages that a watcher may have left unread; one that reads more slowly is dropped."""

_HEARTBEAT = b": still here\n\n"
_encode = msgspec.json.Encoder().encode


class _Watcher(msgspec.Struct, eq=False):
    actor: str
    owner: str | None
    until: float
    task: asyncio.Task[object] | None = None
    messages: asyncio.Queue[bytes | None] = msgspec.field(default_factory=asyncio.Queue)
    heard: float = 0.0
    is_new: bool = True


class _Scope:
    """What the watchers with the same rights have been told: the requests of `owner`, or all."""

    def __init__(self) -> None:
        self.rows: dict[str, LiveRequest] = {}
        self.count = 0

    def update(self, rows: dict[str, LiveRequest], count: int) -> bytes | None:
        """The message of what has changed, None where nothing has."""
        before, self.rows = self.rows, rows
        changed = [row for id, row in rows.items() if _differs(before.get(id), row)]
        ended = [id for id in before if id not in rows]
        was, self.count = self.count, count
        if not changed and not ended and was == count:
            return None
        return _message(b"changes", {"count": count, "changed": changed, "ended": ended})

    def snapshot(self) -> bytes:
        """The message for those who come."""
        rows = list(self.rows.values())
        return _message(b"snapshot", {"count": self.count, "requests": rows})


def _differs(before: LiveRequest | None, now: LiveRequest) -> bool:
    """Whether more than its age has changed."""
    return before is None or (
        before.bytes != now.bytes
        or before.state is not now.state
        or before.output_tokens != now.output_tokens
        or before.tool != now.tool
        or before.interception_id != now.interception_id
        or before.ended_by != now.ended_by
    )


def _message(name: bytes, value: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, _encode(value))


class LiveFeed:
    """Looks at the requests in flight while there is a watcher; `is_over` once it is to end."""

    def __init__(
        self,
        active: ActiveRequests,
        clock: Clock,
        slices: TimeSlices,
        is_over: Callable[[], bool] = lambda: False,
        others: Others | None = None,
        *,
        tick: float = TICK_S,
    ) -> None:
        self._active = active
        self._clock = clock
        self._slices = slices
        self._is_over = is_over
        self._others = others or NoOthers()
        self._tick = tick
        self._watchers: set[_Watcher] = set()
        self._scopes: dict[str | None, _Scope] = {}
        self._tasks = Tasks()
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self, actor: str, owner: str | None) -> AsyncIterator[bytes]:
        """What `owner` has running, or all, for a caller.

        Raises:
            GatewayError: the caller, or all together, watch too often already.
        """
        each = Counter(watcher.actor for watcher in self._watchers)
        if each[actor] >= MAX_WATCHERS_EACH or len(self._watchers) >= MAX_WATCHERS:
            message = "Too many watch the running requests already: close a window."
            raise GatewayError(RATE_LIMITED, message, retry_after=5)
        until = self._clock.monotonic() + LIFETIME_S
        watcher = _Watcher(actor, owner, until)
        self._watchers.add(watcher)
        scope = self._scopes.get(owner)
        if scope is not None:
            watcher.messages.put_nowait(scope.snapshot())
            watcher.is_new = False
        if self._looking is None or self._looking.done():
            self._looking = self._tasks.start(self._look(), "feed of running requests")
        return self._messages(watcher)

    async def close(self) -> None:
        """End all watches."""
        for watcher in list(self._watchers):
            self._dismiss(watcher)
        await self._tasks.cancel()

    async def _messages(self, watcher: _Watcher) -> AsyncIterator[bytes]:
        watcher.task = asyncio.current_task()
        try:
            while (message := await watcher.messages.get()) is not None:
                yield message
        finally:
            self._watchers.discard(watcher)

    async def _look(self) -> None:
        while self._watchers and not self._is_over():
            owners = {watcher.owner for watcher in self._watchers}
            asked = None if None in owners or len(owners) > 1 else next(iter(owners))
            others = await self._others.running(asked)
            seen = await self._slices.run(self._tell(owners, others), "live feed")
            await asyncio.sleep(max(self._tick, seen * EACH_S))
        self._scopes.clear()
        for watcher in list(self._watchers):
            self._dismiss(watcher)

    def _tell(
        self, owners: set[str | None], others: Sequence[LiveRequest]
    ) -> Generator[None, None, int]:
        """Look at the requests of `owners`, and tell their watchers what has changed for them.

        Returns how many there are.
        """
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        rows: dict[str | None, dict[str, LiveRequest]] = {owner: {} for owner in owners}
        counts: Counter[str | None] = Counter()
        everybody = None in owners
        asked = (None,) if everybody else owners
        listed = [each for owner in asked for each in self._active.listed(owner)]
        if others:
            listed = yield from merged(listed, others, self._clock)
        for number, each in enumerate(listed):
            if number % AT_ONCE == 0:
                yield
            seen = each.seen(wall, monotonic)
            if not seen.id:  # it has ended since
                continue
            scopes = (None, seen.initiator_id) if everybody else (seen.initiator_id,)
            for owner in scopes:
                if owner in owners:
                    counts[owner] += 1
                    if len(rows[owner]) < MAX_SHOWN:
                        rows[owner][seen.id] = seen
        self._scopes = {owner: self._scopes.get(owner) or _Scope() for owner in owners}
        for owner, scope in self._scopes.items():
            yield
            message = scope.update(rows[owner], counts[owner])
            snapshot: bytes | None = None
            for watcher in [each for each in self._watchers if each.owner == owner]:
                if watcher.is_new:
                    watcher.is_new = False
                    snapshot = snapshot or scope.snapshot()
                    self._send(watcher, snapshot, monotonic)
                elif message is not None:
                    self._send(watcher, message, monotonic)
                elif monotonic - watcher.heard >= HEARTBEAT_S:
                    self._send(watcher, _HEARTBEAT, monotonic)
                if monotonic >= watcher.until:
                    self._dismiss(watcher)
        return len(listed)

    def _send(self, watcher: _Watcher, message: bytes, now: float) -> None:
        watcher.heard = now
        if watcher.messages.qsize() >= MAX_BEHIND:
            self._watchers.discard(watcher)
            if watcher.task is not None:
                watcher.task.cancel()  # it waits for its client
            return
        watcher.messages.put_nowait(message)

    def _dismiss(self, watcher: _Watcher) -> None:
        """End a watch in order."""
        self._watchers.discard(watcher)
        watcher.messages.put_nowait(None)
