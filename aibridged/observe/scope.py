"""Request context of the running code (a context variable), for log lines and traces."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, Self

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A span under way. Times are monotonic seconds, by default now.

    Spans must not contain prompts, responses or keys. `error` is a short word: the code of an error
    of ours, a status, the type of an exception.
    """

    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...

    def child(self, name: str, began: float | None = None, attributes: Attributes = ...) -> Self:
        """Start a child span."""
        ...

    def annotate(self, attributes: Attributes) -> None:
        """Add attributes."""
        ...

    def event(self, name: str, attributes: Attributes) -> None:
        """Add an event."""
        ...

    def end(self, ended: float | None = None, error: str | None = None) -> None:
        """End the span, as failed where there is an `error`."""
        ...


class Scope:
    """What the log lines and spans of one request share; `span` is the current one.

    Connections and timers outlive the request whose context they were created in: `leave` keeps
    them from logging in its name, and from keeping its objects alive.
    """

    __slots__ = ("interception_id", "request_id", "span")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.interception_id: str | None = None
        self.span: Span | None = None

    def leave(self) -> None:
        """End the request's scope."""
        self.request_id = ""
        self.interception_id = self.span = None


SCOPE: ContextVar[Scope | None] = ContextVar("aibridged_scope", default=None)

INNERMOST: ContextVar[Span | None] = ContextVar("aibridged_span", default=None)
"""The current child span. Concurrent tasks each have their own, and a task that is started
within a span stays there, whatever the request goes on to."""


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Span | None]:
    """A child of the current span, for the duration of the block; None where nothing is traced.

    What goes on after the request has ended isn't part of its trace. An exception that leaves the
    block ends the span as failed.
    """
    scope = SCOPE.get()
    above = None if scope is None or scope.span is None else INNERMOST.get() or scope.span
    if above is None:
        yield None
        return
    below = above.child(name, attributes=attributes)
    token = INNERMOST.set(below)
    try:
        yield below
    except BaseException as error:
        below.end(error=type(error).__name__)
        raise
    else:
        below.end()
    finally:
        INNERMOST.reset(token)
