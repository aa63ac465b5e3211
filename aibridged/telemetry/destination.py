"""One OTLP receiver: a bounded queue in front of it, and retries within a bounded time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from io import BytesIO
from typing import NamedTuple

import aiohttp
import msgspec
from loguru import logger

from aibridged.clock import Clock
from aibridged.config.options import TelemetrySettings
from aibridged.observe.connection_failure import cause_of
from aibridged.tasks import Tasks
from aibridged.wire.telemetry import Encoding, Signal

MAX_QUEUE_BYTES = 16 * 1024 * 1024
"""Bytes of the batches that wait for a destination or are being sent there."""
MAX_QUEUE_ITEMS = 1_000
SENDERS = 4
"""Requests to a destination at a time."""
REQUEST_S = 10.0
"""Deadline of one request."""
GIVE_UP_S = 60.0
"""How long a batch is tried."""
MAX_PAUSE_S = 15.0
"""Between two attempts, whatever the receiver asks for."""
_LOG_EVERY_S = 60.0
_MAX_ANSWER = 64 * 1024  # bytes; a longer answer closes the connection
_BUSY = frozenset({429, 502, 503, 504})  # OTLP's statuses that may be retried


class Dropped(StrEnum):
    """Why a batch was dropped."""

    QUEUE_FULL = "queue_full"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    SHUTDOWN = "shutdown"


class Batch(NamedTuple):
    """What an agent sent, with its user's identity."""

    signal: Signal
    encoding: Encoding
    body: bytes


class Counts(msgspec.Struct, frozen=True):
    """Batches since the start, by the destination's URL and the signal or reason."""

    relayed: Counter[tuple[str, ...]] = msgspec.field(default_factory=Counter)
    dropped: Counter[tuple[str, ...]] = msgspec.field(default_factory=Counter)


class Destination:
    """Sends batches to one receiver, in about the order in which they came."""

    def __init__(
        self,
        settings: TelemetrySettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        counts: Counts,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.signals = frozenset(map(Signal, settings.signals))
        self._url = settings.url
        self._headers = {name: value.reveal() for name, value in settings.headers}
        self._proxy = settings.proxy
        self._session = session
        self._monotonic = clock.monotonic
        self._counts = counts
        self._sleep = sleep
        self._queue: asyncio.Queue[Batch] = asyncio.Queue(MAX_QUEUE_ITEMS)
        self._bytes = 0
        self._quiet_until = float("-inf")
        self._tasks = Tasks()

    def put(self, batch: Batch) -> None:
        """Queue a batch, or drop it where too much waits."""
        if self._queue.full() or self._bytes + len(batch.body) > MAX_QUEUE_BYTES:
            self._drop(Dropped.QUEUE_FULL)
            self._complain("too much is waiting to be sent")
            return
        self._bytes += len(batch.body)
        self._queue.put_nowait(batch)
        if len(self._tasks) < SENDERS:
            self._tasks.start(self._send_all(), "telemetry")

    async def close(self, patience: float) -> None:
        """Wait up to so many seconds until all is sent, and drop the rest."""
        try:
            async with asyncio.timeout(patience):
                await self._tasks.idle()
        except TimeoutError:
            await self._tasks.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()
            self._drop(Dropped.SHUTDOWN)

    async def _send_all(self) -> None:
        """Send what waits, until nothing does."""
        while not self._queue.empty():
            batch = self._queue.get_nowait()
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._drop(Dropped.SHUTDOWN)
                raise
            finally:
                self._bytes -= len(batch.body)

    async def _send(self, batch: Batch) -> None:
        give_up, pause = self._monotonic() + GIVE_UP_S, 1.0
        while True:
            wait = pause
            try:
                status, asked = await self._post(batch)
            except (aiohttp.ClientError, OSError) as error:
                # A TimeoutError, too.
                is_late = isinstance(error, TimeoutError)
                reason = "it didn't respond in time" if is_late else str(cause_of(error))
            else:
                if 200 <= status < 300:
                    self._counts.relayed[self._url, batch.signal] += 1
                    return
                reason = f"it responded with {status}"
                if status not in _BUSY:
                    self._drop(Dropped.REFUSED)
                    self._complain(reason)
                    return
                wait = max(pause, asked)
            self._complain(reason)
            wait, pause = min(wait, MAX_PAUSE_S), pause * 2
            if self._monotonic() + wait > give_up:
                self._drop(Dropped.UNAVAILABLE)
                return
            await self._sleep(wait)

    async def _post(self, batch: Batch) -> tuple[int, float]:
        """The status of the answer, and how many seconds it asks to wait."""
        url = f"{self._url}/v1/{batch.signal}"
        headers = {**self._headers, "Content-Type": batch.encoding.value}
        proxy, proxy_headers = None, None
        if self._proxy is not None:
            proxy, proxy_headers = self._proxy.address, self._proxy.headers
            if url.startswith("http:"):  # then the proxy gets the request itself
                headers.update(proxy_headers)
        async with self._session.post(
            url,
            data=BytesIO(batch.body),  # which is written piece by piece
            headers=headers,
            allow_redirects=False,  # one would carry the headers to wherever it points
            proxy=proxy,
            proxy_headers=proxy_headers,
        ) as response:
            await response.content.read(_MAX_ANSWER)
            given = response.headers.get("Retry-After", "")
            return response.status, float(given) if given.isdecimal() and len(given) < 6 else 0.0

    def _drop(self, reason: Dropped) -> None:
        self._counts.dropped[self._url, reason] += 1

    def _complain(self, reason: str) -> None:
        if self._monotonic() >= self._quiet_until:
            self._quiet_until = self._monotonic() + _LOG_EVERY_S
            logger.warning("Telemetry can't be relayed to {}: {}", self._url, reason)
