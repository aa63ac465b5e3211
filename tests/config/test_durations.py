"""Durations: Go's spelling and days, in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.config import durations

SPELLINGS = [
    ("0", 0),
    ("0s", 0),
    ("10s", 10),
    ("1m30s", 90),
    ("60d", 60 * 86400),
    ("1.5h", 5400),
    (".5s", 0.5),
    ("1.s", 1),
    ("500ms", 0.5),
    ("250us", 0.00025),
    ("250µs", 0.00025),
    ("250μs", 0.00025),
    ("1ns", 1e-9),
    ("1h1h", 7200),
    ("1d12h", 129600),
    (" 5s ", 5),
]


@pytest.mark.parametrize(("text", "seconds"), SPELLINGS)
def test_reads_what_go_reads(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", ".s", "1x", "10 s", "1m 30s", "ten", "0x1s", "1e3s", "s1", "10s,", "²s"],
)
def test_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration like 10s"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["10", "1", "1.5"])
def test_a_number_without_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match=f"has no unit: write {text}s, {text}m"):
        durations.parse(text)


def test_no_duration_is_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        durations.parse("-1s")


def test_a_duration_has_an_end() -> None:
    assert durations.parse("106751d") > 0
    with pytest.raises(ValueError, match="longer than 292 years"):
        durations.parse("106752d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (90, "1m30s"),
        (600, "10m"),
        (3600, "1h"),
        (60 * 86400, "60d"),
        (1.5, "1.5s"),
        (0.5, "500ms"),
        (0.0000015, "1.5us"),
        (1e-9, "1ns"),
        (86461.25, "1d1m1.25s"),
    ],
)
def test_shows_the_shortest_spelling(seconds: float, text: str) -> None:
    assert durations.show(seconds) == text


@given(st.integers(min_value=0, max_value=2**50))
def test_what_is_shown_reads_as_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert durations.parse(durations.show(seconds)) == seconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = durations.parse(text)
    except ValueError:
        return
    assert seconds >= 0


_UNITS = st.sampled_from(["ns", "us", "µs", "ms", "s", "m", "h", "d"])
_NUMBERS = st.from_regex(r"\A([0-9]{1,4}(\.[0-9]{0,3})?|\.[0-9]{1,3})\Z")


@given(st.lists(st.tuples(_NUMBERS, _UNITS), min_size=1, max_size=4))
def test_parts_add_up(parts: list[tuple[str, str]]) -> None:
    whole = durations.parse("".join(number + unit for number, unit in parts))
    assert whole == pytest.approx(sum(durations.parse(number + unit) for number, unit in parts))
