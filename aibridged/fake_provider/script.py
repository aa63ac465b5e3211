"""Scripts: how the fake responds to the next requests."""

import asyncio
import re
from collections import deque
from typing import Annotated, Any

import msgspec

from aibridged.fake_provider.answer import Answer

Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one request, or `times` of them, is responded to; unset fields have their defaults.

    As JSON for the control route it has the same fields, with bytes in base64, except for the two
    that are asyncio.Events.
    """

    times: Positive = 1
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    """Other than 200 and without a body: an error of that status, in the shape of the API."""
    headers: tuple[tuple[str, str], ...] = ()
    """Replaces all default headers of these names; a name may come twice."""
    body: bytes | None = None
    """The whole body, with a Content-Length."""
    stream: tuple[bytes, ...] | None = None
    """The chunks of a streamed body; each is a write, and an HTTP chunk, of its own."""
    answer: Answer | None = None
    """The content of the response, in the shape of the request's API."""
    deltas: Positive | None = None
    """Text deltas in a stream; None: one per word."""

    error: str | None = None
    """A type of error (`overloaded_error`, `rate_limit_error`, `api_error`) that ends a stream of
    status 200; a blocking response gets the status of that error."""
    error_after: Natural = 0
    """Events before that error."""

    crlf: bool = False
    """CRLF instead of LF in the stream."""
    trailing: bytes = b""
    """Appended to the body."""
    gzip: bool = False
    """Compress the body, with a flush after each chunk."""
    chunks: tuple[Positive, ...] = ()
    """Sizes of the writes in bytes, repeated; none: one event each."""

    cut_after: Natural | None = None
    """Body bytes after which the connection is closed, within the response."""
    reset: bool = False
    """Close with RST instead of FIN."""

    close: bool = False
    """Close the connection without a response."""
    silent: bool = False
    """Never respond, and keep the connection open."""
    stall_after: Natural | None = None
    """Writes after which nothing more comes, while the connection stays open."""
    delay_headers: float = 0.0
    """Seconds until the headers are sent."""
    delay: float = 0.0
    """Seconds after each write."""
    before_headers: asyncio.Event | None = None
    """Wait for this event before the headers are sent."""
    before_write: dict[int, asyncio.Event] = {}
    """Wait for these events before the writes of these numbers, from 0, after the headers."""


_STATUS_MODEL = re.compile(r"fake-status-([2-5]\d\d)")
_ERROR_MODELS = {
    "fake-error-overloaded": "overloaded_error",
    "fake-error-rate-limit": "rate_limit_error",
}


def for_model(model: str) -> Script | None:
    """The script of a model's name: `fake-status-529`, `fake-error-overloaded`."""
    if match := _STATUS_MODEL.fullmatch(model):
        return Script(status=int(match[1]))
    if kind := _ERROR_MODELS.get(model):
        return Script(error=kind)
    return None


def from_json(body: bytes) -> list[Script]:
    """The scripts in a control request, one or a list; raises msgspec.ValidationError."""
    scripts: list[Script] | Script = msgspec.convert(
        msgspec.json.decode(body), type=list[Script] | Script, dec_hook=_refuse
    )
    return scripts if isinstance(scripts, list) else [scripts]


def _refuse(kind: type, value: Any) -> Any:
    raise msgspec.ValidationError(f"{kind.__name__} cannot be given as JSON")


class ScriptQueue:
    """The scripts for the next requests, in order."""

    def __init__(self) -> None:
        self._waiting: deque[Script] = deque()
        self._used = 0

    def add(self, *scripts: Script) -> None:
        """Append scripts, each for as many requests as its `times` says."""
        self._waiting.extend(scripts)

    def next(self) -> Script | None:
        """The script for the current request, or None."""
        if not self._waiting:
            return None
        script = self._waiting[0]
        self._used += 1
        if self._used == script.times:
            self._waiting.popleft()
            self._used = 0
        return script

    def clear(self) -> None:
        """Forget all scripts."""
        self._waiting.clear()
        self._used = 0
