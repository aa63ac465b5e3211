"""Header values of any bytes: aiohttp reads them, but leaves out what isn't UTF-8 in writing."""

from typing import cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from multidict import MultiMapping


def keep_bytes(writer: AbstractStreamWriter, headers: MultiMapping[str]) -> None:
    """Write the head anew if need be, before it is sent; aiohttp has already checked it."""
    if all(map(_is_utf8, headers.values())):
        return
    written = cast(StreamWriter, writer)
    first, _, _ = bytes(written._headers_buf or b"").partition(b"\r\n")
    lines = [f"{name}: {value}".encode(errors="surrogateescape") for name, value in headers.items()]
    written._headers_buf = b"\r\n".join([first, *lines, b"", b""])


class BytesRequest(aiohttp.ClientRequest):
    """A client request that keeps the bytes of header values, if it has a body."""

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        keep_bytes(writer, self.headers)
        await super().write_bytes(writer, conn, content_length)


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
