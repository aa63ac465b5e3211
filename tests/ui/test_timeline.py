"""The turns of a session on a time line."""

import re
from xml.etree import ElementTree

import pytest

from aibridged.ui.timeline import Column, timeline


def column(**changes):
    made = Column("2026-01-01 00:00:00", "claude", 2.0, 0.5, 0.8, "completed", False)
    return made._replace(**changes)


def bars(chart, look):
    tree = ElementTree.fromstring(str(chart.svg))
    return [each for each in tree.iter("rect") if each.get("class") == look]


def test_a_column_has_a_bar_for_each_figure():
    chart = timeline([column(), column(seconds=1.0, cost=0.25, share=0.4)])
    for look in ("spent", "cost", "cached"):
        first, second = (float(bar.get("height")) for bar in bars(chart, look))
        assert first == pytest.approx(2 * second)
    assert chart.rows[0] == (
        "2026-01-01 00:00:00",
        *("claude", "2.0 s", "$0.50", "80%", "completed", ""),
    )
    assert len(chart.columns) == len(chart.rows[0]) - 1


def test_errors_and_lost_cache_have_marks_of_their_own():
    chart = timeline([column(begins=True), column(is_failed=True), column(lost="it expired")])
    marks = re.findall(r'class="(cross|lost|grid)"', str(chart.svg))
    assert marks == ["cross", "lost"]
    assert len(bars(chart, "failed")) == 3
    assert "it expired" in str(chart.svg)


def test_a_thread_begins_with_a_line_but_for_the_first():
    svg = str(timeline([column(begins=True), column(), column(begins=True)]).svg)
    assert svg.count('class="grid"') == 1


def test_what_is_not_known_has_no_bar():
    chart = timeline([column(seconds=None, cost=None, share=None)])
    assert not any(bars(chart, look) for look in ("spent", "cost", "cached", "rest"))


def test_names_are_hostile():
    svg = str(timeline([column(model='<script>"&')]).svg)
    assert "<script>" not in svg
    ElementTree.fromstring(svg)


def test_as_many_as_a_page_has_fit():
    chart = timeline([column() for _ in range(50)])
    right = max(float(bar.get("x")) + float(bar.get("width")) for bar in bars(chart, "hover"))
    assert right == pytest.approx(720)
    assert timeline([]).rows == []
