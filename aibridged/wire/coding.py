"""Takes content codings off bodies (RFC 9110, 8.4), within bounds: gzip, deflate and zstd.

A few bytes can decode to gigabytes, so a decoder gives out pieces and whoever takes them counts.
Brotli is not spoken: it would need one more dependency, and no client is known to send it.
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

MAX_CODINGS = 3
"""A body that was coded more often than this is refused: no real one is."""

_PIECE = 64 * 1024  # how much a decoder may give out at once
# Zstandard has no such limit: four bytes of input can give 128 KiB, so it gets a few at a time.
_ZSTD_INPUT = 512
_ZSTD_WINDOW = 8 * 1024 * 1024  # what RFC 9659 allows for zstd as a content coding


class CodingError(ValueError):
    """A body whose content coding can't be taken off; the sentence is fit for the caller."""


class BodyTooLargeError(CodingError):
    """The decoded body is longer than allowed."""


class MalformedBodyError(CodingError):
    """The body isn't what its Content-Encoding says, or ends too early."""


class UnsupportedCodingError(CodingError):
    """A coding that isn't spoken here, or too many of them."""

    def __init__(self) -> None:
        super().__init__(
            "The Content-Encoding is not supported: use gzip, deflate, zstd or identity."
        )


class _Decoder(Protocol):
    """Takes off one coding."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data` decodes to, in pieces of bounded size; raises zlib.error or ZstdError."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the input so far is whole."""
        ...


class _Zlib:
    """gzip and deflate. A gzip body may have several members, one after the other."""

    def __init__(self, coding: str) -> None:
        self._gzip = coding == "gzip"
        self._object: zlib._Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        more = bool(data)
        while more:
            if self._object is None or (self._object.eof and self._gzip):
                self._object = zlib.decompressobj(self._window_bits(data))
            piece = self._object.decompress(data, _PIECE)
            if piece:
                yield piece
            if self._object.eof:
                data = self._object.unused_data
                more = self._gzip and bool(data)
            else:
                data = self._object.unconsumed_tail
                # A full piece may leave output behind though all of the input is used.
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
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._object = self._context.decompressobj()
        self.ended = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_INPUT):
            rest = data[start : start + _ZSTD_INPUT]
            while rest:
                if self._object.eof:
                    self._object = self._context.decompressobj()
                piece = self._object.decompress(rest)
                if piece:
                    yield piece
                rest = self._object.unused_data if self._object.eof else b""
        if data:
            self.ended = self._object.eof


class _Chain:
    """Takes off several codings, the last one applied first."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > MAX_CODINGS:
            raise UnsupportedCodingError
        self._decoders = [_decoder(name) for name in reversed(names)]

    def pieces(self, data: bytes) -> Iterator[bytes]:
        return self._through(0, data)

    def _through(self, depth: int, data: bytes) -> Iterator[bytes]:
        if depth == len(self._decoders):
            yield data
            return
        for piece in self._decoders[depth].pieces(data):
            yield from self._through(depth + 1, piece)

    @property
    def ended(self) -> bool:
        return all(decoder.ended for decoder in self._decoders)


def _decoder(name: str) -> _Decoder:
    if name in ("gzip", "x-gzip"):
        return _Zlib("gzip")
    if name == "deflate":
        return _Zlib("deflate")
    if name == "zstd":
        return _Zstd()
    raise UnsupportedCodingError


_FAILURES = (zlib.error, zstandard.ZstdError)


def decode_body(body: bytes, content_encoding: str | None, max_bytes: int) -> bytes:
    """The body without its codings.

    Raises BodyTooLargeError beyond `max_bytes`, MalformedBodyError, or UnsupportedCodingError.
    """
    chain = _Chain(content_encoding or "")
    decoded = bytearray()
    try:
        for piece in chain.pieces(body):
            decoded += piece
            if len(decoded) > max_bytes:
                raise BodyTooLargeError(f"The decoded body is longer than {max_bytes} bytes.")
    except _FAILURES:
        raise MalformedBodyError("The body does not match its Content-Encoding.") from None
    if not chain.ended:
        raise MalformedBodyError("The compressed body ends too early.")
    return bytes(decoded)


class StreamDecoder:
    """Takes the codings off a body that comes in chunks; raises UnsupportedCodingError at once.

    What follows a fault, or `max_bytes` of output, is not decoded; `fault` then says why.
    """

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        self.fault: str | None = None
        self._chain = _Chain(content_encoding)
        self._left = max_bytes

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decoded pieces that `chunk` gives; never raises."""
        if self.fault is not None:
            return
        try:
            for piece in self._chain.pieces(chunk):
                self._left -= len(piece)
                if self._left < 0:
                    self.fault = "oversized_body"
                    return
                yield piece
        except _FAILURES:
            self.fault = "malformed_coding"
