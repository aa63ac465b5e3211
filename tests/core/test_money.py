"""Amounts as text: exact for programs, short for people."""

import msgspec
import pytest

from aibridged.core.money import (
    NanoDollars,
    dollars,
    exact_dollars,
    in_json,
    parsed,
    shown,
    shown_cents,
)


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
        (0, "exact", "$0.00"),
        (0, "unpriced", "unpriced"),
        (87_500_000, "exact", "$0.0875"),
        (49_999, "exact", "$0.0000"),
        (999_960_000, "exact", "$1.0000"),
        (1_234_565_000_000, "exact", "$1,234.57"),
        (-2_000_000_000, "exact", "-$2.00"),
        (12_340_000_000, "estimated", "~$12.34"),
        (None, "unpriced", "unpriced"),
        (12_340_000_000, "unpriced", "$12.34+"),
        (None, None, "-"),
    ],
)
def test_an_amount_is_short_for_people(nanos, label, text):
    assert shown(nanos, label) == text


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "$0.00"), (30_000_000, "$0.03"), (1_234_500_000_000, "$1,234.50")],
)
def test_a_limit_is_of_whole_cents(nanos, text):
    assert shown_cents(nanos) == text


def test_a_sum_tells_that_parts_are_missing():
    assert shown(12_340_000_000, "estimated", lacks_some=True) == "~$12.34+"


def test_json_has_exact_dollars_and_never_a_number():
    encode = msgspec.json.Encoder(enc_hook=in_json).encode
    assert (
        encode({"cost": NanoDollars(87_500_000), "none": None}) == b'{"cost":"0.0875","none":null}'
    )
    assert (exact_dollars(1), exact_dollars(None)) == ("0.000000001", None)
    with pytest.raises(NotImplementedError):
        encode(object())


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("2", 2 * 10**9),
        ("$0.05", 50_000_000),
        ("0.000000001", 1),
        ("999999999", 999_999_999 * 10**9),
    ],
)
def test_an_amount_is_read_exactly(text, nanos):
    assert parsed(text) == nanos


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "1,5", "٣", "1.", ".5", "0.1234567891", "1" * 10]
)
def test_what_is_no_amount_is_told(text):
    with pytest.raises(ValueError, match="is not an amount in dollars: use 0"):
        parsed(text)
