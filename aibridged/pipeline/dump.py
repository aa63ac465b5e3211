"""Debug dumps of requests and responses to disk, with secrets redacted.

One directory per provider under `--aibridge-dump-dir`, one pair of files per request, readable by
the daemon's user only: `<time>-<id>.req.txt` is the request as it went upstream,
`<time>-<id>.resp.txt` the response. The first MiB of each body is kept. Headers and query
parameters that are named like a credential are blanked, and so is every occurrence of the gateway
token and of the keys in use.
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from loguru import logger

from aibridged.clock import Clock
from aibridged.config.private_file import open_private_directory
from aibridged.core.blanking import REDACTED, blank_header, blank_parameters
from aibridged.pipeline.context import RequestContext
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse

BODY_LIMIT = 1024 * 1024

# Kept beyond the limit until secrets are blanked, so that none is cut in two and half of it kept.
_OVERLAP = 8 * 1024


class Dump:
    """One request and its response, collected in memory and written at the end."""

    def __init__(self, path: Path, context: bytes, secrets: Iterable[bytes]) -> None:
        self._path = path
        self._context = context
        self._secrets = [secret for secret in secrets if secret]
        self._head = b""
        self._body = bytearray()
        self._size = 0

    def response(self, response: UpstreamResponse) -> None:
        """Keep the response's head."""
        self._head = _head(b"HTTP/1.1 %d %b" % (response.status, response.reason), response.headers)

    def feed(self, chunk: bytes) -> None:
        """Keep a chunk of the response's body, up to the limit."""
        self._size += len(chunk)
        room = BODY_LIMIT + _OVERLAP - len(self._body)
        if room > 0:
            self._body += chunk[:room]

    async def finish(self) -> None:
        """Write both files, off the event loop. A full disk is logged and fails no request."""
        try:
            await asyncio.to_thread(self._write)
        except OSError as error:
            logger.warning("Failed to dump a request to {}: {}", self._path, error.strerror)

    def _write(self) -> None:
        context = self._redact(self._context)
        body = self._redact(bytes(self._body))
        response = self._redact(self._head) + _cut(body, self._size)
        folder = open_private_directory(self._path.parent)
        try:
            _write_private(folder, f"{self._path.name}.req.txt", context)
            _write_private(folder, f"{self._path.name}.resp.txt", response)
        finally:
            os.close(folder)

    def _redact(self, text: bytes) -> bytes:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


class Dumper:
    """Creates the dump of each request."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def begin(self, context: RequestContext, upstream: Upstream, headers: RawHeaders) -> Dump:
        """Start a dump with the request as it goes to this upstream, with these headers."""
        name = f"{self._clock.wall():%Y%m%dT%H%M%S.%fZ}-{uuid4().hex[:8]}"
        raw_path = upstream.raw_path(context.upstream_target)
        head = _head(f"{context.request.method} {raw_path} HTTP/1.1".encode(), headers)
        body = context.body
        return Dump(
            self._directory / context.route.provider.name / name,
            head + _cut(body[: BODY_LIMIT + _OVERLAP], len(body)),
            _secrets(context),
        )


def _secrets(context: RequestContext) -> Iterable[bytes]:
    presented = context.presented
    values = [presented.token, *presented.own.values(), context.credential.value]
    for value in values:
        if value is not None:
            yield value.rpartition(" ")[2].encode()  # without the scheme, however it is spelled


def _head(first: bytes, headers: RawHeaders) -> bytes:
    lines = [blank_parameters(first)]
    lines += [b"%b: %b" % (name, blank_header(name, value)) for name, value in headers]
    return b"\n".join(lines) + b"\n\n"


def _cut(body: bytes, size: int) -> bytes:
    if len(body) <= BODY_LIMIT and size <= BODY_LIMIT:
        return body
    return body[:BODY_LIMIT] + f"\n[{size} bytes in all, cut here]\n".encode()


def _write_private(folder: int, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(content)
