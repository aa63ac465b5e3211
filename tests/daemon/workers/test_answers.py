"""What the supervisor answers for its group."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aibridged.daemon.status_report import Status
from aibridged.daemon.workers.answers import Answers
from aibridged.daemon.workers.group import Slot
from aibridged.daemon.workers.series import GROUP_METRICS, Series, packed, unpacked
from aibridged.wire.outline import run as at_once


class Group:
    """A worker and a writer that answer only once both are asked."""

    def __init__(self) -> None:
        self.answerers: dict[str, Callable[..., Any]] = {}
        self.when_dead: list[Callable[[Slot], None]] = []
        self.slots = [Slot("worker", 1)]
        self.writers = [Slot("writer", 1)]
        self.all_slots = [*self.writers, *self.slots]
        self.in_force = SimpleNamespace(settings=SimpleNamespace(state_dir=Path("/x")))
        self._asked = asyncio.Barrier(2)

    def on(self, kind: str, answerer: Callable[..., Any], takes: Any = object) -> None:
        self.answerers[kind] = answerer

    async def ask_all(self, kind: str, **options: Any) -> list[tuple[Any, Any]]:
        return await self._answer(1, options["gives"])

    async def ask_writer(self, kind: str, **options: Any) -> list[tuple[Any, Any]]:
        return await self._answer(2, options["gives"])

    async def _answer(self, value: float, gives: Any) -> list[tuple[Any, Any]]:
        await self._asked.wait()
        series = [Series("n", "sum", True, {(): [value]})]
        told: Any = Status() if gives is Status else at_once(packed(series))
        return [(SimpleNamespace(slot=1), told)]


@pytest.mark.parametrize("kind", ["metrics", "status"])
async def test_workers_and_their_writer_are_asked_at_the_same_time(clock, kind: str) -> None:
    group = Group()
    answers = Answers(group, clock)  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        if kind == "status":
            assert [each.name for each in (await answers.status()).workers] == [
                "Writer 1",
                "Worker 1",
            ]
            return
        found, *_ = await group.answerers[GROUP_METRICS](None, None)
    assert unpacked(found).values == {(): [3]}
