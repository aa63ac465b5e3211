"""Waiting for a place: the deadline, and that no place is lost with the one that waited for it."""

import asyncio

import pytest

from aibridged.core.fair_queue import Bounds, QueueFullError, ShareFullError
from aibridged.fair_places import FairPlaces


@pytest.fixture
def places():
    return FairPlaces(Bounds(places=1, places_each=1, waiting=3, waiting_each=2), 10)


async def queued(tasks, places, *keys):
    """Tasks that wait for a place, in this order."""
    started = [tasks.create_task(places.take(key)) for key in keys]
    await asyncio.sleep(0)
    assert places.waiting == len(keys)
    return started


async def test_a_place_is_handed_on_in_turns(places):
    await places.take("ann")
    async with asyncio.TaskGroup() as tasks:
        first, second, other = await queued(tasks, places, "ann", "ann", "bob")
        for key, task in (("ann", first), ("ann", other), ("bob", second)):
            assert not task.done()
            places.give_back(key)
            await task
    places.give_back("ann")
    assert (places.taken, places.waiting) == (0, 0)


async def test_no_more_wait_than_may(places):
    await places.take("ann")
    async with asyncio.TaskGroup() as tasks:
        started = await queued(tasks, places, "ann", "ann", "bob")
        with pytest.raises(ShareFullError):
            await places.take("ann")
        with pytest.raises(QueueFullError):
            await places.take("eve")
        for task in started:
            task.cancel()
    assert (places.taken, places.waiting) == (1, 0)


async def test_the_wait_has_a_deadline(places):
    places.wait_s = 0.01
    await places.take("ann")
    with pytest.raises(TimeoutError):
        await places.take("ann")
    assert places.waiting == 0
    places.give_back("ann")
    await places.take("ann")


async def test_those_that_left_are_passed_over(places):
    """Both at once: one as its place came, one while it waited."""
    await places.take("ann")
    async with asyncio.TaskGroup() as tasks:
        first, second, third = await queued(tasks, places, "ann", "ann", "bob")
        places.give_back("ann")
        first.cancel()  # has its place, and doesn't know yet
        third.cancel()
        await asyncio.wait([first, third])
        await second
    assert first.cancelled()
    assert (places.taken, places.waiting) == (1, 0)


async def test_it_is_told_of_each_that_has_to_wait():
    told = []
    places = FairPlaces(Bounds(1, 1, 5), 10, lambda *waiting: told.append(waiting))
    await places.take("ann")
    assert told == []
    async with asyncio.TaskGroup() as tasks:
        for task in await queued(tasks, places, "ann", "bob", "ann"):
            task.cancel()
    assert told == [("ann", 1), ("bob", 1), ("ann", 2)]
