"""The turns of a session on a time line, as inline SVG: duration, cost, cache hits, errors.

Each turn is a column, in order, since pauses may be hours and turns seconds. What each says is
there on hover, and in the table behind the picture.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from aibridged.ui.charts import Chart
from aibridged.ui.formats import duration, money, percent
from aibridged.ui.svg import element

_WIDTH, _HEIGHT = 720.0, 136.0
_MARKS = 14.0
_LANE, _GAP = 34.0, 8.0
_LANES = 3
_WIDEST = 24.0
_COLUMNS = ("Model", "Duration", "Cost", "From cache", "Outcome", "Prompt cache")


class Column(NamedTuple):
    """A turn: `seconds`, dollars, and the share of its input that was read from the cache.

    `begins` says that a thread begins there; `lost` is what broke the cache, "" where nothing did.
    """

    at: str
    model: str
    seconds: float | None
    cost: float | None
    share: float | None
    outcome: str
    is_failed: bool
    lost: str = ""
    begins: bool = False


def timeline(columns: Sequence[Column]) -> Chart:
    """The picture with its table."""
    width = _WIDTH / max(len(columns), 1)
    bar = min(width * 0.8, _WIDEST)
    parts = [element("title", "Turns of the session in order", id="turns-title")]
    parts += [
        element("path", class_="base", d=f"M0 {_base(lane):g}H{_WIDTH:g}") for lane in range(_LANES)
    ]
    most = [max(lane, default=0) or 1 for lane in zip(*map(_known, columns), strict=True)]
    for number, each in enumerate(columns):
        parts += _column(each, number * width, width, bar, most or [1, 1, 1])
    # Its height is that of the page's style, whatever its width.
    picture = element(
        "svg",
        *parts,
        class_="chart timeline",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby="turns-title",
    )
    rows = [(each.at, *_told(each)) for each in columns]
    return Chart("turns", "Turns in order", picture, _COLUMNS, rows)


def _known(each: Column) -> tuple[float, float, float]:
    return each.seconds or 0.0, each.cost or 0.0, 1.0


def _column(
    each: Column, x: float, width: float, bar: float, most: Sequence[float]
) -> list[Markup]:
    middle = x + width / 2
    parts = []
    if each.begins and x > 0:
        d = f"M{x:.5g} {_MARKS:g}V{_base(2):g}"
        parts.append(element("path", class_="grid", d=d, stroke_dasharray="2 3"))
    for lane, value in enumerate((each.seconds, each.cost, each.share)):
        height = _LANE * min((value or 0.0) / most[lane], 1.0)
        if value:
            height = max(height, 1.0)
        look = "failed" if each.is_failed else ("cached", "cost", "spent")[2 - lane]
        box = {"x": middle - bar / 2, "width": bar}
        if lane == 2 and value is not None:
            top = _base(lane) - _LANE
            parts.append(element("rect", class_="rest", y=top, height=_LANE, **box))
        if height:
            parts.append(element("rect", class_=look, y=_base(lane) - height, height=height, **box))
    if each.is_failed:
        parts.append(element("path", class_="cross", d=f"M{middle - 3:.5g} 3l6 6m0 -6l-6 6"))
    if each.lost:
        d = f"M{middle - 4:.5g} 2h8l-4 8z"
        parts.append(element("path", class_="lost", d=d))
    said = f"{each.at}: {', '.join(text for text in _told(each) if text)}"
    hover = element(
        "rect",
        element("title", said),
        class_="hover",
        x=x,
        y=0,
        width=width,
        height=_HEIGHT,
    )
    return [*parts, hover]


def _base(lane: int) -> float:
    return _MARKS + (lane + 1) * _LANE + lane * _GAP


def _told(each: Column) -> tuple[str, ...]:
    return (
        each.model,
        duration(each.seconds),
        money(each.cost),
        percent(each.share),
        each.outcome,
        each.lost,
    )
