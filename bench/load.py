"""The client: raw HTTP/1.1 over kept-alive connections, as cheap as Python allows.

It runs in the bench's own process, and what is measured runs in others.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any, cast

from bench.targets import MODEL

_HEAD_END = b"\r\n\r\n"
# No event ends like this, so that the end of a body is recognised by its last bytes.
_LAST_CHUNK = b"0\r\n\r\n"
_WORDS = "Please find out why the test of the retry loop fails on slow machines, and mend it. "


def message_request(
    path: str,
    token: str,
    size: int,
    *,
    stream: bool = False,
    tools: int = 0,
    messages: int | None = None,
    prompt: str = "How are you?",
) -> bytes:
    """A request as Claude Code sends it: its headers, and a conversation of about `size` bytes.

    It has as many messages as fill that size, or so many. It offers `tools`, which come on top.
    """
    head = (
        f"POST {path}?beta=true HTTP/1.1\r\nHost: localhost\r\n"
        "User-Agent: claude-cli/2.1.0 (external, cli)\r\nAccept: application/json\r\n"
        "Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\n"
        "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n"
        "X-Claude-Code-Session-Id: 5a8a2a0e-52f3-4f0f-9c80-0123456789ab\r\nX-App: cli\r\n"
        "X-Stainless-Lang: js\r\nX-Stainless-Runtime: node\r\nX-Stainless-Retry-Count: 0\r\n"
        f"Authorization: Bearer {token}\r\n"
    )
    body = _body(size, messages, prompt, stream=stream, tools=tools)
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _body(size: int, messages: int | None, prompt: str, *, stream: bool, tools: int) -> bytes:
    body: dict[str, Any] = {"model": MODEL, "max_tokens": 1024, "stream": stream}
    if tools:
        body["tools"] = [_tool(number) for number in range(tools)]
    return json.dumps({**body, "messages": _conversation(size, messages, prompt)}).encode()


def _conversation(size: int, messages: int | None, prompt: str) -> list[dict[str, Any]]:
    last = {"role": "user", "content": prompt}
    if messages is None:
        turns = _turn(_WORDS * 4)
        return [*turns * (size // len(json.dumps(turns))), last]
    turns = _turn(_WORDS * (size // messages // len(_WORDS) or 1))
    return [*turns * (messages // 2), last]


def _turn(words: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": words},
        {"role": "assistant", "content": [{"type": "text", "text": words}]},
    ]


def _tool(number: int) -> dict[str, Any]:
    """A tool as coding agents offer it, of about 500 bytes."""
    parameter = {"type": "string", "description": _WORDS}
    return {
        "name": f"tool_{number}",
        "description": _WORDS * 2,
        "input_schema": {
            "type": "object",
            "properties": {"path": parameter, "pattern": {"type": "string"}},
            "required": ["path"],
        },
    }


@dataclass
class Tally:
    """The responses; `reads` are the chunks in which the streams arrived."""

    responses: int = 0
    events: int = 0
    reads: int = 0


class Connection(asyncio.Protocol):
    """A kept-alive connection, for one request at a time. `failed` gets a ConnectionError."""

    def __init__(self, tally: Tally, failed: "asyncio.Future[None]") -> None:
        self._tally = tally
        self._failed = failed
        self._answered: Callable[[Connection], None] | None = None
        self._head = b""
        self._tail = b""
        self._in_body = False
        self._body_left: int | None = None

    def ask(self, request: bytes, answered: Callable[["Connection"], None]) -> None:
        """Send the request; `answered` is called with the last byte of the response."""
        self._answered = answered
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection; a response that is still due is given up."""
        self._answered = None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports don't derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None:
            self._fail("it closed the connection")

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head += data
            head, found, data = self._head.partition(_HEAD_END)
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._fail(repr(self._head))
                return
            self._read_head(head.lower())
        if self._body_left is not None:
            self._body_left -= len(data)
            if self._body_left == 0:
                self._whole()
        elif data:
            self._tally.reads += 1
            self._tally.events += data.count(b"event: ")
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            if self._tail == _LAST_CHUNK:
                self._whole()

    def _read_head(self, head: bytes) -> None:
        self._in_body = True
        _, found, length = head.partition(b"\r\ncontent-length:")
        self._body_left = int(length.partition(b"\r\n")[0]) if found else None

    def _whole(self) -> None:
        self._tally.responses += 1
        self._head = self._tail = b""
        self._in_body = False
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(self)

    def _fail(self, reason: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(ConnectionError(reason))


class Client:
    """Connections to a port of this machine; `tally` counts what they received."""

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self._port = port
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> Connection:
        """A new connection."""
        make = partial(Connection, self.tally, self._failed)
        _, connection = await asyncio.get_running_loop().create_connection(
            make, "127.0.0.1", self._port
        )
        return connection

    async def all_done(self, done: "asyncio.Future[None]") -> Tally:
        """The tally once `done` is; raises ConnectionError where a response isn't 200."""
        await asyncio.wait((done, self._failed), return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            self._failed.result()
        return self.tally


async def run(port: int, requests: Sequence[bytes], connections: int, times: int) -> Tally:
    """Send requests, in turn, so many times over each of so many connections.

    Raises ConnectionError where a response isn't 200, or breaks off.
    """
    client, done = Client(port), asyncio.get_running_loop().create_future()
    waiting = islice(cycle(requests), connections * times)
    made = [await client.connect() for _ in range(connections)]
    busy = connections

    def go_on(connection: Connection) -> None:
        nonlocal busy
        request = next(waiting, None)
        if request is not None:
            connection.ask(request, go_on)
            return
        connection.close()
        busy -= 1
        if not busy:
            done.set_result(None)

    for connection in made:
        go_on(connection)
    return await client.all_done(done)


async def pace(port: int, request: bytes, rate: float, seconds: float) -> list[float]:
    """Send a request `rate` times a second at random moments: the sorted times taken, in seconds.

    Arrivals don't wait for responses: each takes a connection that is free, or a new one.

    Raises ConnectionError where a response isn't 200, or breaks off.
    """
    client, done = Client(port), asyncio.get_running_loop().create_future()
    free, took, count = list[Connection](), list[float](), int(rate * seconds)
    moments, due = random.Random(1), time.perf_counter()

    def answered(began: float, connection: Connection) -> None:
        took.append(time.perf_counter() - began)
        free.append(connection)
        if len(took) == count:
            done.set_result(None)

    for _ in range(count):
        due += moments.expovariate(rate)
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        connection = free.pop() if free else await client.connect()
        connection.ask(request, partial(answered, time.perf_counter()))
    await client.all_done(done)
    for connection in free:
        connection.close()
    return sorted(took)
