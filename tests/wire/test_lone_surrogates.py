"""Half an emoji is read as U+FFFD, and nothing else changes."""

import json
from time import process_time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.lone_surrogates import MAX_ESCAPES, decode_any, decode_mended, mended

PIECES = [r"\ud83d", r"\uD83D", r"\ude00", r"\uDE00", r"\\", r"\n", r"\u00e9", r"\"", "ud83d", "a"]

_decode = msgspec.json.Decoder(str).decode


@given(st.lists(st.sampled_from(PIECES)))
def test_what_python_reads_as_half_a_pair_is_mended(pieces: list[str]) -> None:
    """Python's decoder takes halves, and leaves them as they are."""
    source = f'"{"".join(pieces)}"'.encode()
    whole = mended(source)
    expected = json.loads(source).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert len(whole) == len(source)
    assert json.loads(whole) == expected
    assert decode_mended(_decode, source) == expected


def test_what_needs_no_mending_stays_the_same() -> None:
    for source in (b"{}", rb'"\ud83d\ude00"', rb'"\\ud83d"', b'"\xff"'):
        assert mended(source) == source


@pytest.mark.parametrize("source", [b'"\\x"', b'"', b"7", b""])
def test_what_is_wrong_in_another_way_is_an_error(source: bytes) -> None:
    for decode in (decode_mended, decode_any):
        with pytest.raises(msgspec.DecodeError):
            decode(_decode, source)


def test_bytes_that_are_not_utf_8_are_replaced_where_any_are_taken() -> None:
    source = b'"a\xff' + rb'\ud83d"'
    assert decode_any(_decode, source) == "a\ufffd\ufffd"
    with pytest.raises(UnicodeDecodeError):
        decode_mended(_decode, source)
    assert decode_any(_decode, msgspec.Raw(source)) == "a\ufffd\ufffd"


@pytest.mark.parametrize(
    "source",
    [
        rb"\ud83dx" * MAX_ESCAPES,
        rb"\ud83d" * 150_000,
        rb"\ud83d\ude00" * 80_000,
        b"\\" * 1_000_001 + rb"ud83d",
        rb"\ud83" * 200_000,
        b"\\" * 100_000 + (b"\\" * 200 + rb"\ud83d") * 4_000,
    ],
    ids=range(6),
)
def test_it_takes_milliseconds_at_the_most(source: bytes) -> None:
    began = process_time()
    mended(source)
    assert process_time() - began < 0.05
