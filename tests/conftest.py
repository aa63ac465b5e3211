"""Fixtures that every part of the suite shares."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

WALL_START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """A clock that stands still until a test moves it by hand."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def wall(self) -> datetime:
        return WALL_START + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> None:
        """Let time pass, for both clocks at once."""
        assert seconds >= 0, "time does not go back"
        self._elapsed += seconds


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Logging is one for the process: a test leaves it as it found it."""
    level = logging.root.level
    yield
    for handler in logging.root.handlers[:]:
        if type(handler).__module__.startswith("aibridged."):
            logging.root.removeHandler(handler)
    logging.root.setLevel(level)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
