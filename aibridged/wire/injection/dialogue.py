"""The talk with a model about one request of a client's, in which tools of the gateway may be run.

What the client sees is one answer. As long as no tool of ours was called, that is the provider's,
byte for byte; from the first such call on it is the answers of all turns as one: with the first
one's id, their visible parts one after the other, and their usage added up.

A turn in which the model calls tools of ours and of the client's, though parallel calls are
switched off, goes to the client with its own calls alone. Ours is not run and never seen: the
client's next request is made of what it has seen, so it is valid, and the model will ask again.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, NamedTuple

from aibridged.wire.bounds import MAX_ELEMENTS, has_more_commas
from aibridged.wire.collector import UNREADABLE
from aibridged.wire.injection.sse_events import RawEvents, is_lone
from aibridged.wire.responses.continuing import Continuation
from aibridged.wire.splice import UnsplittableError
from aibridged.wire.sse import Event
from aibridged.wire.usage import add_counts

UNEXPECTED = (UnsplittableError, *UNREADABLE, AttributeError, KeyError, TypeError)
"""What reading an answer of a shape that isn't known raises."""

MAX_TURN_BYTES = 64 * 1024 * 1024
"""Bytes of the events of one turn: a multiple of what the longest answers of today take."""


class OverrunError(Exception):
    """An answer with more in it than can be kept for the next turn."""


class Call(NamedTuple):
    """A call of one of our tools; `arguments` is the text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Result(NamedTuple):
    """What came of a call."""

    call: Call
    text: str
    is_error: bool


class Dialogue(ABC):
    """One request, turn by turn.

    For each turn, in this order: `begin_turn`; the answer, a stream through `feed` and `end_stream`
    or a body through `read`; and, if there are `calls` then, their results through `answer`.
    """

    PING: ClassVar[bytes]
    """What keeps a stream from looking dead while a tool runs."""

    TEXT: ClassVar[tuple[bytes, ...]] = ()
    """How events begin that mostly hold a piece of text and nothing else, up to their data."""

    def __init__(self, names: Collection[str], *, withhold_usage: bool = False) -> None:
        self.calls: tuple[Call, ...] = ()  # of the turn that has ended: these are to be run
        self.dropped: tuple[Call, ...] = ()  # ours, too, but not to be run, and never to be seen
        self.continuation: Continuation | None = None  # of the answer that has ended, if any
        self._names = names
        self._withhold_usage = withhold_usage
        self._first = True
        self._last = False
        self._altered = False  # the client's view has parted from what the provider sends
        self._counts: dict[str, Any] = {}  # of the turns before this one
        self._usage: dict[str, Any] = {}  # of this turn, as far as it was told
        self._events = RawEvents()
        self._passes_text = False  # nothing is altered, and the next chunk begins with an event
        self._left = MAX_TURN_BYTES

    def begin_turn(self, *, last: bool) -> None:
        """The answer to the request, or to the body that `answer` gave, is about to come.

        In the `last` turn calls of our tools are dropped.
        """
        self._last = last
        self._events = RawEvents()
        self._passes_text = False
        self._left = MAX_TURN_BYTES
        self._begin()

    def feed(self, chunk: bytes) -> bytes:
        """What the client is to see of the next bytes of a stream.

        Raises:
            OverrunError: it can't be told what the client is to see.
        """
        self._left -= len(chunk)
        if self._left < 0:
            raise OverrunError
        if self._passes_text and chunk.startswith(self.TEXT) and is_lone(chunk):
            try:
                if self._is_text(chunk):
                    return chunk
            except UNEXPECTED:
                return chunk
        event = self._events.lone(chunk)
        if event is not None:
            seen = self._try(chunk, event)
            self._passes_text = not self._altered
        else:
            seen = b"".join([self._pass(raw, each) for raw, each in self._events.feed(chunk)])
            self._passes_text = not self._altered and self._events.is_between_events
        return seen

    def end_stream(self) -> bytes:
        """What the client is to see of the stream's very end."""
        return b"".join([self._pass(raw, event) for raw, event in self._events.flush()])

    def read(self, body: bytes) -> bytes:
        """What the client is to see of a body, given that there are no `calls` then.

        It is the one that came, unless a call of our tools is hidden in it or in one before.
        """
        if has_more_commas(body, MAX_ELEMENTS):
            return body
        try:
            return self._read(body)
        except UNEXPECTED:
            return body

    def answer(self, results: Sequence[Result]) -> bytes:
        """The next request: the last one with the model's answer and the results at its end."""
        self._counts = add_counts(self._counts, self._usage)
        self._usage = {}
        self._first = False
        self._altered = True
        self.calls = self.dropped = ()
        return self._answer(results)

    def _pass(self, raw: bytes, event: Event | None) -> bytes:
        if event is None or has_more_commas(raw, MAX_ELEMENTS):
            return raw
        return self._try(raw, event)

    def _try(self, raw: bytes, event: Event) -> bytes:
        try:
            return self._event(raw, *event)
        except UNEXPECTED:
            return raw

    def _settle(self, ours: Sequence[Call], *, runnable: bool) -> None:
        """The turn's calls of our tools are all there; `runnable`: whole, and the only ones."""
        if runnable and not self._last:
            self.calls = tuple(ours)
        else:
            self.dropped = tuple(ours)

    @property
    def _total(self) -> dict[str, Any]:
        """The usage of all turns up to now."""
        return add_counts(self._counts, self._usage)

    def _is_text(self, chunk: bytes) -> bool:
        """Whether an event that begins as `TEXT` passes as it is, given that nothing is altered.

        What it holds is noted then. May raise UNEXPECTED.
        """
        return True

    @abstractmethod
    def error(self, body: bytes) -> bytes:
        """How a stream that was begun ends, given an error body in the shape of the API."""

    @abstractmethod
    def _begin(self) -> None:
        """Forget the turn before."""

    @abstractmethod
    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        """What the client is to see of an event; may raise UNEXPECTED."""

    @abstractmethod
    def _read(self, body: bytes) -> bytes:
        """See `read`; may raise UNEXPECTED."""

    @abstractmethod
    def _answer(self, results: Sequence[Result]) -> bytes:
        """See `answer`."""
