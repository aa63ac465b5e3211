"""Debug dumps of requests and responses to disk, with secrets redacted.

One directory per provider under `--aibridge-dump-dir`, one pair of files per request, readable by
the daemon's user only: `<time>-<id>.req.txt` is the request as it went upstream,
`<time>-<id>.resp.txt` the response; `<time>-<id>.req_error.txt` (as in Coder's AI Bridge) says why
there is none, or not all of it. The first MiB of each body is kept. Headers and query parameters
that are named like a credential are blanked, and so is every occurrence of the gateway token and of
the keys in use.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self
from uuid import uuid4

from aibridged.clock import Clock
from aibridged.core.blanking import REDACTED, blank_header, blank_parameters
from aibridged.errors import GatewayError
from aibridged.pipeline.context import RequestContext
from aibridged.pipeline.dump_writer import DumpWriter
from aibridged.transport.abort import BrokenOffError
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse

BODY_LIMIT = 1024 * 1024

# Kept beyond the limit until secrets are blanked, so that none is cut in two and half of it kept.
_OVERLAP = 8 * 1024
_MAX_REASON = 4096  # characters


class Dump:
    """One request and its response, collected in memory and written when it is left.

    It is entered as a context, whose exception tells why there is no response, or no whole one.
    """

    def __init__(
        self, path: Path, request: bytes, secrets: Iterable[bytes], writer: DumpWriter
    ) -> None:
        self.path = path
        self._request = request
        self._secrets = [secret for secret in secrets if secret]
        self._writer = writer
        self._head = b""
        self._body = bytearray()
        self._size = 0
        self._error = ""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self._request) + len(self._body)

    def response(self, response: UpstreamResponse) -> None:
        """Keep the response's head."""
        self._head = _head(b"HTTP/1.1 %d %b" % (response.status, response.reason), response.headers)

    def feed(self, chunk: bytes) -> None:
        """Keep a chunk of the response's body, up to the limit."""
        self._size += len(chunk)
        room = BODY_LIMIT + _OVERLAP - len(self._body)
        if room > 0:
            self._body += chunk[:room]

    def fail(self, reason: str) -> None:
        """Keep why the provider could not be asked."""
        self._error = reason[:_MAX_REASON]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None and not self._error:
            self.fail(_reason(error))
        self._writer.put(self)

    def files(self) -> Mapping[str, bytes]:
        """What is to be written, by suffix."""
        files = {".req.txt": self._redact(self._request)}
        if self._head:
            body = self._redact(bytes(self._body))
            files[".resp.txt"] = self._redact(self._head) + _cut(body, self._size)
        if self._error:
            files[".req_error.txt"] = self._redact(self._error.encode(errors="replace")) + b"\n"
        return files

    def _redact(self, text: bytes) -> bytes:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


class Dumper:
    """Creates the dump of each request."""

    def __init__(self, directory: Path, clock: Clock, writer: DumpWriter) -> None:
        self._directory = directory
        self._clock = clock
        self._writer = writer

    def begin(self, context: RequestContext, upstream: Upstream, headers: RawHeaders) -> Dump:
        """Start a dump with the request as it goes to this upstream, with these headers."""
        name = f"{self._clock.wall():%Y%m%dT%H%M%S.%fZ}-{uuid4().hex[:8]}"
        raw_path = upstream.raw_path(context.upstream_target)
        head = _head(f"{context.request.method} {raw_path} HTTP/1.1".encode(), headers)
        body = context.body
        return Dump(
            self._directory / context.route.provider.name / name,
            head + _cut(body[: BODY_LIMIT + _OVERLAP], len(body)),
            context.secrets(),
            self._writer,
        )


def _head(first: bytes, headers: RawHeaders) -> bytes:
    lines = [blank_parameters(first)]
    lines += [b"%b: %b" % (name, blank_header(name, value)) for name, value in headers]
    return b"\n".join(lines) + b"\n\n"


def _cut(body: bytes, size: int) -> bytes:
    if len(body) <= BODY_LIMIT and size <= BODY_LIMIT:
        return body
    return body[:BODY_LIMIT] + f"\n[{size} bytes in all, cut here]\n".encode()


def _reason(error: BaseException) -> str:
    """What ended a request, in a sentence that quotes no headers."""
    if isinstance(error, GatewayError):
        return error.message
    if isinstance(error, BrokenOffError):
        return f"The provider aborted its response: {error}"
    if isinstance(error, asyncio.CancelledError | ConnectionError):
        return "The client disconnected, or was disconnected."
    return type(error).__name__
