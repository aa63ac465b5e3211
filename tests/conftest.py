"""Fixtures that every part of the suite shares."""

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


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
