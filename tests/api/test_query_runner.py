"""How many questions are asked at once, for whom, and what becomes of those nobody waits for."""

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from aibridged.api.channel import PIECE_BYTES
from aibridged.api.query_runner import BOUNDS, QueryRunner
from aibridged.errors import GatewayError
from aibridged.records.query import Query
from tests.viewers import EVERYTHING
from tests.waiting import until

FOREVER = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000)"
    " SELECT count(*) FROM n"
)


@pytest.fixture
def asking(database, clock):
    made = QueryRunner(Query(database.engine, clock, EVERYTHING), clock)
    yield made
    made.close()


class Slow:
    """An answer that takes until it is let go on."""

    def __init__(self):
        self.began = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, query):
        self.began.set()
        assert self.go_on.wait(10)
        yield b"done"


def quick(query):
    yield b"done"


async def answer(asking, caller, make=quick):
    async with asking.ask(caller, make) as channel:
        return await channel.read()


async def until_idle(asking):
    await until(lambda: not asking._places.taken)


async def refusal(asking, caller):
    with pytest.raises(GatewayError) as raised:
        await answer(asking, caller)
    return raised.value.kind.code, raised.value.retry_after


async def test_answers_are_made_in_threads(asking):
    where = []

    def make(query):
        where.append(threading.current_thread())
        yield b"done"

    assert await answer(asking, "ann", make) == b"done"
    assert where != [threading.main_thread()]


async def test_the_slow_questions_of_one_keep_no_other_waiting(asking):
    slow = [Slow() for _ in range(BOUNDS.places_each + BOUNDS.waiting_each)]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(answer(asking, "ann", each)) for each in slow]
        await asyncio.sleep(0)
        assert await refusal(asking, "ann") == ("rate_limited", 1)
        assert await answer(asking, "bob") == b"done"
        for each in slow:
            each.go_on.set()
    assert [each.result() for each in asked] == [b"done"] * len(slow)
    await until_idle(asking)


async def test_no_more_wait_than_may(asking):
    slow = Slow()
    callers = BOUNDS.places // BOUNDS.places_each + BOUNDS.waiting // BOUNDS.waiting_each
    async with asyncio.TaskGroup() as tasks:
        for number in range(callers):
            each = min(BOUNDS.places_each, BOUNDS.waiting_each)
            if number >= BOUNDS.places // BOUNDS.places_each:
                each = BOUNDS.waiting_each
            for _ in range(each):
                tasks.create_task(answer(asking, f"caller-{number}", slow))
        await asyncio.sleep(0)
        assert asking._places.waiting == BOUNDS.waiting
        assert await refusal(asking, "bob") == ("query_failed", 1)
        slow.go_on.set()
    await until_idle(asking)
    assert await answer(asking, "bob") == b"done"


async def test_a_place_is_waited_for_so_long_and_no_longer(asking):
    asking._places.wait_s = 0.02
    slow = Slow()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(BOUNDS.places_each):
            tasks.create_task(answer(asking, "ann", slow))
        await asyncio.sleep(0)
        assert await refusal(asking, "ann") == ("query_failed", 1)
        assert asking._places.waiting == 0
        slow.go_on.set()


async def test_who_leaves_while_waiting_is_passed_over(asking):
    slow = Slow()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(BOUNDS.places_each):
            tasks.create_task(answer(asking, "ann", slow))
        await asyncio.sleep(0)
        leaving = tasks.create_task(answer(asking, "ann"))
        staying = tasks.create_task(answer(asking, "ann"))
        await asyncio.sleep(0)
        leaving.cancel()
        slow.go_on.set()
        async with asyncio.timeout(10):
            assert await staying == b"done"
    assert leaving.cancelled()
    await until_idle(asking)


async def test_a_place_that_comes_as_its_caller_leaves_is_given_back(asking):
    slow = Slow()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(BOUNDS.places_each):
            tasks.create_task(answer(asking, "ann", slow))
        await asyncio.sleep(0)
        leaving = tasks.create_task(answer(asking, "ann"))
        await asyncio.sleep(0)
        asking._places.give_back("ann")  # its turn comes
        leaving.cancel()  # before it hears of it
        await asyncio.wait([leaving])
        assert asking._places.taken == BOUNDS.places_each - 1
        asking._places._queue.take("ann")
        slow.go_on.set()
    await until_idle(asking)


async def test_what_nobody_waits_for_is_interrupted_and_frees_its_place(asking, database):
    """A statement that would run for minutes."""
    under_way = threading.Event()

    def ask_forever(query):
        yield b"x" * PIECE_BYTES
        with query._connect() as connection:
            under_way.set()
            connection.exec_driver_sql(FOREVER)

    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(asking.ask("ann", ask_forever))
        await channel.read()
        assert await asyncio.to_thread(under_way.wait, 10)
        assert asking._places.taken == 1
    await until_idle(asking)


async def test_an_answer_that_nobody_reads_frees_its_place(asking):
    def endless(query):
        while True:
            yield b"x" * PIECE_BYTES

    async with asking.ask("ann", endless) as channel:
        await channel.read()
    await until_idle(asking)
