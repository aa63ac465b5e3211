"""Values as text: the same forms in every table."""

from datetime import UTC, datetime

import pytest

from aibridged.cli import cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand a tab", "two  lines and a tab"),
        ("non\u00a0breaking\u3000ideographic", "non breaking ideographic"),
        ("\N{WOMAN}\u200d\N{PERSONAL COMPUTER}", "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
    ],
)
def test_text_on_one_line(text, shown):
    assert cells.printable(text) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (12_345, "12.3k"),
        (999_949, "999.9k"),
        (999_950, "1.0M"),
        (4_500_000, "4.5M"),
        (2_300_000_000, "2.3G"),
    ],
)
def test_counts_in_few_characters(number, shown):
    assert cells.short(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "0.0s"),
        (12.34, "12.3s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (754.2, "12m34s"),
        (3599.6, "1h00m"),
        (86_400 * 3 + 4 * 3600, "3d04h"),
    ],
)
def test_durations_in_two_units(seconds, shown):
    assert cells.duration(seconds) == shown


def test_times_counts_and_shares():
    at = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)
    assert (cells.time(at), cells.short_time(at)) == ("2026-01-31 12:00:05", "01-31 12:00:05")
    assert (cells.time(None), cells.short_time(None)) == ("", "")
    assert cells.count(1_234_567) == "1,234,567"
    assert cells.count(None) == cells.short(None) == "-"
    assert (cells.share(None), cells.share(0.954)) == ("-", "95%")


@pytest.mark.parametrize(
    ("ids", "length"),
    [
        ([], 13),
        (["0198c1d2-e3f4-7000-8000-000000000001"], 13),
        (["0198c1d2-e3f4-7000-8000-000000000001"] * 2, 13),
        (["0198c1d2-e3f4-7000-8a", "0198c1d2-e3f4-7000-8b"], 21),
        (["short", "shorter"], 13),
    ],
)
def test_so_many_characters_tell_ids_apart(ids, length):
    assert cells.prefix_length(ids) == length
