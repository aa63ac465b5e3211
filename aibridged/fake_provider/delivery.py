"""Transformations of a body before it is sent: line ends, garbage, compression, write sizes."""

import zlib
from collections.abc import Iterator
from itertools import cycle

from aibridged.fake_provider.script import Script


def shape(script: Script, pieces: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """`pieces` as they are sent, one write each, before the cut."""
    if script.crlf:
        pieces = tuple(piece.replace(b"\n", b"\r\n") for piece in pieces)
    if script.trailing:
        pieces = (*pieces, script.trailing)
    if script.gzip:
        pieces = tuple(_compress(pieces))
    if script.chunks:
        pieces = tuple(_split(b"".join(pieces), script.chunks))
    return pieces


def cut(pieces: tuple[bytes, ...], length: int) -> tuple[bytes, ...]:
    """The first `length` bytes of `pieces`."""
    kept = []
    for piece in pieces:
        if length <= 0:
            break
        kept.append(piece[:length])
        length -= len(piece)
    return tuple(kept)


def _compress(pieces: tuple[bytes, ...]) -> Iterator[bytes]:
    gzip = zlib.compressobj(wbits=31)
    for piece in pieces:
        yield gzip.compress(piece) + gzip.flush(zlib.Z_SYNC_FLUSH)
    yield gzip.flush()


def _split(body: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    start = 0
    for size in cycle(sizes):
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size
