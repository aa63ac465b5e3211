"""Charts as inline SVG, made on the server: stacked bars and lines.

They are read without colour, by patterns, dashes and markers, and have a title, a description, the
values of each point on hover, and a table behind them. Geometry is in attributes and looks are in
classes, since pages have no style of their own. Coordinates are in a view of `WIDTH` by `HEIGHT`,
whose texts are readable from 300 pixels on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from aibridged.ui.axes import CHAR_WIDTH, bounded, group_size, spread, ticks, whole_ticks
from aibridged.ui.formats import plain
from aibridged.ui.svg import LOOKS, area, element, line, marker, stack, svg

WIDTH, HEIGHT = 360.0, 170.0
MAX_POINTS = 400
"""Of a chart: further ones are put together with their neighbours."""
MAX_NAME = 60

_TOP, _BOTTOM, _RIGHT = 10.0, 20.0, 6.0
_MARKED = 40
"""Points at most that have markers: of more, they would be a band."""


class Series(NamedTuple):
    """Values by time, None where there is none; `kind` is the number of its look."""

    name: str
    values: Sequence[float | None]
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the table behind it: `rows` are the time and a text for each of the `columns`."""

    id: str
    title: str
    svg: Markup
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the charts of a page have in common, and what one is about.

    `labels` are below the points, and `moments` say when they are in full. `unit` writes a value,
    `tick` a round one. `id` is unique in the page.
    """

    id: str
    title: str
    labels: Sequence[str]
    moments: Sequence[str]
    unit: Callable[[float], str]
    tick: Callable[[float], str]
    is_counted: bool = False
    most: float | None = None
    """The end of the scale, where it is always the same."""


def bars(frame: Frame, series: Sequence[Series]) -> Chart:
    """Stacked bars, the first series at the bottom."""
    made = _Plot(frame, [_bounded(each, sum) for each in series])
    sums = [sum(each.values[place] or 0 for each in made.series) for place in range(made.count)]
    made.scale(max(sums, default=0))
    parts = []
    width = max(0.5, made.step * (0.76 if made.count > 1 else 0.2))
    bases = [0.0] * made.count
    for each in made.series:
        boxes = []
        for place, value in enumerate(each.values):
            if value is None or value <= 0:
                continue
            base = bases[place]
            bases[place] += value
            top = made.y(base + value)
            height = max(made.y(base) - top, 0.75)
            boxes.append((made.x(place) - width / 2, top, width, height))
        if boxes:
            parts.append(stack(boxes, each.kind))
    return made.chart(parts, sums if len(made.series) > 1 else None)


def lines(frame: Frame, series: Sequence[Series]) -> Chart:
    """Lines with dashes and markers, broken where there is no value; a single one is filled."""
    made = _Plot(frame, [_bounded(each, _mean) for each in series])
    made.scale(max((value or 0 for each in made.series for value in each.values), default=0))
    parts = []
    for each in made.series:
        for run in _runs(each.values):
            points = [(made.x(place), made.y(each.values[place] or 0)) for place in run]
            if len(made.series) == 1 and len(points) > 1:
                parts.append(area(points, made.y(0), each.kind))
            parts.append(line(points, each.kind))
            if made.count <= _MARKED or len(points) == 1:
                parts += [marker(x, y, each.kind) for x, y in points]
    return made.chart(parts, None)


class _Plot:
    """The coordinates of one chart, and what is around its marks."""

    def __init__(self, frame: Frame, series: Sequence[Series]) -> None:
        self.series = series[:LOOKS]
        self._frame = frame
        each = group_size(len(frame.labels), MAX_POINTS)
        self._labels, self._moments = frame.labels[::each], frame.moments[::each]
        self.count = len(self._labels)
        self._left = 0.0
        self.step = 0.0
        self._ticks: Sequence[float] = (0.0, 1.0)

    def scale(self, most: float) -> None:
        """Fit the axes to the greatest value."""
        most = self._frame.most or most
        self._ticks = whole_ticks(most) if self._frame.is_counted else ticks(most)
        self._left = max(len(self._frame.tick(at)) for at in self._ticks) * CHAR_WIDTH + 10
        self.step = (WIDTH - self._left - _RIGHT) / max(self.count, 1)

    def x(self, place: int) -> float:
        """The middle of a point's column."""
        return self._left + (place + 0.5) * self.step

    def y(self, value: float) -> float:
        """The height of a value."""
        return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / self._ticks[-1]

    def chart(self, marks: Sequence[Markup], sums: Sequence[float] | None) -> Chart:
        """The whole: axes, marks, what is shown on hover, and the table."""
        frame, texts = self._frame, self._texts(sums)
        names = [each.name for each in self.series] + (["All"] if sums is not None else [])
        description = self._description(names, texts)
        parts = [
            element("title", frame.title, id=f"{frame.id}-title"),
            element("desc", description, id=f"{frame.id}-text"),
            *self._axes(),
            *marks,
            *self._hovered(names, texts),
        ]
        picture = svg("chart", WIDTH, HEIGHT, parts, labelled=f"{frame.id}-title {frame.id}-text")
        rows = [(when, *row) for when, row in zip(self._moments, texts, strict=True)]
        return Chart(frame.id, frame.title, picture, names, rows)

    def _texts(self, sums: Sequence[float] | None) -> list[list[str]]:
        unit, found = self._frame.unit, []
        for place in range(self.count):
            values = [each.values[place] for each in self.series]
            if sums is not None:
                values.append(sums[place])
            found.append(["–" if value is None else unit(value) for value in values])
        return found

    def _description(self, names: Sequence[str], texts: Sequence[Sequence[str]]) -> str:
        if not self.count:
            return "There is nothing to show."
        greatest = self._frame.tick(self._ticks[-1])
        latest = ", ".join(f"{name} {text}" for name, text in zip(names, texts[-1], strict=True))
        return (
            f"{self._moments[0]} to {self._moments[-1]}, on a scale to {greatest}."
            f" At the end: {latest}. The table has all values."
        )

    def _axes(self) -> list[Markup]:
        parts = []
        for at in self._ticks:
            y = self.y(at)
            look = "base" if at == 0 else "grid"
            parts.append(
                element("path", class_=look, d=f"M{self._left:.4g} {y:.4g}H{WIDTH - _RIGHT:g}")
            )
            parts.append(
                element(
                    "text", self._frame.tick(at), x=self._left - 5, y=y + 3.5, text_anchor="end"
                )
            )
        places = [self.x(place) for place in range(self.count)]
        for place in spread(self._labels, places):
            half = len(self._labels[place]) * CHAR_WIDTH / 2
            x = min(max(places[place], half), WIDTH - half)
            parts.append(
                element("text", self._labels[place], x=x, y=HEIGHT - 5, text_anchor="middle")
            )
        return parts

    def _hovered(self, names: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Markup]:
        parts = []
        for place, (when, row) in enumerate(zip(self._moments, texts, strict=True)):
            said = "\n".join(f"{name}: {text}" for name, text in zip(names, row, strict=True))
            box = element(
                "rect",
                element("title", f"{when}\n{said}"),
                class_="hover",
                x=self.x(place) - self.step / 2,
                y=_TOP,
                width=self.step,
                height=HEIGHT - _TOP - _BOTTOM,
            )
            parts.append(box)
        return parts


def _bounded(series: Series, together: Callable[[list[float]], float]) -> Series:
    name = plain(series.name, MAX_NAME)
    return Series(name, bounded(series.values, MAX_POINTS, together), series.kind % LOOKS)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """The places of values that follow each other without a gap."""
    found: list[list[int]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][-1] == place - 1:
            found[-1].append(place)
        else:
            found.append([place])
    return found
