"""Look-ups in the database that requests wait for: short reads in threads, callers in turns."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from aibridged.core.fair_queue import Bounds
from aibridged.fair_places import FairPlaces
from aibridged.records.jobs import settle

T = TypeVar("T")

BOUNDS = Bounds(places=4, places_each=2, waiting=256)


class LookupFailedError(Exception):
    """It isn't known: the database doesn't answer, or too many ask."""


class Lookups:
    """Places for look-ups. To be used from the event loop; the deadline is the caller's."""

    def __init__(self, deadline: float) -> None:
        self._places: FairPlaces[str] = FairPlaces(BOUNDS, deadline)

    async def run(self, caller: str, read: Callable[[], T]) -> T:
        """What `read` returns, or raises, in a thread.

        A place is free again when its thread has ended, and not when nobody waits any more.
        """
        await self._places.take(caller)
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Any] = loop.create_future()

        def ended(result: T | None, error: Exception | None) -> None:
            self._places.give_back(caller)
            settle([found], error, result)

        def run() -> None:
            result = failure = None
            try:
                result = read()
            except Exception as error:  # noqa: BLE001 - a driver's, the system's or SQLAlchemy's
                failure = error
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(ended, result, failure)

        # None of a pool, which the process would wait for at its end, whatever hangs.
        try:
            threading.Thread(target=run, name="look-up", daemon=True).start()
        except RuntimeError:  # the system has none left
            self._places.give_back(caller)
            raise
        return await found  # type: ignore[no-any-return]
