"""The control channel between the supervisor and a child: requests and answers, in both directions.

It is a pair of connected Unix sockets, one end of which the child inherits, so that nothing else
can speak on it. A frame is its length (4 bytes, big-endian) and an array in MessagePack. The end of
the stream means that the other process has ended.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

import msgspec
from loguru import logger

from aibridged.tasks import Tasks

T = TypeVar("T")

DEADLINE_S = 5.0
"""Of an answer, unless the asker says otherwise."""
MAX_BYTES = 32 << 20
"""Of a frame; a longer one that arrives ends the channel."""
MAX_UNSENT = 64 << 20
"""Bytes that wait for a process that doesn't read; further frames are refused."""
MAX_WAITING = 1_000
"""Requests of one process that wait for their answers; further ones fail at once."""
MAX_AT_ONCE = 64
"""Requests that are handled at the same time; further ones are refused."""

_READ_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")
_NOTHING = msgspec.Raw(b"\xc0")
_encoder = msgspec.msgpack.Encoder()

Handler = Callable[[Any], Awaitable[object]]


class ChannelError(Exception):
    """A request has no answer; the message says why."""


class ChannelClosedError(ChannelError):
    """The other process has ended, or is ending."""


class NoAnswerError(ChannelError):
    """There was no answer within the deadline."""


class RefusedError(ChannelError):
    """The other side couldn't do it. A handler raises it with the reason."""


class _Frame(msgspec.Struct, array_like=True, frozen=True):
    """A request has a `kind`; an answer has none, and an `error` where it failed.

    No one waits for an answer to a request with the id 0.
    """

    id: int
    kind: str
    payload: msgspec.Raw
    error: str = ""


_decoder = msgspec.msgpack.Decoder(_Frame)


class _Registered(msgspec.Struct, frozen=True):
    handle: Handler
    takes: Any


class Channel:
    """One end of a channel, for an event loop. `peer` is who is at the other end, for messages.

    `closed` is set once nothing more can be asked or answered, and `on_end` is called then.
    """

    def __init__(self, connection: socket.socket, peer: str) -> None:
        self.closed = asyncio.Event()
        self.on_end: Callable[[], None] = _nothing
        self._connection = connection
        self._peer = peer
        self._writer: asyncio.StreamWriter | None = None
        self._handlers: dict[str, _Registered] = {}
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._asked = 0
        self._handling = 0
        self._tasks = Tasks()

    def on(self, kind: str, handler: Handler, takes: Any = object) -> None:
        """Have `handler` answer requests of this kind; `takes` is the type of their payload.

        The handler returns the answer, which msgspec can encode, or raises RefusedError.
        """
        self._handlers[kind] = _Registered(handler, takes)

    async def start(self) -> None:
        """Begin to read; handlers must have been set for what may come at once."""
        reader, self._writer = await asyncio.open_unix_connection(
            sock=self._connection, limit=_READ_BYTES
        )
        self._tasks.start(self._read(reader), f"channel to {self._peer}")

    @overload
    async def ask(
        self, kind: str, payload: object = ..., *, within: float = ...
    ) -> Any: ...  # what msgspec makes of it
    @overload
    async def ask(
        self, kind: str, payload: object = ..., *, gives: type[T], within: float = ...
    ) -> T: ...
    async def ask(
        self,
        kind: str,
        payload: object = None,
        *,
        gives: Any = object,
        within: float = DEADLINE_S,
    ) -> Any:
        """The answer of the other side, as the type `gives`.

        Raises:
            ChannelClosedError: the other process has ended.
            NoAnswerError: it doesn't answer within so many seconds.
            RefusedError: it can't do that, or too much is asked already.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise RefusedError(f"Too many requests to {self._peer} wait for an answer.")
        self._asked += 1
        number = self._asked
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(_Frame(number, kind, _raw(payload)))
            async with asyncio.timeout(within):
                found = await answer
            return msgspec.msgpack.decode(found, type=gives)
        except TimeoutError:
            raise NoAnswerError(f"{self._peer} does not answer within {within:g} s.") from None
        except msgspec.MsgspecError as error:
            raise RefusedError(f"{self._peer} answered something else: {error}.") from None
        finally:
            del self._waiting[number]

    def tell(self, kind: str, payload: object = None) -> None:
        """Ask without waiting for an answer; what has ended isn't told."""
        with suppress(ChannelError):
            self._send(_Frame(0, kind, _raw(payload)))

    async def close(self) -> None:
        """End the channel: requests that wait for their answers fail with ChannelClosedError."""
        self._end()
        await self._tasks.cancel()

    def _send(self, frame: _Frame) -> None:
        writer = self._writer
        if writer is None or self.closed.is_set() or writer.is_closing():
            raise ChannelClosedError(f"{self._peer} has ended.")
        data = _encoder.encode(frame)
        if len(data) > MAX_BYTES:
            raise RefusedError(f"{len(data):,} bytes are more than a frame may have.")
        if writer.transport.get_write_buffer_size() + len(data) > MAX_UNSENT:
            raise RefusedError(f"{self._peer} does not read what it is told.")
        writer.write(_LENGTH.pack(len(data)))
        writer.write(data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > MAX_BYTES:
                    logger.error("A frame of {:,} bytes came from {}", length, self._peer)
                    return
                frame = _decoder.decode(await reader.readexactly(length))
                if not frame.kind:
                    self._take(frame)
                elif self._handling >= MAX_AT_ONCE:
                    self._refuse(frame, "Too many requests are handled already.")
                else:
                    self._handling += 1
                    self._tasks.start(self._answer(frame), f"{frame.kind} for {self._peer}")
        except (asyncio.IncompleteReadError, OSError):
            pass  # the other process has ended
        except msgspec.MsgspecError as error:
            logger.error("A malformed frame came from {}: {}", self._peer, error)
        finally:
            self._end()

    def _take(self, frame: _Frame) -> None:
        answer = self._waiting.get(frame.id)
        if answer is None or answer.done():
            return  # it comes too late
        if frame.error:
            answer.set_exception(RefusedError(frame.error))
        else:
            answer.set_result(frame.payload)

    async def _answer(self, frame: _Frame) -> None:
        try:
            answer = _Frame(frame.id, "", _raw(await self._handled(frame)))
            if frame.id:
                self._send(answer)
        except ChannelError as error:
            self._refuse(frame, str(error))
        except Exception as error:  # noqa: BLE001 - a bug must not keep the asker waiting
            logger.exception("The request {} of {} failed", frame.kind, self._peer)
            self._refuse(frame, f"{frame.kind} failed: {type(error).__name__}.")
        finally:
            self._handling -= 1

    async def _handled(self, frame: _Frame) -> object:
        registered = self._handlers.get(frame.kind)
        if registered is None:
            raise RefusedError(f"There is no handler for {frame.kind}.")
        return await registered.handle(msgspec.msgpack.decode(frame.payload, type=registered.takes))

    def _refuse(self, frame: _Frame, why: str) -> None:
        if frame.id:
            with suppress(ChannelError):
                self._send(_Frame(frame.id, "", _NOTHING, why))

    def _end(self) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ChannelClosedError(f"{self._peer} has ended."))
        if self._writer is not None:
            self._writer.close()
        else:
            self._connection.close()
        self.on_end()


def _nothing() -> None:
    pass


def receive(connection: socket.socket, kind: str, takes: type[T], within: float | None) -> T:
    """The first request that comes, before there is a loop; blocks. It is of this kind.

    Raises:
        ChannelClosedError: the other process has ended, or says something else.
        NoAnswerError: nothing comes within so many seconds.
    """
    connection.settimeout(within)
    try:
        (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
        frame = _decoder.decode(_exactly(connection, min(length, MAX_BYTES)))
        if frame.kind != kind:
            raise ChannelClosedError(f"{frame.kind} came in place of {kind}.")
        return msgspec.msgpack.decode(frame.payload, type=takes)
    except TimeoutError:
        raise NoAnswerError(f"Nothing came within {within:g} s.") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ChannelClosedError(str(error)) from None
    finally:
        connection.setblocking(False)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ChannelClosedError("The other process has ended.")
        data += piece
    return bytes(data)


def _raw(payload: object) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(payload)) if payload is not None else _NOTHING
