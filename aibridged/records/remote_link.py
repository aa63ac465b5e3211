"""A worker's connection to the process that writes its records, made again when it is lost."""

import asyncio
import socket
from collections.abc import Callable

from aibridged.records.remote_frames import (
    PROTOCOL,
    Answers,
    FromWorker,
    Hello,
    Refusal,
    ToWorker,
    Welcome,
    decode_to_worker,
    framed,
)
from aibridged.records.remote_socket import FrameSocket
from aibridged.tasks import Tasks

RETRY_S = 0.25
"""Seconds between attempts to connect."""
WELCOME_S = 10.0
"""How long the writer may take to welcome a worker."""


class RemoteLink:
    """The connection of one recorder. `connect` returns a connected socket, or raises OSError.

    `on_up` is told whether starts are refused at the moment, `on_down` why the connection is lost;
    `on_room` is called when all that waited is sent. `is_up` in between.
    """

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        recorder_id: int,
        *,
        on_up: Callable[[bool], None],
        on_answers: Callable[[Answers], None],
        on_down: Callable[[str], None],
        on_room: Callable[[], None],
        retry_interval: float = RETRY_S,
    ) -> None:
        self.is_up = False
        self.reason = "it was never reached"
        self._connect = connect
        self._hello = Hello(PROTOCOL, recorder_id)
        self._on_up = on_up
        self._on_answers = on_answers
        self._on_down = on_down
        self._on_room = on_room
        self._retry_interval = retry_interval
        self._socket: FrameSocket | None = None
        self._ended: asyncio.Future[str]
        self._welcome: Welcome | None = None
        self._greeted: asyncio.Event
        self._first = asyncio.Event()
        self._tasks = Tasks()

    @property
    def waiting(self) -> int:
        """How many bytes aren't sent yet."""
        return self._socket.waiting if self._socket is not None else 0

    async def open(self, within: float) -> bool:
        """Connect, now and whenever the connection is lost; false where that takes longer."""
        self._tasks.start(self._keep(), "connection to the writer process")
        try:
            async with asyncio.timeout(within):
                await self._first.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Close the connection, and make none any more."""
        self.is_up = False
        await self._tasks.cancel()
        if self._socket is not None:
            self._socket.close()

    def send(self, message: FromWorker) -> None:
        """Send a message, if the connection is up.

        Raises:
            UnencodableError: nothing was sent.
        """
        if self._socket is not None and self.is_up:
            self._socket.send(framed(message))

    async def _keep(self) -> None:
        while True:
            await self._attempt()
            await asyncio.sleep(self._retry_interval)

    async def _attempt(self) -> None:
        """Connect once, and return when the connection has ended."""
        loop = asyncio.get_running_loop()
        self._ended, self._greeted, self._welcome = loop.create_future(), asyncio.Event(), None
        try:
            connection = self._connect()
        except OSError as error:
            self.reason = error.strerror or type(error).__name__
            return
        self._socket = connected = FrameSocket(
            connection, self._received, self._end, lambda: self._on_room()
        )
        connected.send(framed(self._hello))
        try:
            async with asyncio.timeout(WELCOME_S):
                await self._greeted.wait()
        except TimeoutError:
            self._end("it doesn't answer")
        if self._welcome is not None and not self._ended.done():
            self.is_up = True
            self._first.set()
            self._on_up(self._welcome.refuses)
        self.reason = await self._ended
        connected.close()
        if self.is_up:
            self.is_up = False
            self._on_down(self.reason)

    def _received(self, frame: memoryview) -> None:
        message: ToWorker = decode_to_worker(frame)
        if isinstance(message, Answers):
            if self.is_up:
                self._on_answers(message)
        elif isinstance(message, Refusal):
            self._end(message.reason)
        else:
            self._welcome = message
            self._greeted.set()

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
            self._greeted.set()
