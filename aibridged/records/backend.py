"""What the two databases do differently, as the store sees it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

Row = Sequence[Any]


class Backend(Protocol):
    """One connection that writes. All of it blocks; errors are the driver's own."""

    def connect(self) -> None:
        """Open the connection and claim to be the living owner of this recorder's rows."""
        ...

    def disconnect(self) -> None:
        """Drop the connection, whatever state it is in."""
        ...

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def execute(self, sql: str, parameters: Row = ()) -> list[Any]:
        """Run one statement; the rows it returns."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run one statement for each of the rows."""
        ...

    def changed(self, sql: str, parameters: Row) -> int:
        """Run one statement; how many rows it changed."""
        ...

    def time(self, at: datetime) -> Any:
        """A time as the driver takes it."""
        ...

    def owner_is_dead(self, recorder_id: int) -> bool:
        """Whether nobody alive writes under this id; called within a transaction."""
        ...

    def checkpoint(self) -> None:
        """Bring what is committed where a power cut can't take it."""
        ...

    def is_refusal(self, error: Exception) -> bool:
        """Whether the error is about the values of a row, and not about the database."""
        ...

    def reason(self, error: Exception) -> str:
        """What to say of an error about the database; it quotes no values."""
        ...
