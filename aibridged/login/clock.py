"""The time, for the commands of sign-in. Tests pass a clock that they move by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the commands ask of the time."""

    def now(self) -> float:
        """Wall time in Unix seconds: for what is stored."""

    def monotonic(self) -> float:
        """Seconds of a clock that never steps: for deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The system's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
