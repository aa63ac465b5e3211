"""The charts of the overview: money, requests, tokens, failures and cache hits over time."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from aibridged.ui import svg
from aibridged.ui.axes import moments, time_labels
from aibridged.ui.charts import Chart, Frame, Series, bars, lines
from aibridged.ui.formats import moment, money, number, percent, short

OTHERS = "others"
SHOWN = 5
"""Series that have a look of their own: more would be hard to tell apart."""
_OTHERS_LOOK = svg.LOOKS - 1
_KINDS = {
    "cache_read_input_tokens": "cache read",
    "cache_write_input_tokens": "cache write",
    "input_tokens": "input",
    "output_tokens": "output",
}


def charts(found: Mapping[str, Any], dimension: str) -> Sequence[Chart]:
    """All of them; bars are split by the dimension, and have the looks of the table's rows."""
    times = [at for each in found["times"] if (at := moment(each)) is not None]
    labels, full = time_labels(times, found["step"]), moments(times, found["step"])
    frame = partial(Frame, labels=labels, moments=full)
    return (
        bars(
            frame("spend", f"Spend by {dimension}", unit=money, tick=_dollars),
            _split(found, "cost"),
        ),
        bars(
            frame("requests", f"Requests by {dimension}", unit=number, tick=short, is_counted=True),
            _split(found, "interceptions"),
        ),
        bars(
            frame("tokens", "Tokens by kind", unit=number, tick=short, is_counted=True),
            [
                Series(name, found["points"][kind], look)
                for look, (kind, name) in enumerate(_KINDS.items())
            ],
        ),
        bars(
            frame(
                "failed",
                f"Failed requests by {dimension}",
                unit=number,
                tick=short,
                is_counted=True,
            ),
            _split(found, "failed"),
        ),
        lines(
            frame("cached", "Input from the cache", unit=percent, tick=percent, most=1.0),
            [Series("cache hits", _shares(found["points"]))],
        ),
    )


def sparks(series: Mapping[str, Any]) -> Markup:
    """What a series has cost, or how many requests it had where it cost nothing."""
    costs = [float(each) for each in series["points"]["cost"]]
    if any(costs):
        return svg.sparkline(costs, "Spend over time")
    return svg.sparkline(series["points"]["interceptions"], "Requests over time")


def tokens_of(of: Mapping[str, Any]) -> int:
    """All tokens together."""
    return sum(of[kind] for kind in _KINDS)


def legend() -> Sequence[tuple[Markup, str]]:
    """The kinds of tokens, as bars show them."""
    return [(svg.swatch(look), name) for look, name in enumerate(_KINDS.values())]


def look_of(place: int, name: str | None) -> int:
    """The look of a series, by its place."""
    return _OTHERS_LOOK if name is None or place >= SHOWN else place


def _split(found: Mapping[str, Any], name: str) -> Sequence[Series]:
    series, others = [], [0.0] * len(found["times"])
    for place, each in enumerate(found["series"]):
        values = [float(value) for value in each["points"][name]]
        if (look := look_of(place, each["name"])) != _OTHERS_LOOK:
            series.append(Series(each["name"] or "(empty)", values, look))
        else:
            others = [sum(both) for both in zip(others, values, strict=True)]
    if len(found["series"]) > len(series):
        series.append(Series(OTHERS, others, _OTHERS_LOOK))
    return series or [Series("all", others)]


def _shares(points: Mapping[str, Sequence[int]]) -> list[float | None]:
    read, found = points["cache_read_input_tokens"], []
    for place, hit in enumerate(read):
        given = hit + points["input_tokens"][place] + points["cache_write_input_tokens"][place]
        found.append(hit / given if given else None)
    return found


def _dollars(value: float) -> str:
    return f"${short(value)}"
