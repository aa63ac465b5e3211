"""How much of the page each visitor gets: so many requests a second, so many at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aibridged.core.fair_queue import Bounds, QueueFullError
from aibridged.core.rate_limit import RETRY_AFTER_S, RateLimiter
from aibridged.errors import AT_CAPACITY, RATE_LIMITED, GatewayError
from aibridged.fair_places import FairPlaces

RATE = 20
"""Requests a second: of a person, and of a network for those who aren't signed in."""
PLACES, PLACES_EACH = 64, 6
"""Pages that are made at a time, in all and for one visitor."""
WAITING = 256
WAIT_S = 10.0


class Admission:
    """Admits requests by the key of their visitor; `rates` is the limiter of `RATE`."""

    def __init__(self, rates: RateLimiter, *, wait: float = WAIT_S) -> None:
        self._rates = rates
        bounds = Bounds(places=PLACES, places_each=PLACES_EACH, waiting=WAITING)
        self._places: FairPlaces[bytes] = FairPlaces(bounds, wait)

    @asynccontextmanager
    async def place(self, visitor: bytes) -> AsyncIterator[None]:
        """A place for the duration of the block.

        Raises:
            GatewayError: the visitor is over their limits, or nothing is free.
        """
        if not self._rates.admit(visitor):
            raise GatewayError(
                RATE_LIMITED, "You load pages too quickly.", retry_after=RETRY_AFTER_S
            )
        try:
            await self._places.take(visitor)
        except QueueFullError:
            raise GatewayError(
                RATE_LIMITED, "Too many of your pages are waiting.", retry_after=RETRY_AFTER_S
            ) from None
        except TimeoutError:
            raise GatewayError(
                AT_CAPACITY, "The gateway makes too many pages at the moment.", retry_after=5
            ) from None
        try:
            yield
        finally:
            self._places.give_back(visitor)
