"""How many names become labels, and which."""

import pytest

from aibridged.observe.labels import MAX_NAME, OTHER, Names


def test_the_first_names_are_told_apart_and_the_rest_is_other():
    names = Names(2)
    assert [names.label(each, proven=True) for each in ("a", "b", "c", "a")] == [
        "a",
        "b",
        OTHER,
        "a",
    ]


def test_names_that_prove_nothing_take_no_place_of_those_that_do():
    names = Names(2, on_trial=1)
    assert names.label("typo", proven=False) == "typo"
    assert names.label("another typo", proven=False) == OTHER
    assert [names.label(each, proven=True) for each in ("a", "b")] == ["a", "b"]


def test_a_name_that_proves_itself_gives_its_trial_place_to_the_next():
    names = Names(2, on_trial=1)
    assert names.label("new", proven=False) == "new"
    assert names.label("next", proven=False) == OTHER
    assert names.label("new", proven=True) == "new"
    assert names.label("next", proven=False) == "next"
    assert names.label("new", proven=False) == "new"


def test_a_name_on_trial_keeps_its_label_when_it_proves_itself_too_late():
    names = Names(1, on_trial=1)
    names.label("a", proven=True)
    assert names.label("b", proven=False) == "b"
    assert names.label("b", proven=True) == "b"
    assert names.label("c", proven=True) == OTHER


@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "a\nb", "a\ud800"])
def test_what_reads_badly_is_other(name):
    names = Names(10, on_trial=10)
    assert names.label(name, proven=True) == OTHER
    assert names.label(name, proven=False) == OTHER


def test_the_longest_name_is_itself():
    assert Names(1).label("x" * MAX_NAME, proven=True) == "x" * MAX_NAME


def test_a_label_shows_no_secret():
    names = Names(10)
    assert names.label(f"m-aib_0123456789_{'s' * 43}", proven=True) == "m-aib_0123456789_***"
    assert names.label(f"m-aib_0123456789_{'t' * 43}", proven=True) == "m-aib_0123456789_***"
