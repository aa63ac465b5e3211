"""Metrics of a process, told in parts that each take a step."""

from aibridged.daemon.group_metrics import parts_of, readings_of
from aibridged.daemon.workers.series import PART
from aibridged.observe import metric_table as table
from aibridged.observe.series import Distributions, Numbers, Reading
from aibridged.wire.outline import Steps
from aibridged.wire.outline import run as at_once

COUNT = 5 * PART


def readings() -> list[Reading]:
    names = [str(number) for number in range(COUNT)]
    return [
        Numbers(table.TOKENS, {(name,): 1.0 for name in names}),
        Distributions(table.INTERCEPTIONS_DURATION, {(name, "m"): [1.0] * 9 for name in names}),
        Numbers(table.READY, {(): 1}),
        Numbers(table.PROMPTS, {}),
    ]


def steps_of(steps: Steps[object]) -> int:
    return sum(1 for _ in steps)


def test_readings_come_back_as_they_were() -> None:
    found = at_once(readings_of(at_once(parts_of(readings()))))
    assert found == readings()


def test_each_step_takes_one_part() -> None:
    parts = at_once(parts_of(readings()))
    assert len(parts) == 12
    assert steps_of(parts_of(readings())) == len(parts)
    assert steps_of(readings_of(parts)) == len(parts) + 7, "and those of numbers, made plain"
