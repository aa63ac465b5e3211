"""Nobody gets more of the page than their share, and others don't notice."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from aibridged.core.rate_limit import RateLimiter
from aibridged.errors import AT_CAPACITY, RATE_LIMITED, GatewayError
from aibridged.ui.admission import PLACES, PLACES_EACH, RATE, Admission


@pytest.fixture
def admission(clock) -> Admission:
    return Admission(RateLimiter(RATE, clock), wait=0.01)


async def test_so_many_a_second(admission, clock):
    for _ in range(RATE):
        async with admission.place(b"ann"):
            pass
    with pytest.raises(GatewayError) as refused:
        async with admission.place(b"ann"):
            pass
    assert (refused.value.kind, refused.value.retry_after) == (RATE_LIMITED, 1)
    async with admission.place(b"bob"):
        pass
    clock.advance(1)
    async with admission.place(b"ann"):
        pass


async def test_so_many_at_a_time(admission):
    async with AsyncExitStack() as held:
        for _ in range(PLACES_EACH):
            await held.enter_async_context(admission.place(b"ann"))
        with pytest.raises(GatewayError) as refused:
            async with admission.place(b"ann"):
                pass
        assert refused.value.kind is AT_CAPACITY
        async with admission.place(b"bob"):
            pass
    async with admission.place(b"ann"):
        pass


async def test_places_are_bounded_for_all_together(admission):
    async with AsyncExitStack() as held:
        for number in range(PLACES):
            await held.enter_async_context(admission.place(b"%d" % (number // PLACES_EACH)))
        with pytest.raises(GatewayError):
            async with admission.place(b"another"):
                pass


async def test_those_who_wait_get_the_next_place(clock):
    admission = Admission(RateLimiter(RATE, clock), wait=10)
    ran = asyncio.Event()

    async def visit() -> None:
        async with admission.place(b"ann"):
            ran.set()

    async with AsyncExitStack() as held, asyncio.TaskGroup() as tasks:
        for _ in range(PLACES_EACH):
            await held.enter_async_context(admission.place(b"ann"))
        tasks.create_task(visit())
        await asyncio.sleep(0)
        assert not ran.is_set()
        await held.aclose()
    assert ran.is_set()
