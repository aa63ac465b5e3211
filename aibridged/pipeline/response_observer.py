"""Observes a response beside its relay: for the circuit breaker at once, and for the record."""

from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from aibridged.clock import Clock
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.facts import ResponseFacts, TokenUsage, WireApi
from aibridged.wire.reader import AnyReader, ResponseReader
from aibridged.wire.response import open_reader

_OVERLOADED = frozenset({"overloaded_error", "rate_limit_error"})


class Verdict(Protocol):
    """Reports, once, whether the provider failed the request: a circuit breaker's admission."""

    def success(self) -> None: ...
    def failure(self) -> None: ...


class ResponseObserver:
    """Observes one response.

    `first_byte_at` is monotonic; `complete` is set once the response has been relayed to its end;
    `size` counts the bytes that came. A `reader` that is given is fed by its owner, who then counts
    them, and calls `progress`. `on_id` is told the
    response's id as soon as a stream has told it. Once it `is_settled`, no more `progress` needs to
    be told.
    """

    first_byte_at: float | None = None
    complete = False
    size = 0
    is_settled = False

    def __init__(
        self,
        api: WireApi,
        response: UpstreamResponse,
        clock: Clock,
        verdict: Verdict | None,
        failure_statuses: Collection[int],
        reader: ResponseReader | None = None,
        *,
        on_id: Callable[[str], None] | None = None,
    ) -> None:
        self.status = response.status
        self.api = api
        self.is_stream = response.content_type == "text/event-stream"
        self.is_coded = response.content_coding is not None
        self.has_length = b"content-length" in response.names
        self._monotonic = clock.monotonic
        self._reader = reader or open_reader(api, response.content_type, response.content_coding)
        self._undecided = _judged_by_head(response, verdict, failure_statuses)
        self._on_id = on_id

    def feed(self, chunk: bytes) -> Iterator[None] | None:
        """Read what has just been relayed; large chunks in steps, if steps are returned."""
        self.size += len(chunk)
        if self.is_settled:
            return self._reader.feed(chunk)
        if self.first_byte_at is None:
            self.first_byte_at = self._monotonic()
        steps = self._reader.feed(chunk)
        if steps is not None:
            return self._in_steps(steps)
        self._judge()
        return None

    def progress(self) -> None:
        """The reader has been fed what has just been relayed."""
        if self.first_byte_at is None:
            self.first_byte_at = self._monotonic()
        self._judge()

    def _in_steps(self, steps: Iterator[None]) -> Iterator[None]:
        for step in steps:
            self._judge()
            yield step
        self._judge()

    def _judge(self) -> None:
        if self._on_id is not None and (id := self._reader.response_id) is not None:
            self._on_id(id)
            self._on_id = None
        undecided = self._undecided
        if undecided is not None and (verdict := self._reader.verdict) is not None:
            if verdict in _OVERLOADED:
                undecided.failure()
            else:
                undecided.success()
            undecided = self._undecided = None
        self.is_settled = undecided is None and self._on_id is None

    @property
    def stream(self) -> AnyReader | None:
        """What reads a stream that the client gets as it is; None until it is known to be one."""
        return self._reader.stream

    @property
    def usage_so_far(self) -> TokenUsage | None:
        """The usage of a stream, as far as it was told."""
        stream = self._reader.stream
        return None if stream is None else stream.usage_so_far

    def facts(self) -> ResponseFacts:
        """The facts of the response, as far as it came. Once only."""
        return self._reader.finish(self.complete)


def _judged_by_head(
    response: UpstreamResponse, verdict: Verdict | None, failure_statuses: Collection[int]
) -> Verdict | None:
    """Tell the breaker what the head shows; a 200 isn't enough, a stream's first event is."""
    if verdict is None:
        return None
    if response.status in failure_statuses:
        verdict.failure()
        return None
    if response.status != 200:
        verdict.success()
        return None
    return verdict
