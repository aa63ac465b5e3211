"""What the store asks of a database: the differences between SQLite and PostgreSQL."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Protocol

_Row = Sequence[Any]


class Backend(Protocol):
    """The differences between the databases: the one connection that writes, over the bare driver.

    All of it blocks, and errors are the driver's own; what
    `ledger.Connection` has is explained there. `has_own_disk` says whether the daemon has to
    bring commits to the disk.
    """

    has_own_disk: bool
    shares_ledger: bool

    def connect(self) -> None:
        """Open the connection, and claim the rows of this recorder."""
        ...

    def disconnect(self) -> None:
        """Drop the connection, whatever its state."""
        ...

    def begin(self) -> None: ...

    def plan_by_values(self) -> None:
        """Plan the statements of this transaction by their values; the others' plans are kept."""
        ...

    def begin_at_once(self) -> bool:
        """Begin, if neither this nor the commit will block: no disk, no locks, no network."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def execute(self, sql: str, parameters: _Row = ()) -> list[Any]:
        """Run one statement; returns its rows."""
        ...

    def execute_many(self, sql: str, rows: Sequence[_Row]) -> None:
        """Run one statement for each of the rows."""
        ...

    def changed(self, sql: str, parameters: _Row) -> int:
        """Run one statement; returns the number of rows that it changed."""
        ...

    def time(self, at: datetime) -> Any:
        """A time as the driver takes it."""
        ...

    def was_changed(self) -> bool: ...

    def day(self, stored: Any) -> date: ...

    def lock_ledger(self, subjects: Sequence[str], interceptions: Sequence[str]) -> None: ...

    def owner_is_dead(self, recorder_id: int) -> bool:
        """Whether no living recorder has this id; called within a transaction."""
        ...

    def finish_by(self, seconds: float) -> None:
        """Give up within that time what can be given up. From any thread."""
        ...

    def flush(self) -> None:
        """Flush commits to disk, out of a power cut's reach; may run beside other commits."""
        ...

    def checkpoint_aside(self) -> bool:
        """Bring commits into the database's own file, flushed, while others commit.

        Returns whether `truncate_log` is called for. For one thread of its own.
        """
        ...

    def close_aside(self) -> None:
        """Close what `checkpoint_aside` has opened; from the same thread."""
        ...

    def is_scrub_requested(self) -> bool:
        """Whether a command wants no deleted text to be left: `truncate_log`. From any thread."""
        ...

    def truncate_log(self) -> None:
        """Restart the write-ahead log, once all of it is in the database's own file."""
        ...

    def is_refusal(self, error: Exception) -> bool:
        """Whether the error is about a row's values, and not about the database's state."""
        ...

    def reason(self, error: Exception) -> str:
        """The reason in a database's error, without any values."""
        ...
