"""A provider in a process of its own that answers what the model's name asks for; see ATTACKS.

It prints its port. What it is told to send goes out as fast as it is taken.
"""

import asyncio
import gzip
import json
import re
import sys
from collections.abc import Iterator

import zstandard

KIB, MIB = 1024, 1024 * 1024
BLOCK = 256 * KIB
STREAM, BODY = "text/event-stream", "application/json"


def event(value: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def flood(unit: bytes, size: int) -> Iterator[bytes]:
    block = unit * (BLOCK // len(unit))
    for _ in range(size // len(block)):
        yield block


def joined(events: Iterator[bytes]) -> Iterator[bytes]:
    yield b"".join(events)


def chat_call(number: int) -> bytes:
    function = {"name": "f", "arguments": "{}"}
    call = {"index": number, "id": f"call_{number}", "function": function}
    return event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})


def finish(number: int) -> bytes:
    return event({"choices": [{"index": number, "delta": {}, "finish_reason": "stop"}]})


def crowd(before: bytes, unit: bytes, after: bytes, size: int) -> Iterator[bytes]:
    yield before
    yield from flood(unit, size)
    yield after


def growing(size: int) -> Iterator[bytes]:
    yield b'data: {"choices":[{"delta":{"content":"'
    for _ in range(size // 10):
        yield b"0123456789"
    yield b'"}}]}\n\n'


def usage(count: int) -> bytes:
    return b"{%b}" % b",".join(b'"count_%d":1' % number for number in range(count))


KIND = event({"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]})
DONE = b"data: [DONE]\n\n"

ATTACKS = {
    "kind": (STREAM, lambda: iter((KIND, DONE))),
    "line feeds": (STREAM, lambda: flood(b"\n", 32 * MIB)),
    "carriage returns": (STREAM, lambda: flood(b"\r", 32 * MIB)),
    "line ends": (STREAM, lambda: flood(b"\r\n", 32 * MIB)),
    "tiny events": (STREAM, lambda: flood(b"data:x\n\n", 4 * MIB)),
    "empty objects": (STREAM, lambda: flood(b"data:{}\n\n", 4 * MIB)),
    "comments": (STREAM, lambda: flood(b":\n\n", 4 * MIB)),
    "lines": (STREAM, lambda: crowd(b"data:\n", b"data:\n", b"\n", 6 * MIB)),
    "tool calls": (STREAM, lambda: joined(chat_call(number) for number in range(20_000))),
    "indexes": (STREAM, lambda: joined(finish(number * 7) for number in range(50_000))),
    "a long event": (STREAM, lambda: crowd(b"data: ", b"x", b"\n\n", 20 * MIB)),
    "a long event in pieces": (STREAM, lambda: growing(MIB)),
    "an event of objects": (
        STREAM,
        lambda: crowd(b'data: {"choices":[', b"{},", b"{}]}\n\n", 7 * MIB),
    ),
    "depth": (STREAM, lambda: crowd(b'data: {"choices":', b"[", b"\n\n", 7 * MIB)),
    "a large usage": (
        STREAM,
        lambda: iter((event({}), b'data: {"usage":%b}\n\n' % usage(400_000))),
    ),
    "a body of objects": (BODY, lambda: crowd(b'{"choices":[', b"{},", b"{}]}", 15 * MIB)),
    "a body of numbers": (BODY, lambda: crowd(b'{"error":[', b"0,", b"0]}", 15 * MIB)),
    "a body of text": (BODY, lambda: crowd(b'{"id":"', b"\\n", b'"}', 15 * MIB)),
    "a body of usage": (BODY, lambda: iter((b'{"usage":%b}' % usage(1_000_000),))),
    "a body without end": (BODY, lambda: flood(b" ", 100 * MIB)),
    "endless": (STREAM, lambda: flood(KIND, 1 << 50)),
}
CODED = {
    "gzip of line feeds": (b"gzip", gzip.compress(b"\n" * 100 * MIB)),
    "gzip of events": (b"gzip", gzip.compress(b"data:{}\n\n" * 3_000_000)),
    "zstd of events": (b"zstd", zstandard.compress(b"data:{}\n\n" * 3_000_000)),
    "gzip in gzip": (b"gzip, gzip", gzip.compress(gzip.compress(b"\n" * 100 * MIB))),
    "empty gzip members": (b"gzip", gzip.compress(b"") * 100_000),
}


async def answer(writer: asyncio.StreamWriter, model: str) -> None:
    coding = b""
    if model in CODED:
        name, coded = CODED[model]
        media_type, pieces = STREAM, iter((coded,))
        coding = b"Content-Encoding: %b\r\n" % name
    else:
        media_type, make = ATTACKS[model]
        pieces = make()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%bTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head % (media_type.encode(), coding))
    for piece in pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1]) if length else 0)
            await answer(writer, json.loads(body)["model"])
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the gateway has had enough
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
