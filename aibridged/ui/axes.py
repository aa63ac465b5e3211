"""Axes of charts: ticks at round numbers, labels that don't overlap, and fewer points of many."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime

CHAR_WIDTH = 6.8
"""Of a label, at most, in the units of the charts: their font size is 11."""
_GAP = 8.0
_HOURS = 25
"""Points at most that have their hours below."""


def ticks(most: float, count: int = 4) -> list[float]:
    """From 0 to the first that isn't below `most`, in steps of 1, 2 or 5 times a power of ten.

    There are at most `count` steps. Where `most` is 0 or less, there is a step to 1.
    """
    if not most > 0 or not math.isfinite(most):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / count))
    for factor in (1, 2, 5, 10):
        step = factor * power
        steps = math.ceil(round(most / step, 9))
        if steps <= count:
            return [round(number * step, 12) for number in range(steps + 1)]
    raise AssertionError("ten times the power is more than a step")


def whole_ticks(most: float, count: int = 4) -> list[float]:
    """The same, of what is counted: no step is a part of one."""
    whole = math.ceil(most) if math.isfinite(most) else 0
    if whole > count:
        return ticks(whole, count)
    return [float(number) for number in range(max(whole, 1) + 1)]


def spread(labels: Sequence[str], places: Sequence[float]) -> list[int]:
    """Which labels are shown so that none overlaps the one before: every second, third, ….

    `places` are the middles of the labels. Empty ones aren't shown; the others are evenly spaced.
    """
    some = [number for number, label in enumerate(labels) if label]
    if len(some) < 2:
        return some
    widest = max(len(labels[number]) for number in some) * CHAR_WIDTH + _GAP
    apart = (places[some[-1]] - places[some[0]]) / (len(some) - 1)
    step = max(1, math.ceil(widest / apart)) if apart > 0 else len(some)
    return some[::step]


def time_labels(times: Sequence[datetime], step: str) -> list[str]:
    """How hours, days or months are shown below a chart: `14:00`, `Nov 30`, `Nov 2026`.

    Of many hours the days alone are.
    """
    if step == "month":
        return [f"{at:%b %Y}" for at in times]
    if step == "day":
        return [f"{at:%b} {at.day}" for at in times]
    if len(times) > _HOURS:
        return [f"{at:%b} {at.day}" if at.hour == 0 else "" for at in times]
    return [f"{at:%H:%M}" for at in times]


def moments(times: Sequence[datetime], step: str) -> list[str]:
    """How they are shown alone: `Mon, Nov 30, 14:00`, `Mon, Nov 30`, `November 2026`."""
    if step == "month":
        return [f"{at:%B %Y}" for at in times]
    day = [f"{at:%a, %b} {at.day}" for at in times]
    if step == "day":
        return day
    return [f"{text}, {at:%H:%M}" for text, at in zip(day, times, strict=True)]


def bounded(
    values: Sequence[float | None], most: int, together: Callable[[list[float]], float]
) -> list[float | None]:
    """At most so many values: each is made of as many that follow each other."""
    each = group_size(len(values), most)
    if each == 1:
        return [*values]
    found: list[float | None] = []
    for start in range(0, len(values), each):
        known = [value for value in values[start : start + each] if value is not None]
        found.append(together(known) if known else None)
    return found


def group_size(count: int, most: int) -> int:
    """How many of so many points stand together, so that there are at most `most`."""
    return max(1, math.ceil(count / most))
