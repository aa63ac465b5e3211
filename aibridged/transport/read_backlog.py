"""Parses responses beside their relays in time slices, with backpressure on the provider.

A chunk is relayed at once. It is then read in slices between other work of the event loop, and the
provider's connection isn't read until that is done.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from aibridged.transport.time_slices import Turns
from aibridged.wire.bounds import SLICE

Reader = Callable[[bytes], Iterator[None] | None]
"""Reads a slice; returns steps where a slice becomes larger by decoding."""


class Backlog:
    """Chunks of one response that were relayed and have yet to be read.

    `waits` says whether there are any, `failure` is what a reader raised: then nothing more is
    read. `on_read` is called once all has been read, or a reader has failed.
    """

    def __init__(
        self, turns: Turns, readers: Sequence[Reader], on_read: Callable[[], None], *, coded: bool
    ) -> None:
        self.waits = False
        self.failure: Exception | None = None
        self._turns = turns
        self._readers = readers
        self._on_read = on_read
        self._at_once = 0 if coded else SLICE
        self._pieces: deque[bytes] = deque()
        self._steps: Iterator[None] = iter(())
        self._waiter: asyncio.Future[None] | None = None

    def read(self, piece: bytes) -> None:
        """Read it now if it is small, else its first slice now and the others in later turns."""
        if not self.waits and len(piece) <= self._at_once:
            for read in self._readers:
                read(piece)
        elif self.failure is None and self._readers:
            self._pieces.append(piece)
            if not self.waits:
                self.waits = True
                self._steps = self._in_steps()
                self._step()

    async def finish(self) -> None:
        """Return once all has been read.

        If the request is cancelled meanwhile, it still finishes: clients disconnect at the last
        event.

        Raises: whatever a reader raised.
        """
        try:
            await self._all_read()
        except asyncio.CancelledError:
            await self._all_read()
            raise
        if self.failure is not None:
            raise self.failure

    async def _all_read(self) -> None:
        while self.waits:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _in_steps(self) -> Iterator[None]:
        while self._pieces:
            for part in sliced(self._pieces.popleft()):
                for read in self._readers:
                    yield from read(part) or ()
                yield

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._end()
        except Exception as error:  # noqa: BLE001 - the request's failure, not the event loop's
            self.failure = error
            self._pieces.clear()
            self._end()
        else:
            self._turns.call(self._step)

    def _end(self) -> None:
        self.waits = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._on_read()


def sliced(piece: bytes) -> Sequence[bytes]:
    """The chunk in slices."""
    if len(piece) <= SLICE:
        return (piece,)
    return [piece[start : start + SLICE] for start in range(0, len(piece), SLICE)]
