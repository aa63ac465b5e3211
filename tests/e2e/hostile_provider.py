"""A provider in a process of its own that answers what the model's name asks for.

That is `kind`, `endless`, or one of GROUPS: its name and the attack's. It prints its port. What it
is told to send goes out as fast as it is taken.
"""

import asyncio
import gzip
import json
import re
import sys
from collections.abc import Callable, Iterator

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


def named_pieces() -> Iterator[bytes]:
    """A call that goes on for long, with its name and another id in each piece."""
    for number in range(10_000):
        function = {"name": "f", "arguments": '{"x":"' + "y" * 2_000 if number < 1_000 else "}"}
        call = {"index": 0, "id": f"call_{max(0, number - 1_000)}", "function": function}
        yield event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})


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


ANSWER = event({"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]})
DONE = b"data: [DONE]\n\n"

Attack = Callable[[], Iterator[bytes]]

KIND: Attack = lambda: iter((ANSWER, DONE))  # noqa: E731 - as the attacks are
ENDLESS: Attack = lambda: flood(ANSWER, 1 << 50)  # noqa: E731

FLOODS: dict[str, Attack] = {
    "line feeds": lambda: flood(b"\n", 16 * MIB),
    "carriage returns": lambda: flood(b"\r", 16 * MIB),
    "line ends": lambda: flood(b"\r\n", 16 * MIB),
    "tiny events": lambda: flood(b"data:x\n\n", 2 * MIB),
    "empty objects": lambda: flood(b"data:{}\n\n", 2 * MIB),
    "comments": lambda: flood(b":\n\n", 2 * MIB),
    "usage": lambda: flood(b'data:{"usage":1}\n\n', 2 * MIB),
    "lines": lambda: crowd(b"data:\n", b"data:\n", b"\n", 6 * MIB),
}
EVENTS: dict[str, Attack] = {
    "tool calls": lambda: joined(chat_call(number) for number in range(20_000)),
    "names in each piece": lambda: joined(named_pieces()),
    "indexes": lambda: joined(finish(number * 7) for number in range(50_000)),
    "a long event": lambda: crowd(b"data: ", b"x", b"\n\n", 20 * MIB),
    "a long event in pieces": lambda: growing(MIB),
    "an event of objects": lambda: crowd(b'data: {"choices":[', b"{},", b"{}]}\n\n", 7 * MIB),
    "depth": lambda: crowd(b'data: {"choices":', b"[", b"\n\n", 7 * MIB),
    "a large usage": lambda: iter((ANSWER, b'data: {"usage":%b}\n\n' % usage(400_000))),
}
BODIES: dict[str, Attack] = {
    "objects": lambda: crowd(b'{"choices":[', b"{},", b"{}]}", 15 * MIB),
    "numbers": lambda: crowd(b'{"error":[', b"0,", b"0]}", 15 * MIB),
    "text": lambda: crowd(b'{"id":"', b"\\n", b'"}', 15 * MIB),
    "a large usage": lambda: iter((b'{"usage":%b}' % usage(1_000_000),)),
    "blanks": lambda: flood(b" ", 64 * MIB),
}
CODED: dict[str, Attack] = {
    "gzip": lambda: iter((gzip.compress(b"\n" * 64 * MIB, 1),)),
    "x-gzip": lambda: iter((gzip.compress(b"data:{}\n\n" * MIB, 1),)),
    "zstd": lambda: iter((zstandard.compress(b"data:{}\n\n" * MIB),)),
    "gzip, gzip": lambda: iter((gzip.compress(gzip.compress(b"\n" * 64 * MIB, 1)),)),
    "gzip ": lambda: iter((gzip.compress(b"") * 100_000,)),
}
GROUPS = {"floods": FLOODS, "events": EVENTS, "bodies": BODIES, "coded": CODED}


async def answer(writer: asyncio.StreamWriter, model: str) -> None:
    group, _, name = model.partition(": ")
    attack = {"kind": KIND, "endless": ENDLESS}.get(group) or GROUPS[group][name]
    media_type = BODY if group == "bodies" else STREAM
    coding = f"Content-Encoding: {name}\r\n" if group == "coded" else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n{coding}"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    for piece in attack():
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
