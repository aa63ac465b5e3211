"""The client: raw HTTP/1.1 over kept-alive connections, as cheap as Python allows.

It runs in the bench's own process, and what is measured runs in others.
"""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

_HEAD_END = b"\r\n\r\n"
# No event ends like this, so that the end of a body is recognised by its last bytes.
_LAST_CHUNK = b"0\r\n\r\n"
_WORDS = "Please find out why the test of the retry loop fails on slow machines, and mend it. "


def message_request(path: str, token: str, size: int, *, stream: bool) -> bytes:
    """A request as Claude Code sends it: its headers, and a conversation of about `size` bytes."""
    head = (
        f"POST {path}?beta=true HTTP/1.1\r\nHost: localhost\r\n"
        "User-Agent: claude-cli/2.1.0 (external, cli)\r\nAccept: application/json\r\n"
        "Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\n"
        "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n"
        "X-Claude-Code-Session-Id: 5a8a2a0e-52f3-4f0f-9c80-0123456789ab\r\nX-App: cli\r\n"
        "X-Stainless-Lang: js\r\nX-Stainless-Runtime: node\r\nX-Stainless-Retry-Count: 0\r\n"
        f"Authorization: Bearer {token}\r\n"
    )
    body = _conversation(size, stream=stream)
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _conversation(size: int, *, stream: bool) -> bytes:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "How are you?"}]
    body = {"model": "claude-bench", "max_tokens": 1024, "stream": stream, "messages": messages}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": _WORDS * 4},
        {"role": "assistant", "content": [{"type": "text", "text": _WORDS * 4}]},
    ]
    room = size - len(json.dumps(body))
    messages[:0] = turns * (room // len(json.dumps(turns)))
    return json.dumps(body).encode()


@dataclass
class Tally:
    """The responses; `reads` are the chunks in which the streams arrived."""

    responses: int = 0
    events: int = 0
    reads: int = 0


class _Client(asyncio.Protocol):
    """One connection: sends the request again as soon as the response is complete."""

    def __init__(self, request: bytes, times: int, tally: Tally) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._times = times
        self._tally = tally
        self._head = b""
        self._tail = b""
        self._in_body = False
        self._body_left: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports don't derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
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

    def _send(self) -> None:
        self._times -= 1
        self._transport.write(self._request)

    def _read_head(self, head: bytes) -> None:
        self._in_body = True
        _, found, length = head.partition(b"\r\ncontent-length:")
        self._body_left = int(length.partition(b"\r\n")[0]) if found else None

    def _whole(self) -> None:
        self._tally.responses += 1
        self._head = self._tail = b""
        self._in_body = False
        if self._times:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(reason))


async def run(port: int, request: bytes, connections: int, times: int) -> Tally:
    """Send `request` so many times over each of so many connections to a port of this machine.

    Raises ConnectionError where a response isn't 200, or breaks off.
    """
    loop = asyncio.get_running_loop()
    tally = Tally()
    make = partial(_Client, request, times, tally)
    made = [await loop.create_connection(make, "127.0.0.1", port) for _ in range(connections)]
    await asyncio.gather(*(client.done for _, client in made))
    return tally
