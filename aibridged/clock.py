"""The clock: the only source of time, which tests replace.

Wall time (UTC) is for records that people read; monotonic time is for everything that measures
or expires, because the wall clock may step back. Tests pass a clock that they move by hand.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Interface of the clock, which is passed to everything that needs the time."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wall(self) -> datetime:
        """The current time, aware, in UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    # The function itself: it is called a dozen times per request.
    monotonic = staticmethod(time.monotonic)

    def wall(self) -> datetime:
        return datetime.now(UTC)
