"""Reloading alone: what is told, counted and put in force; and one at a time."""

import asyncio
import threading
from dataclasses import replace

import pytest
from loguru import logger

from aibridged.config.options import Settings
from aibridged.config.reloading import CannotReloadError, ReloadStats, change
from aibridged.config.resolution import Mistake, Resolution
from aibridged.daemon.reload import Reloader

GOOD = Resolution(replace(Settings(), rate_limit=5, auth="none"), [], [], ["A warning."])
BAD = Resolution(None, [], [Mistake("file:3 x.y", "this is wrong", "Mend it.")], [])


class World:
    """What a reloader works on, and what became of it; `answer` is what the configuration reads."""

    def __init__(self, clock):
        self.told = []
        self.lines = []
        self.applied = []
        self.came = asyncio.Event()
        self.answer = GOOD
        self.stats = ReloadStats(1.0, 1.0)
        self.reloader = Reloader(self.resolve, self.apply, self.stats, clock, self)

    def resolve(self):
        assert threading.current_thread() is not threading.main_thread()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def apply(self, settings):
        if settings.rate_limit == 13:
            raise CannotReloadError("That's an unlucky number.")
        self.applied.append(settings)
        self.came.set()
        return change(Settings(), settings)

    def reloading(self, monotonic):
        self.told.append(("reloading", monotonic))

    def ready(self):
        self.told.append("ready")


@pytest.fixture
def world(clock):
    made = World(clock)
    sink = logger.add(made.lines.append, format="{level} {message}")
    yield made
    logger.remove(sink)


async def test_a_good_configuration_is_put_in_force_and_told(world, clock):
    clock.advance(60)
    await world.reloader.reload()
    assert world.applied == [GOOD.settings]
    assert world.told == [("reloading", clock.monotonic()), "ready"]
    now = clock.wall().timestamp()
    assert world.stats == ReloadStats(now, now, succeeded=True)
    assert [line.strip() for line in world.lines] == [
        "WARNING A warning.",
        "INFO Reloaded: --aibridge-rate-limit",
        "WARNING A restart is required for changes of --aibridge-auth:"
        " the old values stay in effect",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (BAD, "ERROR file:3 x.y: this is wrong. Mend it."),
        (
            replace(GOOD, settings=replace(Settings(), rate_limit=13)),
            "ERROR That's an unlucky number.",
        ),
        (RuntimeError("a bug"), "ERROR The reload failed"),
    ],
)
async def test_what_fails_changes_nothing_and_is_told(world, clock, answer, said):
    world.answer = answer
    clock.advance(60)
    await world.reloader.reload()
    assert world.applied == []
    assert world.told[-1] == "ready"  # for it serves on
    assert world.stats == ReloadStats(clock.wall().timestamp(), 1.0, succeeded=False)
    assert any(line.startswith(said) for line in world.lines)
    assert "stays in effect" in world.lines[-1]
    world.answer = GOOD
    await world.reloader.reload()
    assert world.stats.succeeded
    assert world.stats.last_success > 1.0


async def test_nothing_new_is_said_to_be_nothing(world):
    world.answer = replace(GOOD, settings=Settings(), warnings=[])
    await world.reloader.reload()
    assert [line.strip() for line in world.lines] == ["INFO Reloaded: no changes"]


async def test_one_reload_at_a_time_and_none_is_missed(world):
    """What is asked for while one runs is one more, since that reads what is new by then."""
    running, go_on, ran = threading.Semaphore(0), threading.Semaphore(0), []

    def resolve():
        running.release()
        go_on.acquire()
        ran.append(len(world.told))
        return GOOD

    world.reloader._resolve = resolve
    asked = asyncio.Event()
    task = asyncio.get_running_loop().create_task(world.reloader.run(asked))
    asked.set()
    await asyncio.to_thread(running.acquire)
    for _ in range(3):
        asked.set()
        await asyncio.sleep(0)
    go_on.release()
    await asyncio.to_thread(running.acquire)
    go_on.release()
    while len(world.applied) < 2:
        world.came.clear()
        await world.came.wait()
    assert ran == [1, 3]  # the second began after the first was over
    assert not asked.is_set()
    task.cancel()
