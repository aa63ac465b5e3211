"""A Unix socket that carries frames, for the event loop itself: without a task or thread between.

What is sent is given to the system at once, so that it is in the order of everything else that the
process does; only what the system doesn't take waits for the loop.
"""

import asyncio
import socket
from collections.abc import Callable

import msgspec

from aibridged.records.remote_frames import HEADER_BYTES, MAX_FRAME_BYTES

_READ_BYTES = 256 * 1024

OnFrame = Callable[[memoryview], None]
"""Takes a frame, without its length; what it raises ends the connection."""


class FrameSocket:
    """One connected socket. `on_lost` is called once, unless it is closed from here before.

    `on_room` is called when all that waited is with the system.
    """

    def __init__(
        self,
        connection: socket.socket,
        on_frame: OnFrame,
        on_lost: Callable[[str], None],
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = connection
        self._descriptor = connection.fileno()
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_room = on_room
        self._received = bytearray()
        # One for all reads: a new one of this size would be mapped, and unmapped, each time.
        self._buffer = bytearray(_READ_BYTES)
        self._waiting = bytearray()
        self._is_closed = False
        self._is_reading = False
        connection.setblocking(False)
        self.resume()

    @property
    def waiting(self) -> int:
        """How many bytes the system hasn't taken yet."""
        return len(self._waiting)

    def send(self, frame: bytes | bytearray) -> None:
        """Send a frame, after those that wait."""
        if self._is_closed:
            return
        if self._waiting:
            self._waiting += frame
            return
        try:
            sent = self._socket.send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            # Not at once: the caller is in the middle of something.
            self._loop.call_soon(self._lose, _reason(error))
            return
        if sent < len(frame):
            self._waiting += frame[sent:]
            self._loop.add_writer(self._descriptor, self._send_on)

    def pause(self) -> None:
        """Read nothing more, so that the other end has to wait."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read again."""
        if not self._is_reading and not self._is_closed:
            self._is_reading = True
            self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Close it, whatever waits."""
        if self._is_closed:
            return
        self.pause()
        self._is_closed = True
        if self._waiting:
            self._loop.remove_writer(self._descriptor)
        self._socket.close()

    def _send_on(self) -> None:
        try:
            sent = self._socket.send(self._waiting)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(_reason(error))
            return
        del self._waiting[:sent]
        if not self._waiting:
            self._loop.remove_writer(self._descriptor)
            self._on_room()

    def _read(self) -> None:
        try:
            count = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(_reason(error))
            return
        if not count:
            self._lose("it has closed the connection")
            return
        try:
            self._take(self._buffer[:count])
        except (ValueError, msgspec.MsgspecError) as error:
            self._lose(f"it sends no frames: {error}")

    def _take(self, data: bytearray) -> None:
        received = data
        if self._received:
            self._received += data
            received = self._received
        end, at = len(received), 0
        with memoryview(received) as view:
            while end - at >= HEADER_BYTES:
                length = int.from_bytes(received[at : at + HEADER_BYTES], "big")
                if length > MAX_FRAME_BYTES:
                    raise ValueError(f"one of {length} bytes")
                stop = at + HEADER_BYTES + length
                if stop > end:
                    break
                with view[at + HEADER_BYTES : stop] as frame:
                    self._on_frame(frame)
                if self._is_closed:
                    return
                at = stop
        if received is data:
            self._received += data[at:]
        else:
            del self._received[:at]

    def _lose(self, reason: str) -> None:
        if not self._is_closed:
            self.close()
            self._on_lost(reason)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
