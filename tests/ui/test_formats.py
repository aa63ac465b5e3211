"""Numbers, amounts and times as people read them; hostile text shows, and does nothing."""

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from aibridged.ui import formats

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.number(1234567), "1,234,567"),
        (formats.number(None), "–"),
        (formats.short(999), "999"),
        (formats.short(12_345), "12.3 k"),
        (formats.short(1_234_000), "1.23 M"),
        (formats.money("1234.5"), "$1,234.50"),
        (formats.money("0.0123"), "$0.0123"),
        (formats.money("0.0000004"), "<$0.0001"),
        (formats.money(0), "$0.00"),
        (formats.money(None), "–"),
        (formats.percent(0.004), "<1%"),
        (formats.percent(0.996), ">99%"),
        (formats.percent(1.0), "100%"),
        (formats.size(3_400_000), "3.2 MiB"),
        (formats.duration(0.34), "340 ms"),
        (formats.duration(250), "4 min 10 s"),
        (formats.duration(7500), "2 h 5 min"),
    ],
)
def test_numbers(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(10, "now"), (-10, "now"), (59, "1 min ago"), (7200, "2 h ago"), (-3600, "in 1 h")],
)
def test_times_are_relative_with_the_exact_one_on_hover(seconds, told):
    shown = formats.ago(NOW - timedelta(seconds=seconds), NOW)
    assert f">{told}</time>" in shown
    at = NOW - timedelta(seconds=seconds)
    assert f'title="{at:%Y-%m-%d %H:%M:%S} UTC"' in shown


def test_hostile_text_is_shown_and_bounded():
    shown = formats.text("<script>\x1b[31m\u202edaor\u200b&" + "x" * 10, most=20)
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    for code in ("U+001B", "U+202E", "U+200B"):
        assert f'title="{code}"' in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "10 more characters" in shown


def test_hostile_text_takes_no_time_by_the_square_of_its_length():
    def seconds():
        began = process_time()
        formats.text("\u200b" * formats.MAX_SHOWN)
        return process_time() - began

    assert min(seconds() for _ in range(5)) < 0.03


def test_plain_text_has_nothing_unseen_and_a_bound():
    assert formats.plain("a\u202eb\x1b") == "a[202E]b[001B]"
    assert formats.plain("x" * 300, 60) == "x" * 60 + "…"
