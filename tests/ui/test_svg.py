"""Small pictures are well-formed, named or decoration, and to scale."""

from xml.etree import ElementTree

import pytest

from aibridged.ui import svg

HOSTILE = '<b>"&'


def rects(picture, look):
    found = ElementTree.fromstring(str(picture)).iter("rect")
    return [each for each in found if each.get("class") == look]


@pytest.mark.parametrize(
    ("value", "look", "width"),
    [
        (0.5, "some", 50),
        (0.8, "near", 80),
        (1.0, "full", 100),
        (7.0, "full", 100),
        (1e-9, "some", 1),
    ],
)
def test_the_share_of_a_limit(value, look, width):
    picture = svg.share(value, "x", is_limit=True)
    (bar,) = rects(picture, look)
    assert float(bar.get("width")) == width
    assert str(picture).count('class="mark"') == 2


@pytest.mark.parametrize("value", [None, 0.0, -1.0, float("nan")])
def test_nothing_of_a_limit(value):
    picture = svg.share(value, "x", is_limit=True)
    assert len(list(ElementTree.fromstring(str(picture)).iter("rect"))) == 1


def test_other_shares_are_no_warning():
    assert len(rects(svg.share(1.0, "x"), "some")) == 1


@pytest.mark.parametrize("values", [[], [0], [3], [0, 0], [1, 2, 0.5], [1.0] * 10_000])
def test_sparklines(values):
    picture = ElementTree.fromstring(str(svg.sparkline(values, HOSTILE)))
    assert (picture.get("role"), picture.get("aria-label")) == ("img", HOSTILE)
    assert picture.find("title").text == HOSTILE
    lines = picture.findall("path")
    assert len(lines) == (len(values) > 1)
    assert all(len(each.get("d")) < 2000 for each in lines)


def test_every_look_has_a_pattern_of_its_own():
    made = ElementTree.fromstring(str(svg.patterns()))
    found = {each.get("id"): ElementTree.tostring(each) for each in made.iter("pattern")}
    assert [*found] == [f"pattern-{kind}" for kind in range(svg.LOOKS)]
    inks = [each.split(b'class="ink"')[-1] for each in found.values()]
    assert len(set(inks[1:-1])) == svg.LOOKS - 2
    for kind in range(svg.LOOKS):
        assert f"url(#pattern-{kind})" in svg.swatch(kind)
        assert 'aria-hidden="true"' in svg.swatch(kind)
