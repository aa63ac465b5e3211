"""What the fake remembers of a request."""

import asyncio
import gzip

import pytest
import zstandard

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.received import Log, Received


def received(body: bytes = b"", *headers: tuple[bytes, bytes]) -> Received:
    return Received("POST", "/v1/x?beta=true", headers, "127.0.0.1:1", body)


def test_headers_are_found_whatever_their_case():
    request = received(b"", (b"X-A", b"1"), (b"x-a", b"2"))
    assert request.all("X-a") == ["1", "2"]
    assert request.header("x-A") == "1"
    assert request.header("x-b") is None
    assert request.path == "/v1/x"


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        (b"identity", bytes),
        (b"gzip", gzip.compress),
        (b"zstd", zstandard.ZstdCompressor().compress),
        (b"zstd", lambda body: zstandard.ZstdCompressor().compressobj().compress(body)),
    ],
)
def test_bodies_are_decoded(encoding, encode):
    if encode(b'{"a": 1}') == b"":  # a streaming compressor holds it back until the flush
        compressor = zstandard.ZstdCompressor().compressobj()
        body = compressor.compress(b'{"a": 1}') + compressor.flush()
    else:
        body = encode(b'{"a": 1}')
    assert received(body, (b"Content-Encoding", encoding)).json() == {"a": 1}


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd", b"br"])
def test_bodies_that_are_not_what_they_say_are_refused(encoding):
    with pytest.raises(InvalidRequestError):
        received(b"{}", (b"content-encoding", encoding)).decoded()


def test_keys_are_not_in_the_repr():
    request = received(b"sk-secret", (b"authorization", b"Bearer sk-secret"))
    assert "sk-secret" not in repr(request)


def test_what_the_control_route_shows():
    shown = received(b"{}", (b"A", b"1")).public()
    assert shown["path"] == "/v1/x?beta=true"
    assert shown["headers"] == [["A", "1"]]
    assert shown["body"] == b"{}"
    assert shown["disconnected"] is False


async def test_the_log_keeps_the_last_and_wakes_who_waits():
    log = Log(keep=2)
    waiting = asyncio.gather(log.wait(3))
    requests = [received() for _ in range(3)]
    for request in requests:
        log.add(request)
    assert await waiting == [requests[-1]]
    assert list(log.requests) == requests[1:]
    assert log.seen == 3
    log.clear()
    assert log.seen == 0
    assert not log.requests
