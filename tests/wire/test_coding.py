"""Content codings come off, within bounds, whole or in pieces."""

import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.coding import (
    MAX_MEMBERS,
    BodyTooLargeError,
    MalformedBodyError,
    StreamDecoder,
    UnsupportedCodingError,
    decode_body,
)
from aibridged.wire.outline import run


def decoded(body: bytes, coding: str | None, most: int) -> bytes:
    return run(decode_body(body, coding or "", most))


BODY = b'{"model":"m"}' * 500


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def zstd_stream(body: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(body) + compressor.flush()


CODED = {
    "none": (None, BODY),
    "empty": ("", BODY),
    "identity": ("identity", BODY),
    "gzip": ("gzip", gzip.compress(BODY)),
    "x-gzip": ("X-GZIP", gzip.compress(BODY)),
    "gzip in members": ("gzip", gzip.compress(BODY[:100]) + gzip.compress(BODY[100:])),
    "deflate": ("deflate", zlib.compress(BODY)),
    "raw deflate": ("deflate", raw_deflate(BODY)),
    "zstd": ("zstd", zstandard.compress(BODY)),
    "zstd in frames": ("zstd", zstandard.compress(BODY[:100]) + zstandard.compress(BODY[100:])),
    "zstd of unknown size": ("zstd", zstd_stream(BODY)),
    "one of two": ("gzip, identity", gzip.compress(BODY)),
}


@pytest.mark.parametrize(("coding", "coded"), CODED.values(), ids=CODED.keys())
def test_codings(coding: str | None, coded: bytes) -> None:
    assert decoded(coded, coding, len(BODY)) == BODY
    with pytest.raises(BodyTooLargeError):
        decoded(coded, coding, len(BODY) - 1)


@pytest.mark.parametrize(("coding", "coded"), CODED.values(), ids=CODED.keys())
def test_streams_in_any_chunks(coding: str | None, coded: bytes) -> None:
    for size in (1, 7, len(coded)):
        decoder = StreamDecoder(coding or "", 1_000_000)
        chunks = [coded[i : i + size] for i in range(0, len(coded), size)]
        assert b"".join(piece for chunk in chunks for piece in decoder.feed(chunk)) == BODY
        assert decoder.fault is None


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 1_000_003])
def test_output_beyond_one_piece(size: int) -> None:
    body = bytes(size)
    assert decoded(gzip.compress(body), "gzip", size) == body
    assert decoded(raw_deflate(body), "deflate", size) == body
    assert decoded(zstandard.compress(body), "zstd", size) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_bodies_that_are_not_what_they_say(coding: str) -> None:
    coded = next(coded for name, coded in CODED.values() if name == coding)
    for body in (b"", b"nonsense that is not compressed", coded[:-3], coded[:1]):
        with pytest.raises(MalformedBodyError):
            decoded(body, coding, 1_000_000)


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, br", "gzip,gzip", "zstd, gzip"])
def test_codings_that_are_not_spoken(coding: str) -> None:
    with pytest.raises(UnsupportedCodingError, match="use one of gzip, deflate, zstd"):
        decoded(BODY, coding, 1_000_000)
    with pytest.raises(UnsupportedCodingError):
        StreamDecoder(coding, 1_000_000)


BOMB = bytes(64 * 1024 * 1024)


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip.compress(BOMB, 1)),
        ("zstd", zstandard.compress(BOMB)),
    ],
)
def test_a_bomb_is_not_unpacked_beyond_the_bound(coding: str, bomb: bytes) -> None:
    with pytest.raises(BodyTooLargeError):
        decoded(bomb, coding, 100_000)
    decoder = StreamDecoder(coding, 10_000_000)
    pieces = [len(piece) for piece in decoder.feed(bomb)]
    assert sum(pieces) <= 10_000_000
    assert decoder.fault == "oversized_body"
    assert list(decoder.feed(bomb)) == []


@pytest.mark.parametrize(
    ("coding", "member"),
    [("gzip", gzip.compress(b"", mtime=0)), ("zstd", zstandard.compress(b""))],
    ids=["gzip", "zstd"],
)
def test_members_are_counted(coding: str, member: bytes) -> None:
    assert decoded(member * MAX_MEMBERS, coding, 1) == b""
    with pytest.raises(BodyTooLargeError, match="more than 100 members"):
        decoded(member * (MAX_MEMBERS + 1), coding, 1)
    decoder = StreamDecoder(coding, 1)
    list(decoder.feed(member * (MAX_MEMBERS + 1)))
    assert decoder.fault == "oversized_body"


# Of deflate; they decode to nothing.
EMPTY_BLOCKS = b"\x78\x01" + b"\x00\x00\x00\xff\xff" * 200_000


@pytest.mark.parametrize(
    ("coding", "body", "largest"),
    [
        ("gzip", gzip.compress(BOMB, 1), 64 * 1024),
        ("deflate", EMPTY_BLOCKS, 0),
        # Each 256 bytes of zstd can hold 64 blocks of 128 KiB.
        ("zstd", zstandard.compress(BOMB), 64 * 128 * 1024),
    ],
)
def test_each_step_is_a_small_one(coding: str, body: bytes, largest: int) -> None:
    pieces = [len(piece) for piece in StreamDecoder(coding, len(BOMB)).feed(body)]
    assert max(pieces) <= largest
    assert len(pieces) >= len(body) // (16 * 1024)


def test_a_fault_ends_the_decoding_of_a_stream() -> None:
    decoder = StreamDecoder("gzip", 1_000_000)
    assert list(decoder.feed(b"nonsense")) == []
    assert decoder.fault == "malformed_coding"
    assert list(decoder.feed(gzip.compress(BODY))) == []


@given(st.sampled_from(["gzip", "deflate", "zstd"]), st.lists(st.binary(max_size=40)))
def test_garbage_never_raises(coding: str, chunks: list[bytes]) -> None:
    decoder = StreamDecoder(coding, 1_000_000)
    for chunk in chunks:
        list(decoder.feed(chunk))
