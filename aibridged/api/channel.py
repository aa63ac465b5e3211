"""A bounded channel from a worker thread to the event loop, with backpressure.

The thread blocks while a few chunks wait to be sent, and gets an error once the reader has gone.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress

from aibridged.records.cancel_scope import QueryCancelledError

PIECE_BYTES = 64 * 1024
AHEAD = 4
"""Chunks that may wait to be sent."""
PATIENCE_S = 120.0
"""Longer than any response may take: its sender closes the channel before that."""


class Channel:
    """A queue of bytes: `write` is for the thread, all else for the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._closed = False

    def write(self, make: Callable[[], Generator[bytes]]) -> None:
        """Write a response to the channel, and the error with which it ends, if any."""
        end: Exception | None = None
        try:
            # An iterator that isn't exhausted keeps its connection until it is closed.
            with closing(make()) as pieces:
                for piece in _even(pieces):
                    self._put(piece)
        except Exception as error:  # noqa: BLE001 - raised by `read`
            end = error
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, end)

    async def read(self) -> bytes | None:
        """The next chunk, None at the end; raises whatever the writer raised."""
        piece = await self._pieces.get()
        if isinstance(piece, Exception):
            raise piece
        self._room.release()
        return piece

    def close(self) -> None:
        """Stop reading: the writer's next chunk is refused."""
        self._closed = True
        self._room.release()

    def _put(self, piece: bytes) -> None:
        if not self._room.acquire(timeout=PATIENCE_S) or self._closed:
            raise QueryCancelledError
        try:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        except RuntimeError:  # the loop is closed
            raise QueryCancelledError from None


def _even(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of `PIECE_BYTES`, except for the last."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        while len(gathered) >= PIECE_BYTES:
            yield bytes(gathered[:PIECE_BYTES])
            del gathered[:PIECE_BYTES]
    if gathered:
        yield bytes(gathered)
