"""Runs queries in worker threads, with bounds on concurrency, queueing and time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from aibridged.api.channel import Channel
from aibridged.clock import Clock
from aibridged.core.fair_queue import Bounds, QueueFullError, ShareFullError
from aibridged.core.rate_limit import RETRY_AFTER_S, RateLimiter
from aibridged.errors import QUERY_FAILED, RATE_LIMITED, GatewayError
from aibridged.fair_places import FairPlaces
from aibridged.records.cancel_scope import CancelScope
from aibridged.records.query import Query

A_SECOND = 10
"""Rate limit of a caller's queries, and their burst."""
BOUNDS = Bounds(places=6, places_each=2, waiting=32, waiting_each=4)
WAIT_S = 10.0
"""How long a query may wait for a place."""


class QueryRunner:
    """Runs the queries of all callers, within bounds; `limiter` is that of `A_SECOND`."""

    def __init__(
        self,
        query: Query,
        clock: Clock,
        limiter: RateLimiter | None = None,
        *,
        wait: float = WAIT_S,
    ) -> None:
        self._query = query
        self._clock = clock
        self._limiter = RateLimiter(A_SECOND, clock) if limiter is None else limiter
        self._places: FairPlaces[str] = FairPlaces(BOUNDS, wait)
        self._threads = ThreadPoolExecutor(BOUNDS.places, thread_name_prefix="query")

    @asynccontextmanager
    async def ask(
        self, caller: str, make: Callable[[Query], Generator[bytes]], *, for_page: bool = False
    ) -> AsyncIterator[Channel]:
        """Run `make` in a thread, and return the channel that its output arrives on.

        What isn't read by the end of the context is dropped, and the database query cancelled. The
        place is free again once the thread is. A page makes several queries, and pages have a rate
        limit of their own.

        Raises:
            GatewayError: the caller, or all callers together, are over their limits.
        """
        if not for_page and not self._limiter.admit(caller.encode()):
            raise GatewayError(RATE_LIMITED, retry_after=RETRY_AFTER_S)
        await self._enter(caller)
        scope, channel = CancelScope(self._clock), Channel()
        loop = asyncio.get_running_loop()

        def ended(_: Future[None]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody is waiting
                loop.call_soon_threadsafe(self._places.give_back, caller)

        query = self._query.within(scope)
        self._threads.submit(channel.write, lambda: make(query)).add_done_callback(ended)
        try:
            yield channel
        finally:
            channel.close()
            scope.cancel()

    def close(self) -> None:
        """Refuse new queries."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _enter(self, caller: str) -> None:
        try:
            await self._places.take(caller)
        except ShareFullError:
            message = "Too many of your queries are running. Please wait for them to finish."
            raise GatewayError(RATE_LIMITED, message, retry_after=RETRY_AFTER_S) from None
        except QueueFullError:
            message = "Too many queries are queued."
            raise GatewayError(QUERY_FAILED, message, retry_after=1) from None
        except TimeoutError:
            message = "Earlier queries are taking too long."
            raise GatewayError(QUERY_FAILED, message, retry_after=1) from None
