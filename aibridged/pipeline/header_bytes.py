"""Header values of any bytes: aiohttp reads them, but leaves out what isn't UTF-8 in writing."""

from typing import cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import MultiMapping


def keep_bytes(writer: AbstractStreamWriter, headers: MultiMapping[str]) -> None:
    """Write the head anew if need be, before it is sent; aiohttp has already checked it."""
    if _is_utf8("".join(headers.values())):
        return
    written = cast(StreamWriter, writer)
    first, _, _ = bytes(written._headers_buf or b"").partition(b"\r\n")
    lines = [f"{name}: {value}".encode(errors="surrogateescape") for name, value in headers.items()]
    written._headers_buf = b"\r\n".join([first, *lines, b"", b""])


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
