"""Ids sort by time, and within a millisecond by their sequence."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from aibridged.records.ids import uuid7, uuid7_beside

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time():
    made = UUID(uuid7(AT))
    assert str(made) == str(UUID(str(made)))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(AT.timestamp() * 1000)


def test_ids_sort_by_time_then_by_sequence():
    later = AT + timedelta(milliseconds=1)
    made = [uuid7(AT, 0), uuid7(AT, 1), uuid7(AT, 4095), uuid7(later, 0)]
    assert made == sorted(made)


def test_no_two_ids_are_alike():
    assert len({uuid7(AT) for _ in range(1000)}) == 1000


def test_an_id_beside_another_is_the_same_every_time():
    owner = uuid7(AT)
    made = uuid7_beside(owner, 3, "usage/0")
    assert made == uuid7_beside(owner, 3, "usage/0")
    assert len({made, uuid7_beside(owner, 3, "usage/1"), uuid7_beside(owner, 4, "usage/0")}) == 3
    assert made[:13] == owner[:13]
    assert UUID(made).version == 7
    assert uuid7_beside(owner, 3, "usage/0") < uuid7_beside(owner, 4, "usage/0")
