"""Throttling of token lookups per address: a flood of wrong tokens only slows down its own address.

No address is ever locked out: a right token gets its turn behind whatever else its address sends.
See `core.fair_queue` for the order of turns.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cachetools import TTLCache
from loguru import logger

from aibridged.clock import Clock
from aibridged.core.client_ip import network_name
from aibridged.core.fair_queue import Bounds, QueueFullError
from aibridged.counted import counted
from aibridged.fair_places import FairPlaces
from aibridged.identity.base import AuthUnavailableError

ROOM = 4096
WAIT_S = 5.0

THROTTLED_AT = 32
"""More waiting lookups than a busy office's laptops make at once."""
_EPISODE_S = 60.0
_MAX_EPISODES = 1000


class NoRoomError(Exception):
    """The queue of lookups is full for this address."""


class Lookups:
    """At most `places` lookups run at a time; the others wait for up to `wait` seconds.

    One address has at most half of the places.
    """

    def __init__(
        self, places: int, clock: Clock, *, room: int = ROOM, wait: float = WAIT_S
    ) -> None:
        bounds = Bounds(places=places, places_each=max(1, places // 2), waiting=room)
        self._places: FairPlaces[bytes] = FairPlaces(bounds, wait, self._note)
        # An episode of throttling is logged once; it ends a while after the last long queue.
        self._throttled: TTLCache[bytes, None] = TTLCache(
            _MAX_EPISODES, _EPISODE_S, clock.monotonic
        )

    @asynccontextmanager
    async def place(self, address: bytes) -> AsyncIterator[None]:
        """A place for the duration of the block; `address` is a key from `rate_limit_key`.

        Raises:
            NoRoomError: too many lookups of this address are waiting already.
            AuthUnavailableError: the wait for a place took too long.
        """
        try:
            await self._places.take(address)
        except QueueFullError:
            raise NoRoomError from None
        except TimeoutError:
            raise AuthUnavailableError(
                f"A token lookup was queued for more than {self._places.wait_s:g} s."
            ) from None
        try:
            yield
        finally:
            self._places.give_back(address)

    def _note(self, address: bytes, waiting: int) -> None:
        if waiting < THROTTLED_AT:
            return
        if address not in self._throttled:
            logger.warning(
                "The address {} is throttled: {} queued from it. If it is a "
                "reverse proxy, add it to --proxy-trusted-origins, and the header with the "
                "client's address to --proxy-trusted-headers",
                network_name(address),
                counted(waiting, "token lookup is", "token lookups are"),
            )
        self._throttled[address] = None
