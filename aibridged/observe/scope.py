"""Request context of the running code (a context variable), for log lines and traces."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, Self

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A span under way. Times are monotonic seconds; without one it is now.

    Nothing that goes into a span may hold a prompt, an answer or a key. `error` is a short word:
    the code of an error of ours, a status, the type of an exception.
    """

    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...

    def child(self, name: str, began: float | None = None, attributes: Attributes = ...) -> Self:
        """Begin a span below this one."""
        ...

    def annotate(self, attributes: Attributes) -> None:
        """Add to the attributes."""
        ...

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something happened."""
        ...

    def end(self, ended: float | None = None, error: str | None = None) -> None:
        """End it, as failed where there is an `error`."""
        ...


class Scope:
    """What the lines and spans of one request have in common; `span` is the one under way.

    Connections and timers outlive the request in whose context they were made: `leave` keeps them
    from speaking in its name, and from keeping alive what it has.
    """

    __slots__ = ("interception_id", "request_id", "span")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.interception_id: str | None = None
        self.span: Span | None = None

    def leave(self) -> None:
        """The request has ended."""
        self.request_id = ""
        self.interception_id = self.span = None


SCOPE: ContextVar[Scope | None] = ContextVar("aibridged_scope", default=None)

INNERMOST: ContextVar[Span | None] = ContextVar("aibridged_span", default=None)
"""A span below that of the scope. Tasks that run side by side each have their own, and one that is
begun below a span stays there, whatever the request goes on to."""


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Span | None]:
    """A span below the one under way, for as long as the block runs; None where none is traced.

    What goes on after the request has ended is none of its trace. An exception that leaves the
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
