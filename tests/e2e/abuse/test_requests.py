"""Whatever one caller sends, another caller's requests don't wait for it.

The bodies are generated: codings that unpack to more than they are, and JSON of every hostile shape
in every field that is read, up to the largest body that is taken.
"""

import gzip
import itertools
import random
import zlib
from collections.abc import Iterator

import pytest
import zstandard

PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}
FIELDS = ["messages", "input", "metadata", "stream", "stream_options", "tools", "model", "other"]


def repeated(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def values(size: int) -> Iterator[tuple[str, bytes]]:
    """JSON values of about so many bytes, by name."""
    yield "zeros", b"[%b0]" % repeated(b"0,", size)
    yield "empty objects", b"[%b{}]" % repeated(b"{},", size)
    yield "empty strings", b"[%b0]" % repeated(b'"",', size)
    yield "numbers", b"[%b0]" % repeated(b"-1.5e300,", size)
    yield "nested arrays", b"%b%b" % (b"[" * (size // 2), b"]" * (size // 2))
    yield "nested objects", b"%b0%b" % (repeated(b'{"a":', size), b"}" * (size // 6))
    yield "shallow nests", b"[%b0]" % repeated(b"[" * 100 + b"]" * 100 + b",", size)
    yield "one member again", b"{%b0}" % (repeated(b'"a":0,', size) + b'"b":')
    yield "many members", b"{%b}" % b",".join(b'"%d":0' % n for n in range(size // 11))
    yield "long text", b'"%b"' % (b"x" * size)
    yield "escapes", b'"%b"' % repeated(rb"\n\"\\", size)
    yield "unicode escapes", b'"%b"' % repeated(rb"\ud83d\ude00", size)
    yield "bytes that are no text", b'"%b"' % (b"\xff" * size)
    yield "digits", b"1" * size
    yield "blanks", b" " * size + b"0"
    yield "commas in text", b'["%b"]' % repeated(b"a, b, ", size)
    yield "user messages", b"[%b0]" % repeated(b'{"role":"user","content":"hi"},', size)
    yield (
        "parts",
        b'[{"role":"user","content":[%b{}]}]' % repeated(b'{"type":"text","text":"hi"},', size),
    )
    yield (
        "results",
        b'[{"role":"user","content":[%b{}]}]'
        % repeated(b'{"type":"tool_result","tool_use_id":"toolu_1"},', size),
    )
    yield "tool messages", b"[%b{}]" % repeated(b'{"role":"tool","tool_call_id":"call_1"},', size)
    yield "a long prompt", b'[{"role":"user","content":"%b"}]' % repeated(b"long prompt\\n", size)
    yield "an image", b'[{"role":"user","content":[{"type":"image","data":"%b"}]}]' % (b"A" * size)


def with_field(name: str, value: bytes) -> bytes:
    own = b"" if name == "model" else b'"model":"m",'
    return b'{%b"%b":%b,"stream":true}' % (own, name.encode(), value)


def bodies(limit: int, *, every_field: bool) -> Iterator[tuple[str, str, bytes]]:
    """Name, API and body of JSON requests: each value in one field, or in every one."""
    size = limit - 1000
    for number, (name, value) in enumerate(values(size)):
        for place, field in enumerate(FIELDS):
            if every_field or number % len(FIELDS) == place:
                api = list(PATHS)[(number + place) % len(PATHS)]
                yield f"{name} in {field} of {api}", api, with_field(field, value)
    yield "broken off", "messages", with_field("messages", b"[%b" % repeated(b"{},", size))[:-50]
    yield "no JSON", "chat", random.Random(0).randbytes(size)


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def coded(limit: int) -> Iterator[tuple[str, str, bytes]]:
    """Name, Content-Encoding and body of compressed requests."""
    zeros = bytes(8 * limit)
    hostile = with_field("messages", b"[%b0]" % repeated(b"0,", limit - 1000))
    members = gzip.compress(b"")
    frames = zstandard.compress(b"")
    yield (
        "gzip of gzip of gzip",
        "gzip, gzip, gzip",
        gzip.compress(gzip.compress(gzip.compress(zeros))),
    )
    yield "zstd of zstd", "zstd, zstd", zstandard.compress(zstandard.compress(zeros))
    yield "gzip of zeros", "gzip", gzip.compress(zeros)
    yield "deflate of zeros", "deflate", zlib.compress(zeros)
    yield "raw deflate of zeros", "deflate", raw_deflate(zeros)
    yield "zstd of zeros", "zstd", zstandard.compress(zeros)
    yield "gzip of JSON", "gzip", gzip.compress(hostile)
    yield "zstd of JSON", "zstd", zstandard.compress(hostile)
    yield "empty members", "gzip", repeated(members, limit - 1000)
    yield "empty frames", "zstd", repeated(frames, limit - 1000)
    yield "empty blocks", "deflate", b"\x78\x01" + repeated(b"\x00\x00\x00\xff\xff", limit - 1000)
    yield "garbage behind a header", "gzip", members[:10] + random.Random(1).randbytes(limit // 2)
    yield "broken off", "zstd", zstandard.compress(hostile)[:-10]


some = pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.drill)])
"""Every fourth case, or as a drill every one: they take 0.5 s of CPU each."""


@some
@pytest.mark.timeout(1200)
async def test_json(enter, provider, attack, limit, at_length, step):
    arena = await enter(provider)
    cases = itertools.islice(bodies(limit, every_field=at_length), 0, None, step)
    await arena.fares_well(
        "request bodies: JSON",
        (attack(name, body, path=PATHS[api]) for name, api, body in cases),
    )


@some
@pytest.mark.timeout(1200)
async def test_content_codings(enter, provider, attack, limit, step):
    arena = await enter(provider)
    cases = itertools.islice(coded(limit), 0, None, step)
    await arena.fares_well(
        "request bodies: content codings",
        (
            attack(name, body, headers=f"Content-Encoding: {coding}\r\n")
            for name, coding, body in cases
        ),
    )
