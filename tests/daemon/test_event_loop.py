"""What runs, and what is kept from disturbing it."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from aibridged.daemon.event_loop import calm_garbage_collector, loop_factory


@pytest.fixture
def _collector_as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_a_loop_runs():
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(asyncio.sleep(0, "done")) == "done"


@pytest.mark.usefixtures("_collector_as_it_was")
def test_the_collector_leaves_what_is_there_alone_and_still_collects_what_comes():
    there = [[]]
    calm_garbage_collector()
    assert not any(each is there for each in gc.get_objects())
    assert gc.get_threshold()[0] > 1000
    circle = [there]
    circle.append(circle)
    assert any(each is circle for each in gc.get_objects())
