"""The lane to a server that is hostile, slow or foreign: nothing waits, and it is told once."""

import asyncio

import msgspec
import pytest
from loguru import logger

from aibridged.limits import redis_lane
from aibridged.limits.redis_lane import (
    MOST_AT_ONCE,
    MOST_REASONS,
    MOST_WAITING,
    TOO_MANY_BEATS,
    Holder,
    Holdings,
    Lane,
)
from aibridged.limits.redis_script import Ask, BadAnswerError, Code
from aibridged.tasks import Tasks
from tests.waiting import until


class Nothing(Holder):
    def __init__(self):
        self.batches = []
        self.settled = []

    def holdings(self, operations, *, all):
        self.batches.append(len(operations))
        return Holdings(0, 0, [], more=False)

    def settle(self, operation, answer):
        self.settled.append(answer)

    def unsettled(self, holdings, operations):
        pass


class Scripted:
    """A server whose answers are scripted."""

    failures = (OSError, TimeoutError, BadAnswerError)
    place = "redis://scripted:6379"

    def __init__(self):
        self.answer = good
        self.connections = 0

    async def connect(self):
        self.connections += 1
        return self

    async def evaluate(self, batch):
        return await self.answer(msgspec.msgpack.decode(batch)[6])

    async def close(self):
        pass


async def good(operations):
    return msgspec.msgpack.encode([1, [0] * len(operations), 2])


async def silent(_operations):
    await asyncio.Event().wait()


async def refusing(_operations):
    raise OSError("LOADING Redis is loading the dataset in memory")


async def nonsense(_operations):
    return b"\xc1"


@pytest.fixture
def log_lines():
    """What has been logged, from warnings and informational lines on."""
    lines = []
    handler = logger.add(lines.append, level="INFO", format="{message}")
    yield lambda: [str(line) for line in lines]
    logger.remove(handler)


@pytest.fixture
async def lane(log_lines):
    server, holder = Scripted(), Nothing()
    lane = Lane(server, 2, holder)
    task = Tasks().start(lane.run(), "lane")
    await until(lambda: lane.is_up)
    lane.server, lane.holder = server, holder
    yield lane
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("answer", [silent, refusing, nonsense])
async def test_what_waits_is_answered_at_once_and_nothing_waits_then(lane, answer, log_lines):
    lane.server.answer = answer
    asked = [lane.ask(Ask(slot=1)) for _ in range(2 * MOST_AT_ONCE)]
    async with asyncio.timeout(1):
        assert await asyncio.gather(*asked) == [None] * len(asked)
    assert lane.ask(Ask(slot=1)) is None
    await until(lambda: lane.server.connections >= 4)
    lane.server.answer = good
    await until(lambda: lane.is_up)
    assert await lane.ask(Ask(slot=1)) == 0
    assert lane.outages == 1
    told = [line for line in log_lines() if "Redis" in line]
    assert len(told) == 3
    assert "Limits are shared by Redis at redis://scripted:6379" in told[0]
    assert "goes on with its share" in told[1]
    assert "is back" in told[2]


async def test_each_reason_of_an_outage_is_logged_once_up_to_a_bound(lane, log_lines, monkeypatch):
    monkeypatch.setattr(redis_lane, "_BACKOFF_S", (0.0,))
    tried = []

    async def changing(_operations):
        tried.append(None)
        raise OSError(f"reason {len(tried) // 2}")

    lane.server.answer = changing
    assert await lane.ask(Ask()) is None
    await until(lambda: len(tried) > 4 * MOST_REASONS)
    told = [line for line in log_lines() if "Redis is" in line]
    assert ["still" in line for line in told] == [False] + [True] * (MOST_REASONS - 1)
    assert all(f"(reason {number})" in line for number, line in enumerate(told, 1))
    lane.server.answer = good
    await until(lambda: lane.is_up)
    assert "Redis is back" in log_lines()[-1]


async def test_too_many_replicas_are_warned_of_once_if_that_lasts(lane, log_lines, monkeypatch):
    monkeypatch.setattr(redis_lane, "BEAT_S", 0.001)
    seen = 3

    async def crowded(operations):
        return msgspec.msgpack.encode([1, [0] * len(operations), seen])

    async def beats(count):
        lane.holder.batches.clear()
        await until(lambda: len(lane.holder.batches) > count)

    def told():
        return [line for line in log_lines() if "processes share limits" in line]

    lane.server.answer = crowded
    await beats(TOO_MANY_BEATS // 2)
    assert told() == []
    seen = 2
    await beats(2)
    seen = 3
    await beats(TOO_MANY_BEATS // 2)
    assert told() == []
    await beats(3 * TOO_MANY_BEATS)
    (line,) = told()
    assert "3 processes" in line
    assert "--aibridge-replicas 2 makes 2" in line


async def test_of_a_batch_with_an_unknown_answer_nothing_is_counted(lane):
    async def half_known(operations):
        return msgspec.msgpack.encode([1, [0, max(Code) + 1][: len(operations)], 2])

    lane.server.answer = half_known
    asked = [lane.ask(Ask(slot=1)) for _ in range(2)]
    assert await asyncio.gather(*asked) == [None, None]
    assert lane.holder.settled == []
    assert lane.outages == 1


async def test_all_that_waits_goes_in_one_batch_which_has_a_bound(lane):
    lane.holder.batches.clear()
    asked = [lane.ask(Ask(slot=1)) for _ in range(2 * MOST_AT_ONCE + 1)]
    assert await asyncio.gather(*asked) == [0] * len(asked)
    assert lane.holder.batches == [MOST_AT_ONCE, MOST_AT_ONCE, 1]


async def test_no_more_wait_than_the_bound(lane):
    asked = [lane.ask(Ask(slot=1)) for _ in range(MOST_WAITING + 1)]
    assert asked.pop() is None
    assert None not in asked
    assert await asyncio.gather(*asked) == [0] * MOST_WAITING
