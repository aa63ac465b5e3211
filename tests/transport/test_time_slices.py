"""Long computations leave the loop to others, and take turns."""

import asyncio
from collections.abc import Iterator

import pytest

from aibridged.transport.time_slices import SLICE_S, TimeSlices, Turns


@pytest.fixture
def slices(clock):
    return TimeSlices(Turns(clock), clock)


@pytest.fixture
def computation(clock):
    """So many steps of half a slice each; each is noted with a name."""
    taken: list[str] = []

    def compute(name: str, steps: int) -> Iterator[None]:
        for _ in range(steps):
            taken.append(name)
            clock.advance(SLICE_S / 2)
            yield
        return name.upper()

    compute.taken = taken
    return compute


async def test_a_short_one_waits_for_nothing(slices, computation):
    run = slices.run(computation("a", 0), "caller")
    with pytest.raises(StopIteration) as end:
        run.send(None)
    assert end.value.value == "A"


async def test_what_it_raises_is_raised(slices):
    def fail():
        yield
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await slices.run(fail(), "caller")


async def test_the_loop_serves_others_between_slices(slices, computation):
    taken = computation.taken
    computing = asyncio.ensure_future(slices.run(computation("a", 9), "caller"))  # noqa: TID251
    while not computing.done():
        taken.append("-")
        await asyncio.sleep(0)
    assert await computing == "A"
    longest = max(map(len, "".join(taken).split("-")))
    assert longest <= 2
    assert taken.count("a") == 9


async def test_callers_take_turns_and_each_has_one_computation_at_a_time(slices, computation):
    results = await asyncio.gather(
        slices.run(computation("a", 9), 1),
        slices.run(computation("b", 9), 1),
        slices.run(computation("c", 9), 1),
        slices.run(computation("x", 9), 2),
    )
    assert results == ["A", "B", "C", "X"]
    order = "".join(computation.taken)
    # Whatever the first caller asks for, the second is done when the first one's first is.
    assert order.rindex("x") < order.rindex("b")
    assert order.rindex("x") < order.rindex("a") + 3
    assert not slices._callers


async def test_one_that_is_cancelled_holds_up_nobody(slices, computation):
    first = asyncio.get_running_loop().create_task(slices.run(computation("a", 99), 1))
    second = asyncio.get_running_loop().create_task(slices.run(computation("b", 9), 1))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "B"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert computation.taken.count("a") < 99
    assert not slices._callers
