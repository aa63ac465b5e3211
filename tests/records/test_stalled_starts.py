"""Starts that wait for too long: refused, and all until one is answered."""

import asyncio

import pytest

from aibridged.records.facts import InterceptionStart
from aibridged.records.jobs import RecordingFailedError, Waiting
from aibridged.records.stalled_starts import STALL_S, StalledStarts
from aibridged.records.stats import RecorderStats


async def test_only_those_that_have_waited_for_too_long_are_refused(clock, messages):
    stats, refused = RecorderStats(), []
    starts = StalledStarts(clock, stats, "The disk", refused.append)
    old, answered, new = (
        Waiting(
            InterceptionStart(
                id=str(number),
                initiator_id="",
                provider="",
                provider_name="",
                model="",
                client="",
                started_at=clock.wall(),
            ),
            asyncio.get_running_loop().create_future(),
        )
        for number in range(3)
    )
    starts.put(old, clock.monotonic())
    starts.put(answered, clock.monotonic())
    answered.committed.set_result(())
    clock.advance(STALL_S + 1)
    starts.put(new, clock.monotonic())
    async with asyncio.timeout(10):
        with pytest.raises(RecordingFailedError):
            await old.committed
    assert (refused, new.committed.done()) == ([old], False)
    assert (stats.stalled, stats.starts_refused) == (True, 1)
    clock.advance(STALL_S + 1)
    async with asyncio.timeout(10):
        with pytest.raises(RecordingFailedError):
            await new.committed
    starts.close()
    assert stats.starts_refused == 2
    assert messages().count("The disk has not answered for 10.7 s") == 1
