"""Decoding of content codings (RFC 9110, 8.4), within bounds: gzip, deflate and zstd.

A few bytes can decode to gigabytes, so a decoder yields chunks of bounded size, each the work of a
fraction of a millisecond, and its caller counts them. A body has one coding: no client is known to
send more, and gigabytes could hide between two of them. Brotli isn't supported: it would need
another dependency, and no client is known to send it.
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from aibridged.wire.outline import Steps

MAX_MEMBERS = 100
"""Members of a gzip body, or frames of a zstd body: clients send one."""

_WINDOW = 16 * 1024  # bytes of input that a decoder gets at once
_PIECE = 64 * 1024  # bytes that it may return at once
# Zstandard has no such limit: four bytes of input can give 128 KiB, so it gets a few at a time.
_ZSTD_WINDOW = 256
_ZSTD_MEMORY = 8 * 1024 * 1024  # what RFC 9659 allows for zstd as a content coding


class CodingError(ValueError):
    """A body that can't be decoded; the message is for the caller."""


class BodyTooLargeError(CodingError):
    """The decoded body is longer than allowed, or has too many members."""


class MalformedBodyError(CodingError):
    """The body doesn't match its Content-Encoding, or ends too early."""


class UnsupportedCodingError(CodingError):
    """A coding that isn't supported, or more than one."""

    def __init__(self) -> None:
        super().__init__(
            "The Content-Encoding is not supported: use one of gzip, deflate, zstd and identity."
        )


class _Decoder(Protocol):
    """Decoder of one content coding."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The decoded `data`, in chunks of bounded size, some of them empty.

        Raises BodyTooLargeError, zlib.error or ZstdError.
        """
        ...

    @property
    def ended(self) -> bool:
        """Whether the input so far is complete."""
        ...


class _Zlib:
    """gzip and deflate. A gzip body may have several members, one after the other."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._object: zlib._Decompress | None = None
        self._members = 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _WINDOW):
            yield from self._window(data[start : start + _WINDOW])

    def _window(self, data: bytes) -> Iterator[bytes]:
        more = True
        while more:
            if self._object is None or (self._object.eof and self._gzip):
                self._members = _one_more(self._members)
                self._object = zlib.decompressobj(self._window_bits(data))
            piece = self._object.decompress(data, _PIECE)
            yield piece
            if self._object.eof:
                data = self._object.unused_data
                more = self._gzip and bool(data)
            else:
                data = self._object.unconsumed_tail
                # A full chunk may leave output behind though all of the input is consumed.
                more = bool(data) or len(piece) == _PIECE

    def _window_bits(self, data: bytes) -> int:
        """With gzip's wrapper, zlib's, or none: "deflate" means both of the latter in the wild."""
        if self._gzip:
            return 16 + zlib.MAX_WBITS
        return zlib.MAX_WBITS if data[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS

    @property
    def ended(self) -> bool:
        return self._object is not None and self._object.eof


class _Zstd:
    """Zstandard. A body may have several frames, one after the other."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MEMORY)
        self._object = self._context.decompressobj()
        self._frames = 1
        self.ended = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_WINDOW):
            rest = data[start : start + _ZSTD_WINDOW]
            while rest:
                if self._object.eof:
                    self._frames = _one_more(self._frames)
                    self._object = self._context.decompressobj()
                yield self._object.decompress(rest)
                rest = self._object.unused_data if self._object.eof else b""
        if data:
            self.ended = self._object.eof


class _Identity:
    """No coding at all."""

    ended = True

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield data


def _one_more(members: int) -> int:
    if members == MAX_MEMBERS:
        raise BodyTooLargeError(f"The compressed body has more than {MAX_MEMBERS} members.")
    return members + 1


def _open_decoder(content_encoding: str) -> _Decoder:
    """Raises UnsupportedCodingError."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if not names:
        return _Identity()
    if names in (["gzip"], ["x-gzip"]):
        return _Zlib(gzip=True)
    if names == ["deflate"]:
        return _Zlib(gzip=False)
    if names == ["zstd"]:
        return _Zstd()
    raise UnsupportedCodingError


_FAILURES = (zlib.error, zstandard.ZstdError)


def decode_body(body: bytes, content_encoding: str, max_bytes: int) -> Steps[bytes]:
    """Decode a body, in steps.

    Raises:
        BodyTooLargeError: it is longer than `max_bytes`, or has more than `MAX_MEMBERS` members.
        MalformedBodyError, UnsupportedCodingError: see there.
    """
    decoder = _open_decoder(content_encoding)
    pieces: list[bytes] = []
    left = max_bytes
    try:
        for piece in decoder.pieces(body):
            left -= len(piece)
            if left < 0:
                raise BodyTooLargeError(f"The decoded body is longer than {max_bytes} bytes.")
            pieces.append(piece)
            yield
    except _FAILURES:
        raise MalformedBodyError("The body does not match its Content-Encoding.") from None
    if not decoder.ended:
        raise MalformedBodyError("The compressed body ends too early.")
    return b"".join(pieces)


class StreamDecoder:
    """Decodes a body that arrives in chunks; raises UnsupportedCodingError at once.

    After a fault, or `max_bytes` of output, nothing more is decoded; `fault` then says why.
    """

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        self.fault: str | None = None
        self._decoder = _open_decoder(content_encoding)
        self._left = max_bytes

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decoded chunks of `chunk`; never raises."""
        if self.fault is not None:
            return
        try:
            for piece in self._decoder.pieces(chunk):
                self._left -= len(piece)
                if self._left < 0:
                    self.fault = "oversized_body"
                    return
                yield piece
        except _FAILURES:
            self.fault = "malformed_coding"
        except BodyTooLargeError:
            self.fault = "oversized_body"
