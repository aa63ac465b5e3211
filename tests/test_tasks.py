"""Tasks are kept until they end, can be waited for, and none fails in silence."""

import asyncio

import pytest
from loguru import logger

from aibridged.tasks import Tasks


@pytest.fixture
def logged():
    lines = []
    sink = logger.add(lambda message: lines.append(message.record), level="ERROR")
    yield lines
    logger.remove(sink)


async def test_they_run_and_are_forgotten_when_they_have_ended():
    tasks, go_on = Tasks(), asyncio.Event()

    async def work():
        await go_on.wait()
        return 7

    task = tasks.start(work(), "working")
    assert (len(tasks), task.get_name()) == (1, "working")
    go_on.set()
    assert await task == 7
    await tasks.idle()
    assert len(tasks) == 0


async def test_idle_waits_for_those_that_others_start():
    tasks, done = Tasks(), []

    async def child():
        done.append("child")

    async def parent():
        await asyncio.sleep(0)
        tasks.start(child(), "child")
        done.append("parent")

    tasks.start(parent(), "parent")
    await tasks.idle()
    assert done == ["parent", "child"]


async def test_cancel_waits_until_they_have_ended():
    tasks, ended = Tasks(), []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    for _ in range(3):
        tasks.start(work(), "working")
    await asyncio.sleep(0)
    await tasks.cancel()
    assert (len(tasks), ended) == (0, [True] * 3)


async def test_a_failure_is_logged(logged):
    tasks = Tasks()

    async def fail():
        raise ValueError("out of paper")

    tasks.start(fail(), "printing")
    await tasks.idle()
    (line,) = logged
    assert line["message"] == "The task printing failed"
    assert str(line["exception"].value) == "out of paper"
