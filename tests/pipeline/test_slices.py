"""What comes at once is read in slices, in turns that all answers share."""

import asyncio

import pytest

from aibridged.pipeline.slices import Backlog, sliced
from aibridged.time_slices import TURN_S, Turns
from aibridged.wire.bounds import SLICE


@pytest.fixture
def turns(clock):
    """Turns of a clock that a turn's time passes on whenever it is asked."""

    class Passing:
        def monotonic(self):
            clock.advance(TURN_S)
            return clock.monotonic()

    return Turns(Passing())


@pytest.fixture
def make(turns):
    """Makes a backlog with readers: it, and how often all has been read."""

    def make(*readers, coded=False):
        told = []
        return Backlog(turns, readers, lambda: told.append(None), coded=coded), told

    return make


async def test_turns_are_taken_one_a_turn_of_the_loop_in_order(turns):
    done, seen = [], []
    for number in range(3):
        turns.call(lambda number=number: done.append(number))
    while len(done) < 3:
        await asyncio.sleep(0)
        seen.append(len(done))
    assert done == [0, 1, 2]
    assert seen == sorted(set(seen)), "never two in one turn"


async def test_what_is_done_quickly_shares_a_turn(clock):
    turns, done = Turns(clock), []
    for number in range(5):
        turns.call(lambda number=number: done.append(number))
    turns.call(lambda: clock.advance(TURN_S))
    turns.call(lambda: done.append("next"))
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3, 4]
    await asyncio.sleep(0)
    assert done[-1] == "next"


async def test_a_turn_that_is_waited_for_is_nobody_elses(clock):
    turns, done = Turns(clock), []
    waiting = asyncio.ensure_future(turns.turn())  # noqa: TID251
    await asyncio.sleep(0)
    turns.call(lambda: done.append(waiting.done()))
    await turns.turn()
    assert done == [True]


async def test_work_that_fails_takes_no_turn_from_others(turns):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    turns.call(lambda: 1 / 0)
    await turns.turn()
    assert len(told) == 1
    asyncio.get_running_loop().set_exception_handler(None)


async def test_a_turn_that_nobody_waits_for_any_more_is_passed_over(turns):
    waiting = asyncio.ensure_future(turns.turn())  # noqa: TID251
    await asyncio.sleep(0)
    waiting.cancel()
    await turns.turn()


async def test_a_small_piece_is_read_at_once(make):
    seen = []
    backlog, told = make(seen.append)
    backlog.read(b"x" * SLICE)
    assert seen == [b"x" * SLICE]
    assert (backlog.waits, told) == (False, [])
    await backlog.finish()


async def test_a_large_piece_is_read_in_slices_and_what_comes_then_behind_it(make):
    seen = []
    backlog, told = make(seen.append)
    backlog.read(b"\n" * (3 * SLICE + 1))
    backlog.read(b"y")
    assert seen == [b"\n" * SLICE], "the first at once: the breaker wants to know"
    assert backlog.waits
    await backlog.finish()
    assert [len(part) for part in seen] == [SLICE, SLICE, SLICE, 1, 1]
    assert (seen[-1], len(told), backlog.waits) == (b"y", 1, False)
    backlog.read(b"z")
    assert seen[-1] == b"z"


async def test_answers_take_turns(make):
    seen = []
    first, _ = make(lambda part: seen.append("first"))
    second, _ = make(lambda part: seen.append("second"))
    first.read(b"\n" * 3 * SLICE)
    second.read(b"\n" * 3 * SLICE)
    await first.finish()
    await second.finish()
    assert seen == ["first", "second"] * 3


async def test_what_is_decoded_is_read_step_by_step(make):
    seen = []

    def read(part):
        for step in range(3):
            seen.append(step)
            yield

    backlog, _ = make(read, coded=True)
    backlog.read(b"x")
    assert seen == [0]
    await backlog.finish()
    assert seen == [0, 1, 2]


async def test_a_reader_that_fails_is_asked_no_more(make):
    seen = []

    def fail(part):
        seen.append(part)
        raise RuntimeError("a bug")

    backlog, told = make(fail)
    backlog.read(b"\n" * 3 * SLICE)
    backlog.read(b"\n" * 3 * SLICE)
    assert (len(seen), len(told)) == (1, 1)
    with pytest.raises(RuntimeError):
        await backlog.finish()


async def test_without_readers_nothing_waits(make):
    backlog, _ = make()
    backlog.read(b"\n" * 3 * SLICE)
    assert not backlog.waits


async def test_a_request_that_is_cancelled_is_read_to_its_end_first(make):
    seen = []
    backlog, _ = make(seen.append)
    backlog.read(b"\n" * 5 * SLICE)
    finishing = asyncio.ensure_future(backlog.finish())  # noqa: TID251
    await asyncio.sleep(0)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    assert len(seen) == 5


def test_slices():
    assert sliced(b"") == (b"",)
    assert sliced(b"x" * SLICE) == (b"x" * SLICE,)
    assert [len(part) for part in sliced(b"x" * (SLICE + 1))] == [SLICE, 1]
