"""Charts are well-formed, drawn to scale, readable without colour, and escape what they show."""

import re
from itertools import chain
from xml.etree import ElementTree

import pytest

from aibridged.ui.axes import CHAR_WIDTH
from aibridged.ui.charts import HEIGHT, MAX_POINTS, WIDTH, Frame, Series, bars, lines
from aibridged.ui.formats import money, short

HOSTILE = "<script>\"&'"


def frame(count, **fields):
    labels = [f"{place % 24:02}:00" for place in range(count)]
    made = {
        "id": "spend",
        "title": f"Spend {HOSTILE}",
        "labels": labels,
        "moments": [f"Mon, {label}" for label in labels],
        "unit": money,
        "tick": lambda value: f"${short(value)}",
        **fields,
    }
    return Frame(**made)


def read(chart):
    """The picture, as the XML that it is."""
    return ElementTree.fromstring(str(chart.svg))


def number(element, name):
    return float(element.get(name))


def bars_of(picture):
    """The bars of each series: the corner, width and height of each."""
    return {
        each.get("fill"): [
            tuple(map(float, box))
            for box in re.findall(r"M([^ ]+) ([^h]+)h([^v]+)v([^h]+)h[^z]+z", each.get("d"))
        ]
        for each in picture.iter("path")
        if "edge" in each.get("class")
    }


@pytest.mark.parametrize("draw", [bars, lines])
@pytest.mark.parametrize(
    "values", [[], [0.0], [5.0], [0.0] * 24, [None] * 3, [1.0, None, 3.0], [1e-9, 1e12]]
)
def test_any_values_are_drawn_within_the_picture(draw, values):
    chart = draw(frame(len(values)), [Series("a", values), Series("b", values, 1)])
    picture = read(chart)
    assert (picture.get("role"), picture.get("viewBox")) == ("img", f"0 0 {WIDTH:g} {HEIGHT:g}")
    assert "style" not in {name for each in picture.iter() for name in each.attrib}
    assert not any("nan" in text for each in picture.iter() for text in each.attrib.values())
    names = ("x", "y", "width", "height")
    boxes = [[number(each, name) for name in names] for each in picture.iter("rect")]
    for x, y, width, height in [*boxes, *chain(*bars_of(picture).values())]:
        assert -0.01 <= x <= x + width <= WIDTH + 0.01
        assert -0.01 <= y <= y + height <= HEIGHT + 0.01
        assert width > 0
        assert height > 0
    for each in picture.iter("text"):
        half = len(each.text) * CHAR_WIDTH / 2
        middle = number(each, "x") - (half if each.get("text-anchor") == "end" else 0)
        assert middle - half >= -0.1
        assert middle + half <= WIDTH + 0.1
    assert len(chart.rows) == len(values)


def test_bars_are_stacked_to_scale():
    chart = bars(frame(2), [Series("a", [10.0, 0.0]), Series("b", [30.0, 20.0], 1)])
    drawn = bars_of(read(chart))
    assert [*drawn] == ["url(#pattern-0)", "url(#pattern-1)"]
    [(left, bottom, width, low)], [(_, top, _, high), (right, *_, last)] = drawn.values()
    assert high == pytest.approx(3 * low, abs=0.1)
    assert last == pytest.approx(2 * low, abs=0.1)
    assert top + high == pytest.approx(bottom, abs=0.02)
    assert left + width < right


def test_lines_break_where_there_is_no_value_and_have_dashes_and_markers():
    chart = lines(frame(4), [Series("a", [1.0, 2.0, None, 3.0], 1), Series("b", [1.0] * 4, 2)])
    picture = read(chart)
    drawn = [each for each in picture.iter("path") if "line" in each.get("class")]
    assert [each.get("class") for each in drawn] == ["line s1", "line s1", "line s2"]
    assert all(each.get("stroke-dasharray") for each in drawn)
    markers = [each for each in picture.iter() if "marker" in each.get("class", "")]
    assert {(each.tag, each.get("class")) for each in markers} == {
        ("rect", "marker s1"),
        ("path", "marker s2"),
    }


def test_each_point_says_its_values_on_hover_and_in_the_table():
    chart = bars(frame(2), [Series("a", [1.5, 0.0]), Series(HOSTILE, [2.0, None], 1)])
    picture = read(chart)
    hovered = [each for each in picture.iter("rect") if each.get("class") == "hover"]
    assert [each.find("title").text for each in hovered] == [
        f"Mon, 00:00\na: $1.50\n{HOSTILE}: $2.00\nAll: $3.50",
        f"Mon, 01:00\na: $0.00\n{HOSTILE}: –\nAll: $0.00",
    ]
    assert chart.columns == ["a", HOSTILE, "All"]
    assert chart.rows[0] == ("Mon, 00:00", "$1.50", "$2.00", "$3.50")
    named = {each.get("id"): each.text for each in picture if each.get("id")}
    assert picture.get("aria-labelledby").split() == [*named]
    assert named["spend-title"] == f"Spend {HOSTILE}"
    assert "on a scale to $4. At the end: a $0.00" in named["spend-text"]
    assert "<script" not in chart.svg


def test_many_points_are_bounded():
    chart = bars(frame(10_000), [Series("a", [1.0] * 10_000)])
    assert len(chart.rows) == MAX_POINTS
    assert len(str(chart.svg)) < 200_000
    assert chart.rows[0][1] == "$25.00"


def test_the_scale_may_be_given():
    chart = lines(frame(2, most=1.0), [Series("a", [0.2, 0.1])])
    assert [each.text for each in read(chart).iter("text")][:3] == ["$0", "$0.5", "$1"]
