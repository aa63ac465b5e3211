"""A loop that is late is seen to be."""

import asyncio

import pytest

from aibridged.observe import loop_lag
from aibridged.observe.loop_lag import LoopLag


@pytest.fixture
def often(monkeypatch):
    """Looks as fast as the loop turns; the time that it sees is the moved clock's."""
    monkeypatch.setattr(loop_lag, "INTERVAL_S", 0.0)


async def test_the_time_that_passes_between_looks_is_lag(clock, often):
    lags: asyncio.Queue[float] = asyncio.Queue()
    meter = LoopLag(clock, lags.put_nowait)
    clock.advance(0.5)
    assert await lags.get() == 0.5
    clock.advance(2.0)
    assert await lags.get() == 2.0
    meter.stop()


async def test_a_timer_that_fires_early_is_not_less_than_on_time(clock):
    lags = []
    meter = LoopLag(clock, lags.append)
    await asyncio.sleep(0)
    meter._look()
    meter.stop()
    assert lags == [0.0, 0.0]


async def test_it_stops(clock, often):
    lags = []
    meter = LoopLag(clock, lags.append)
    meter.stop()
    for _ in range(3):
        await asyncio.sleep(0)
    assert lags == []
