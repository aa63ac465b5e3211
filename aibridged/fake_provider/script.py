"""Scripts: how the fake answers the next requests, other than kindly."""

import asyncio
import re
from collections import deque
from typing import Annotated, Any

import msgspec

from aibridged.fake_provider.answer import Answer

Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one request, or `times` of them, is answered; what isn't given is as in default answers.

    Sent as JSON to the control route it has the same fields, bytes in base64, but for the two that
    hold an asyncio.Event.
    """

    times: Positive = 1
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    """Other than 200 and without a body: the error of that status, in the shape of the API."""
    headers: tuple[tuple[str, str], ...] = ()
    """In place of all default headers of their names; a name may come twice."""
    body: bytes | None = None
    """The whole body, with a Content-Length."""
    stream: tuple[bytes, ...] | None = None
    """The pieces of a streamed body; each is a write, and an HTTP chunk, of its own."""
    answer: Answer | None = None
    """What to say, in the shape that the request asks for."""
    deltas: Positive | None = None
    """Text deltas in a stream; None: one a word."""

    error: str | None = None
    """A kind of error (`overloaded_error`, `rate_limit_error`, `api_error`) that ends the stream,
    which has status 200; one that isn't streamed gets the status of that error."""
    error_after: Natural = 0
    """Events before that error."""

    crlf: bool = False
    """CRLF for LF in the stream."""
    trailing: bytes = b""
    """Appended to the body."""
    gzip: bool = False
    """Compress the body, each piece flushed."""
    chunks: tuple[Positive, ...] = ()
    """Sizes of the writes in bytes, over and over; none: an event each."""

    cut_after: Natural | None = None
    """Body bytes after which the connection is closed in mid-response."""
    reset: bool = False
    """Cut by RST rather than by FIN."""

    close: bool = False
    """Close the connection without an answer."""
    silent: bool = False
    """Never answer, and keep the connection."""
    stall_after: Natural | None = None
    """Writes after which nothing more comes, and the connection is kept."""
    delay_headers: float = 0.0
    """Seconds until the headers are sent."""
    delay: float = 0.0
    """Seconds after each write."""
    before_headers: asyncio.Event | None = None
    """Wait for this before the headers are sent."""
    before_write: dict[int, asyncio.Event] = {}
    """Wait for these before the writes of these numbers, from 0; the headers are out by then."""


_STATUS_MODEL = re.compile(r"fake-status-([2-5]\d\d)")
_ERROR_MODELS = {
    "fake-error-overloaded": "overloaded_error",
    "fake-error-rate-limit": "rate_limit_error",
}


def for_model(model: str) -> Script | None:
    """The script that the name of a model asks for: `fake-status-529`, `fake-error-overloaded`."""
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
        """Appends scripts, each for as many requests as its `times` says."""
        self._waiting.extend(scripts)

    def next(self) -> Script | None:
        """The script for the request at hand, or None."""
        if not self._waiting:
            return None
        script = self._waiting[0]
        self._used += 1
        if self._used == script.times:
            self._waiting.popleft()
            self._used = 0
        return script

    def clear(self) -> None:
        """Forgets all scripts."""
        self._waiting.clear()
        self._used = 0
