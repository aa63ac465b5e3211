"""Throttling of token lookups per address: a flood of wrong tokens only slows down its own address.

No address is ever locked out: a right token gets its turn behind whatever else its address sends.
See `core.fair_queue` for how the turns are taken.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cachetools import TTLCache
from loguru import logger

from aibridged.clock import Clock
from aibridged.core.client_ip import network_name
from aibridged.core.fair_queue import FairQueue
from aibridged.identity.base import AuthUnavailableError

ROOM = 4096
WAIT_S = 5.0

THROTTLED_AT = 32
"""So many waiting look-ups are more than a busy office's laptops make at once."""
_EPISODE_S = 60.0
_MAX_EPISODES = 1000

_Waiter = asyncio.Future[None]


class NoRoomError(Exception):
    """As many look-ups as may wait do wait, for this address."""


class Lookups:
    """`places` look-ups may be under way at a time; the others wait for `wait` seconds at most."""

    def __init__(
        self, places: int, clock: Clock, *, room: int = ROOM, wait: float = WAIT_S
    ) -> None:
        self._queue: FairQueue[_Waiter] = FairQueue(places, room)
        self._wait_s = wait
        # An episode of throttling is logged once; it ends a while after the last long queue.
        self._throttled: TTLCache[bytes, None] = TTLCache(
            _MAX_EPISODES, _EPISODE_S, clock.monotonic
        )

    @asynccontextmanager
    async def place(self, address: bytes) -> AsyncIterator[None]:
        """A place, for as long as the block runs; `address` is a key as of `rate_limit_key`.

        Raises:
            NoRoomError: too many look-ups of this address wait already.
            AuthUnavailableError: it took too long to get one.
        """
        if not self._queue.take(address):
            await self._wait(address)
        try:
            yield
        finally:
            self._give_back(address)

    async def _wait(self, address: bytes) -> None:
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        if not self._queue.wait(address, waiter):
            raise NoRoomError
        self._note(address)
        try:
            async with asyncio.timeout(self._wait_s):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._give_back(address)  # it came just as we left
            else:
                self._queue.leave(address, waiter)
            if isinstance(error, TimeoutError):
                raise AuthUnavailableError(
                    f"A token lookup was queued for more than {self._wait_s:g} s."
                ) from None
            raise

    def _give_back(self, address: bytes) -> None:
        """Hand the place on to the next who still waits for it."""
        while (given := self._queue.give_back(address)) is not None:
            address, waiter = given
            if not waiter.done():
                waiter.set_result(None)
                return

    def _note(self, address: bytes) -> None:
        waiting = self._queue.waiting(address)
        if waiting < THROTTLED_AT:
            return
        if address not in self._throttled:
            logger.warning(
                "The address {} is throttled: {} token lookups from it are queued. If it is a "
                "reverse proxy, add it to --proxy-trusted-origins, and the header with the "
                "client's address to --proxy-trusted-headers",
                network_name(address),
                waiting,
            )
        self._throttled[address] = None
