"""The last touches on a body."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from aibridged.fake_provider.delivery import cut, shape
from aibridged.fake_provider.script import Script

PIECES = (b"event: a\ndata: 1\n\n", b"data: 2\n\n")
some_pieces = st.lists(st.binary(min_size=1), max_size=5).map(tuple)


def test_without_wishes_nothing_changes():
    assert shape(Script(), PIECES) == PIECES


def test_crlf():
    assert shape(Script(crlf=True), PIECES)[0] == b"event: a\r\ndata: 1\r\n\r\n"


def test_trailing():
    assert shape(Script(trailing=b"junk"), PIECES) == (*PIECES, b"junk")


def test_gzip_can_be_read_up_to_every_piece():
    pieces = shape(Script(gzip=True), PIECES)
    assert gzip.decompress(b"".join(pieces)) == b"".join(PIECES)
    assert zlib.decompressobj(wbits=31).decompress(pieces[0]) == PIECES[0]


@given(some_pieces, st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple))
def test_chunks_have_their_sizes_and_lose_nothing(pieces, sizes):
    chunks = shape(Script(chunks=sizes), pieces)
    assert b"".join(chunks) == b"".join(pieces)
    expected = [sizes[number % len(sizes)] for number in range(len(chunks))]
    assert [len(chunk) for chunk in chunks[:-1]] == expected[:-1]


@given(some_pieces, st.integers(0, 50))
def test_cut_keeps_so_many_bytes(pieces, length):
    kept = cut(pieces, length)
    assert b"".join(kept) == b"".join(pieces)[:length]
    assert all(kept)
