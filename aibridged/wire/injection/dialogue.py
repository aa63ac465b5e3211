"""The turns with a model about one request of a client's, in which our tools may be run.

What the client sees is one response. As long as no tool of ours was called, that is the provider's,
byte for byte; from the first such call on it is the responses of all turns as one: with the first
one's id, their visible parts one after the other, and their usage added up.

A turn in which the model calls tools of ours and of the client's, though parallel calls are
switched off, goes to the client with its own calls alone. Ours is not run and never seen: the
client's next request is made of what it has seen, so it is valid, and the model will ask again.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from aibridged.wire import bounds, lenient
from aibridged.wire.facts import ResponseFacts
from aibridged.wire.injection.sse_events import RawEvent, RawEvents
from aibridged.wire.own_answers import Said
from aibridged.wire.reader import AnyReader
from aibridged.wire.responses.continuing import Continuation
from aibridged.wire.splice import Fields, UnsplittableError
from aibridged.wire.sse import lone
from aibridged.wire.usage_sums import add_counts

UNEXPECTED = (
    UnsplittableError,
    *bounds.UNREADABLE,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)
"""What reading a response of a shape that isn't known raises."""

MAX_TURN_BYTES = 64 * 1024 * 1024
"""Bytes of the events of one turn: a multiple of what the longest responses of today take."""


class OverrunError(Exception):
    """A response with more in it than can be kept for the next turn."""


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

    For each turn, in this order: `begin_turn`; the response, a stream through `feed` and
    `end_stream` or a body through `read`; and, if there are `calls` then, their results through
    `answer`.

    What the client is to see and what goes on record is read once: `reader` takes the facts out of
    the events of a stream as they pass, and `facts` are those of a body that has been read.

    PING keeps a stream from looking dead while a tool runs.
    """

    PING: ClassVar[bytes]

    reader: AnyReader

    def __init__(self, names: Collection[str], *, withhold_usage: bool = False) -> None:
        self.calls: tuple[Call, ...] = ()  # of the turn that has ended: these are to be run
        self.dropped: tuple[Call, ...] = ()  # ours, too, but not to be run, and never to be seen
        self.continuation: Continuation | None = None  # of the response that has ended, if any
        self.facts: ResponseFacts | None = None
        self._names = names
        self._made_up = 0  # ids of calls that came without one, in all turns
        self._withhold_usage = withhold_usage
        self._first = True
        self._last = False
        self._altered = False  # the client's view has parted from what the provider sends
        self._counts: dict[str, Any] = {}  # of the turns before this one
        self._usage: dict[str, Any] = {}  # of this turn, as far as it was told
        self._left = MAX_TURN_BYTES

    def begin_turn(self, *, last: bool) -> None:
        """The response to the request, or to the body that `answer` gave, is about to come.

        In the `last` turn calls of our tools are dropped.
        """
        self._last = last
        self._left = MAX_TURN_BYTES
        self.facts = None
        self._begin()
        self._events = RawEvents(self.reader.splitter)

    def feed(self, chunk: bytes) -> bytes:
        """What the client is to see of the next bytes of a stream.

        Raises:
            OverrunError: it can't be told what the client is to see.
        """
        self._left -= len(chunk)
        if self._left < 0:
            raise OverrunError
        event = None
        if self._events.is_between_events:
            if self._defers(chunk):
                return chunk
            event = lone(chunk)
        if event is None:
            return b"".join([self._pass(each) for each in self._events.feed(chunk)])
        try:
            return self._event(chunk, *event)
        except UNEXPECTED:
            return chunk

    def end_stream(self) -> bytes:
        """What the client is to see of the stream's very end."""
        return b"".join([self._pass(each) for each in self._events.flush()])

    def read(self, body: bytes) -> bytes:
        """What the client is to see of a body, given that there are no `calls` then.

        It is the one that came, unless a call of our tools is hidden in it or in one before.
        """
        try:
            return self._read(body)
        except UNEXPECTED:
            return body

    def answer(self, results: Sequence[Result]) -> bytes:
        """The next request: the last one with the model's response and the results at its end."""
        self._counts = self._total
        self._usage = {}
        self._first = False
        self._altered = True
        self.calls = self.dropped = ()
        return self._answer(results)

    def _pass(self, each: RawEvent) -> bytes:
        if each.event is None:
            return each.raw
        if not each.is_whole:  # the client has seen its beginning
            self.reader.read(*each.event)
            return each.raw
        try:
            return self._event(each.raw, *each.event)
        except UNEXPECTED:
            return each.raw

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

    def _call_id(self, given: str | None) -> str:
        """The id of a call of ours, which is made up where the model gave none."""
        if given:
            return given
        self._made_up += 1
        return f"call_{self._made_up - 1}"

    @abstractmethod
    def error(self, body: bytes) -> bytes:
        """How a stream that was begun ends, given an error body in the shape of the API."""

    @abstractmethod
    def early_end(self, said: Said) -> bytes:
        """What ends a stream that was begun for its client; see `early_ends`."""

    @abstractmethod
    def _begin(self) -> None:
        """Forget the turn before, and make the `reader` of this one."""

    def _defers(self, chunk: bytes) -> bool:
        """Whether a chunk is known at a glance to change nothing that the client is to see.

        What it tells is kept for the next turn, then.
        """
        return False

    @abstractmethod
    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        """Give the event to the `reader`; returns what the client is to see of it.

        May raise UNEXPECTED.
        """

    @abstractmethod
    def _read(self, body: bytes) -> bytes:
        """See `read`; sets `facts`, and may raise UNEXPECTED then."""

    @abstractmethod
    def _answer(self, results: Sequence[Result]) -> bytes:
        """See `answer`."""


def fields_of(data: bytes) -> Fields:
    """The fields of JSON that may be odd; then it is re-encoded.

    Raises UNREADABLE, UnsplittableError.
    """
    try:
        return Fields(data)
    except UnsplittableError:
        return Fields(lenient.encoded(lenient.loads(data)))


def counts_in(usage: msgspec.Raw) -> dict[str, Any]:
    """A usage object; empty where there is none, or none that can be read."""
    try:
        return bounds.counts(usage) or {}
    except bounds.UNREADABLE:
        return {}


def arguments_of(given: str) -> str:
    """What our tool is called with: a model that calls it with nothing means no arguments."""
    return "{}" if given.strip() in ("", "null") else given
