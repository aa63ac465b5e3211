"""Places for look-ups: turns, deadlines, and what is said of an address that is throttled."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from aibridged.core.client_ip import rate_limit_key
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.lookups import THROTTLED_AT, Lookups, NoRoomError

HERE, THERE = rate_limit_key("192.0.2.1"), rate_limit_key("2001:db8::1")


@pytest.fixture
def lookups(clock):
    return Lookups(2, clock)


async def settle():
    """Let every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


class Crowd:
    """Look-ups that each last until they are told to end."""

    def __init__(self, lookups):
        self._lookups = lookups
        self.under_way = []
        self.tasks = []

    def come(self, address, count=1):
        loop = asyncio.get_running_loop()
        new = [loop.create_task(self._look_up(address)) for _ in range(count)]
        self.tasks += new
        return new

    async def _look_up(self, address):
        async with self._lookups.place(address):
            end = asyncio.Event()
            self.under_way.append((address, end))
            await end.wait()

    async def end_one(self):
        """End the look-up that has been under way for longest; whose it was."""
        address, end = self.under_way.pop(0)
        end.set()
        await settle()
        return address

    async def end(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def crowd(lookups):
    crowd = Crowd(lookups)
    yield crowd
    await crowd.end()


async def test_an_address_has_half_of_the_places_and_another_is_not_kept_waiting(crowd):
    crowd.come(HERE, 50)
    await settle()
    assert [address for address, _ in crowd.under_way] == [HERE]
    crowd.come(THERE)
    await settle()
    assert [address for address, _ in crowd.under_way] == [HERE, THERE]


async def test_a_place_is_handed_on_in_turns(crowd):
    crowd.come(HERE, 10)
    crowd.come(THERE, 2)
    await settle()
    ended = [await crowd.end_one() for _ in range(6)]
    assert ended.count(THERE) == 2
    assert len(crowd.under_way) == 1  # one address alone has half


async def test_who_finds_no_room_is_told_so_and_another_address_finds_some(clock):
    lookups = Lookups(1, clock, room=8)
    async with AsyncExitStack() as stack:
        crowd = Crowd(lookups)
        stack.push_async_callback(crowd.end)
        crowd.come(HERE, 5)
        await settle()
        with pytest.raises(NoRoomError):
            async with lookups.place(HERE):
                pass
        [task] = crowd.come(THERE)
        await settle()
        assert not task.done()


async def test_nobody_waits_for_ever(clock):
    lookups = Lookups(1, clock, wait=0.01)
    async with lookups.place(HERE):
        with pytest.raises(AuthUnavailableError, match="was queued for more than"):
            async with lookups.place(HERE):
                pass
    async with lookups.place(HERE):  # who gave up left nothing behind
        pass


@pytest.mark.parametrize("turns", range(5))
async def test_who_leaves_takes_no_place_along(lookups, turns):
    """Whether it still waits, or has just been given the place."""
    crowd = Crowd(lookups)
    first, second, third = crowd.come(HERE, 3)
    await settle()
    first.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    second.cancel()
    await settle()
    assert not third.done()
    assert len(crowd.under_way) >= 1
    third.cancel()
    await settle()
    async with lookups.place(HERE):
        pass


async def test_two_who_leave_at_once_take_no_place_along(lookups):
    crowd = Crowd(lookups)
    first, second, third = crowd.come(HERE, 3)
    await settle()
    second.cancel()
    first.cancel()
    await settle()
    assert len(crowd.under_way) == 2  # the third has come after the first
    await crowd.end()
    assert third.cancelled()


async def test_an_address_that_is_throttled_is_named_once_an_episode(lookups, crowd, clock, log):
    crowd.come(HERE, THROTTLED_AT)
    await settle()
    assert log == []  # one is under way
    crowd.come(HERE, 20)
    await settle()
    assert len(log) == 1
    assert log[0].startswith("WARNING: The address 192.0.2.1 is throttled")
    assert "--proxy-trusted-origins" in log[0]
    clock.advance(59)
    crowd.come(HERE)
    await settle()
    clock.advance(59)  # since the episode was last seen to go on
    crowd.come(HERE)
    await settle()
    assert len(log) == 1
    clock.advance(61)
    crowd.come(HERE)
    await settle()
    assert len(log) == 2
    crowd.come(THERE, THROTTLED_AT + 1)
    await settle()
    assert "The address 2001:db8::/64 is throttled" in log[2]
