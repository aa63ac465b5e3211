"""Small pictures as inline SVG, and the elements that charts are made of."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from aibridged.ui.axes import bounded

LOOKS = 9
"""Of series, each a pattern, a dash and a marker; the last is for others together."""

_DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 1", "6 2 1 2 1 2", "3 6")
_MARKER = 2.5
_SPARK_WIDTH, _SPARK_HEIGHT = 96.0, 20.0
_SHARE_WIDTH, _SHARE_HEIGHT = 100.0, 8.0
_NEAR = (0.75, 0.95)
"""Parts of a limit at which callers are warned."""
_INKS = (
    "",
    "M-1 7L7 -1M-1 1L1 -1M5 7L7 5",
    "M1.5 1.5h1.4v1.4h-1.4zM4.5 4.5h1.4v1.4h-1.4z",
    "M0 3H6",
    "M3 0V6",
    "M-1 -1L7 7M-1 5L1 7M5 -1L7 1",
    "M0 3H6M3 0V6",
    "M-1 7L7 -1M-1 -1L7 7",
    "",
)


def share(value: float | None, title: str, *, is_limit: bool = False) -> Markup:
    """A small horizontal bar of a share; of a limit, with marks near its end."""
    part = 0.0 if value is None or not math.isfinite(value) else min(max(value, 0.0), 1.0)
    look = "some"
    if is_limit:
        look = "full" if part >= 1 else "near" if part >= _NEAR[0] else "some"
    parts = [
        element("title", title),
        element("rect", class_="rest", width=_SHARE_WIDTH, height=_SHARE_HEIGHT, rx=2),
    ]
    if part:
        width = max(1.0, part * _SHARE_WIDTH)
        parts.append(element("rect", class_=look, width=width, height=_SHARE_HEIGHT, rx=2))
    parts += [
        element("path", class_="mark", d=f"M{at * _SHARE_WIDTH:g} 0v{_SHARE_HEIGHT:g}")
        for at in (_NEAR if is_limit else ())
    ]
    return svg("share", _SHARE_WIDTH, _SHARE_HEIGHT, parts, label=title)


def sparkline(values: Sequence[float], title: str) -> Markup:
    """A line without axes, for a row of a table."""
    some = [value or 0 for value in bounded(values, int(_SPARK_WIDTH), sum)]
    most, last = max(some, default=0) or 1, max(len(some) - 1, 1)
    points = [
        (1 + (_SPARK_WIDTH - 2) * place / last, _SPARK_HEIGHT - 2 - (_SPARK_HEIGHT - 4) * v / most)
        for place, v in enumerate(some)
    ]
    parts = [element("title", title)]
    if len(points) > 1:
        parts.append(element("path", class_="line", d=path(points)))
    if points:
        x, y = points[-1]
        parts.append(element("circle", class_="end", cx=x, cy=y, r=1.5))
    return svg("spark", _SPARK_WIDTH, _SPARK_HEIGHT, parts, label=title)


def swatch(kind: int) -> Markup:
    """What a series looks like, beside its name."""
    box = element(
        "rect",
        x=0.5,
        y=0.5,
        width=11,
        height=11,
        fill=f"url(#pattern-{kind})",
        class_=f"edge s{kind}",
    )
    return svg("swatch", 12, 12, [box])


def patterns() -> Markup:
    """The looks that the bars of a page refer to, once in each page that has some."""
    made = []
    for kind, ink in enumerate(_INKS):
        box = element("rect", width=6, height=6, class_=f"s{kind} paint")
        marks = [element("path", class_="ink", d=ink)] if ink else []
        made.append(
            element(
                "pattern",
                *(box, *marks),
                id=f"pattern-{kind}",
                width=6,
                height=6,
                patternUnits="userSpaceOnUse",
            )
        )
    return element(
        "svg",
        element("defs", *made),
        class_="patterns",
        width=0,
        height=0,
        aria_hidden="true",
        focusable="false",
    )


def path(points: Sequence[tuple[float, float]]) -> str:
    """A line through points."""
    return "M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in points)


def line(points: Sequence[tuple[float, float]], kind: int) -> Markup:
    """A line with the dash of its look."""
    dash = {"stroke_dasharray": _DASHES[kind]} if _DASHES[kind] else {}
    return element("path", class_=f"line s{kind}", d=path(points), **dash)


def stack(boxes: Sequence[tuple[float, float, float, float]], kind: int) -> Markup:
    """A series' bars, each by its corner, width and height, as one element: they are many."""
    around = (f"M{x:.5g} {y:.5g}h{w:.5g}v{h:.5g}h{-w:.5g}z" for x, y, w, h in boxes)
    fill = f"url(#pattern-{kind})"
    return element("path", class_=f"edge s{kind}", fill=fill, d="".join(around))


def area(points: Sequence[tuple[float, float]], base: float, kind: int) -> Markup:
    """What is between a line and the base."""
    (first, _), (last, _) = points[0], points[-1]
    around = f"{path(points)}L{last:.5g} {base:.5g}L{first:.5g} {base:.5g}Z"
    return element("path", class_=f"area s{kind}", d=around)


def marker(x: float, y: float, kind: int) -> Markup:
    """A point with the form of its look."""
    look, r = f"marker s{kind}", _MARKER
    match kind % 4:
        case 0:
            return element("circle", class_=look, cx=x, cy=y, r=r)
        case 1:
            return element("rect", class_=look, x=x - r, y=y - r, width=2 * r, height=2 * r)
        case 2:
            return element(
                "path", class_=look, d=f"M{x:.5g} {y - r:.5g}l{r:g} {2 * r:g}h{-2 * r:g}z"
            )
        case _:
            return element(
                "path",
                class_=look,
                d=f"M{x:.5g} {y - r:.5g}l{r:g} {r:g}l{-r:g} {r:g}l{-r:g} {-r:g}z",
            )


def svg(
    look: str,
    width: float,
    height: float,
    parts: Sequence[Markup],
    *,
    label: str = "",
    labelled: str = "",
) -> Markup:
    """A picture: `label` names it, or the elements with the ids `labelled`; else it decorates."""
    said: dict[str, str] = {"aria_hidden": "true"}
    if label or labelled:
        said = {"role": "img"}
        said |= {"aria_labelledby": labelled} if labelled else {"aria_label": label}
    size = {} if look == "chart" else {"width": width, "height": height}
    return element("svg", *parts, class_=look, viewBox=f"0 0 {width:g} {height:g}", **size, **said)


def element(name: str, *parts: str, **attributes: str | float) -> Markup:
    """An element; texts among its `parts` and all values are escaped."""
    # Thousands make a page, and `Markup.format` takes ten times as long.
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_said(value)}"'
        for key, value in attributes.items()
    )
    inside = "".join(map(escape, parts))
    return Markup(f"<{name}{given}>{inside}</{name}>")


def _said(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{round(value, 2):g}"
