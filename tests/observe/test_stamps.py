"""Times as text: the same as the standard library formats."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from aibridged.observe.stamps import Stamps

AT = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "after",
    [
        timedelta(),
        timedelta(microseconds=1),
        timedelta(microseconds=876_543),
        timedelta(microseconds=876_544),
        timedelta(seconds=-1),
        timedelta(microseconds=-123_457),
        timedelta(days=365),
        timedelta(days=-1),
    ],
)
def test_a_time_is_formatted_as_by_isoformat(after):
    micro, milli = Stamps(), Stamps(3)
    for at in (AT, AT + after, AT):
        assert micro(at) == at.isoformat(" ", "microseconds")[:26]
        assert milli(at) == at.isoformat(" ", "milliseconds")[:23]


def test_a_time_is_in_its_own_zone():
    stamps = Stamps(3)
    for hours in (0, 2, -5):
        at = AT.astimezone(timezone(timedelta(hours=hours)))
        assert stamps(at) == at.isoformat(" ", "milliseconds")[:23]


def test_a_local_time_is_in_the_machines_zone(monkeypatch):
    stamps = Stamps(3, local=True)
    try:
        with monkeypatch.context() as patched:
            patched.setenv("TZ", "Etc/GMT-2")
            time.tzset()
            assert stamps(AT) == "2026-02-01 01:59:59.123"
            assert stamps(AT + timedelta(seconds=1)) == "2026-02-01 02:00:00.123"
    finally:
        time.tzset()
