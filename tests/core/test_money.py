"""Amounts as text: exact for programs, short for people."""

import pytest

from aibridged.core.money import dollars, shown


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (87_500_000, "0.0875"),
        (12 * 10**9, "12"),
        (100 * 10**9, "100"),
        (-1_500_000_000, "-1.5"),
    ],
)
def test_an_amount_is_exact_for_programs(nanos, text):
    assert dollars(nanos) == text


@pytest.mark.parametrize(
    ("nanos", "label", "text"),
    [
        (0, "exact", "$0.0000"),
        (87_500_000, "exact", "$0.0875"),
        (49_999, "exact", "$0.0000"),
        (999_960_000, "exact", "$1.0000"),
        (1_234_565_000_000, "exact", "$1,234.57"),
        (-2_000_000_000, "exact", "-$2.00"),
        (12_340_000_000, "estimated", "~$12.34"),
        (None, "unpriced", "unpriced"),
        (None, None, "-"),
    ],
)
def test_an_amount_is_short_for_people(nanos, label, text):
    assert shown(nanos, label) == text


def test_a_sum_tells_that_parts_are_missing():
    assert shown(12_340_000_000, "estimated", lacks_some=True) == "~$12.34+"
