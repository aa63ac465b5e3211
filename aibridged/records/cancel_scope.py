"""Deadline and cancellation of database queries."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock

TIME_LIMIT_S = 10.0
_SLACK_S = 2.0  # a server that answers says itself that the time is up
_STEPS = 20_000  # of SQLite's virtual machine, between two checks of the deadline
_TIME_IS_UP = ("interrupted", "statement timeout", "no answer came")


class QueryFailedError(Exception):
    """A query that failed; the message is for people."""


class QueryTimeoutError(QueryFailedError):
    """A query that took too long; the message says how to ask for less."""


class QueryCancelledError(QueryFailedError):
    """A query whose result is no longer wanted."""


WORK_MEMORY = "64MB"
"""PostgreSQL's memory for a sort or a hash, at least: with its default of 4 MB, it sorts the
summaries of years on disk to group them, which takes twice as long."""

_MORE_MEMORY = sa.text(
    "SELECT set_config('work_mem', :least, true)"
    " WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes(:least)"
)


class CancelScope:
    """Deadline and cancellation of one query; each of its statements may take `seconds`."""

    def __init__(self, clock: Clock, seconds: float = TIME_LIMIT_S) -> None:
        self._clock = clock
        self._seconds = seconds
        self._within = seconds
        self._ends = 0.0
        self._is_cancelled = False
        self._cancel_statement: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Cancel the statement that is running, and refuse others. Thread-safe; never blocks."""
        self._is_cancelled = True
        if (cancel := self._cancel_statement) is not None:
            # It opens a connection of its own to the server, which may hang.
            threading.Thread(target=_quietly, args=(cancel,), daemon=True).start()

    @contextmanager
    def connect(self, engine: sa.Engine, seconds: float | None = None) -> Iterator[sa.Connection]:
        """A read-only connection whose statements are bound by this scope, or to fewer `seconds`.

        They may nest.

        Raises:
            QueryCancelledError, QueryTimeoutError: the scope has ended.
            QueryFailedError: the database can't be read.
        """
        before, self._within = self._within, self._seconds if seconds is None else seconds
        try:
            with engine.connect() as connection:
                sa.event.listen(connection, "before_cursor_execute", self._begin_statement)
                outer = self._cancel_statement
                self._hold(connection)
                try:
                    yield connection
                finally:
                    self._cancel_statement = outer
                    self._within = before
        except DBAPIError as error:
            raise self._failure(error) from None

    def _hold(self, connection: sa.Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        if connection.dialect.name == "sqlite":
            driver.set_progress_handler(self._is_over, _STEPS)
            connection.exec_driver_sql("PRAGMA query_only = ON")
        else:
            self._cancel_statement = driver.end_statement
            driver.patience = self._within + _SLACK_S
            # One snapshot for all statements, as in SQLite: what ends meanwhile isn't skipped.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Joined partition by partition, only those of the time that is asked for are read.
            connection.exec_driver_sql(
                f"SET LOCAL statement_timeout = {round(self._within * 1000)};"
                " SET LOCAL enable_partitionwise_join = on"
            )
            connection.execute(_MORE_MEMORY, {"least": WORK_MEMORY})

    def _begin_statement(self, *_: object) -> None:
        if self._is_cancelled:
            raise _cancelled()
        self._ends = self._clock.monotonic() + self._within

    def _is_over(self) -> bool:
        return self._is_cancelled or self._clock.monotonic() > self._ends

    def _failure(self, error: DBAPIError) -> QueryFailedError:
        said = str(error.orig)
        if self._is_cancelled:
            return _cancelled()
        if any(words in said for words in _TIME_IS_UP):
            return QueryTimeoutError(
                f"The query took longer than {self._within:g} s: narrow it down with a shorter "
                "time range or a filter."
            )
        reason = said.partition("\n")[0]
        return QueryFailedError(f"The database can't be queried: {reason}")


def _cancelled() -> QueryCancelledError:
    return QueryCancelledError("The client of the query has disconnected.")


def _quietly(cancel: Callable[[], object]) -> None:
    with suppress(Exception):  # the connection, or the server, is gone, and so is the query
        cancel()
