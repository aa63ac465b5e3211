"""PostgreSQL connection with deadlines of the client's own.

A server may accept and not answer: it is frozen, or waits for a standby that is gone. Its own
timeouts don't end that, nor does TCP, whose peer is alive.
"""

import selectors
import threading
from collections.abc import Generator
from contextlib import suppress
from math import inf
from typing import Any, TypeVar

import psycopg

from aibridged.clock import SystemClock
from aibridged.records.database import UNREACHABLE_S

PATIENCE_S = UNREACHABLE_S + 2.0
"""For one answer of the server's, unless told otherwise: its own timeouts come first."""

CANCEL_S = 1.0
"""For a statement to end that is cancelled, or else to be cancelled again: the server ignores it if
none has begun yet."""

T = TypeVar("T")

_monotonic = SystemClock.monotonic


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on an answer that takes more than `patience`, or until `ends`.

    Both are in seconds, `ends` by the monotonic clock; another thread may bring it forward. What
    gave up is closed for its user, and cancelled on the server, which else would keep it for ever.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.patience = PATIENCE_S
        self.ends = inf
        self._has_given_up = False

    def end_statement(self) -> None:
        """Cancel the statement that runs, or is about to. From any thread; may block."""
        self.ends = _monotonic() + CANCEL_S
        self.cancel_safe()

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Wait for the server.

        Raises:
            psycopg.OperationalError: it did not answer in time.
        """
        return super().wait(self._bounded(gen), *args, **options)

    def rollback(self) -> None:
        """Roll back; where it gave up, that is done."""
        if not self._has_given_up:
            super().rollback()

    def close(self) -> None:
        """Close it; where it gave up, that is under way."""
        if not self._has_given_up:
            super().close()

    def _bounded(self, steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        if self._has_given_up:
            raise psycopg.OperationalError("the connection has been given up")
        began = _monotonic()
        try:
            wanted = next(steps)
            while True:
                # Nothing is sent in here now and then, since psycopg looks for interrupts.
                ready = yield wanted
                if not ready and _monotonic() > min(began + self.patience, self.ends):
                    self._give_up()
                    raise psycopg.OperationalError(
                        "the server accepts connections, but no answer came"
                    )
                wanted = steps.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result

    def _give_up(self) -> None:
        self._has_given_up = True
        # It makes a connection of its own to the server, which may not answer either.
        threading.Thread(target=self._cancel, name="cancel", daemon=True).start()

    def _cancel(self) -> None:
        until = _monotonic() + PATIENCE_S
        with suppress(Exception), selectors.DefaultSelector() as answers:
            answers.register(self.pgconn.socket, selectors.EVENT_READ)
            while (left := until - _monotonic()) > 0:
                self.cancel_safe(timeout=left)
                if answers.select(CANCEL_S):
                    break
        self.pgconn.finish()
