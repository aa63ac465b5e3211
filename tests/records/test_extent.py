"""The first and the last start on record."""

from datetime import timedelta

import pytest

from aibridged.records.extent import record_begins, record_ends

OTHER = "00000000-0000-4000-8000-00000000000f"


@pytest.fixture
def extent(query):
    def extent(owner=None):
        with query.reading() as connection:
            return record_begins(connection, owner), record_ends(connection, owner)

    return extent


def test_the_record_begins_and_ends_with_a_start(extent, add, clock):
    assert extent() == (None, None)
    first = clock.wall()
    add()
    clock.advance(60)
    add(initiator_id=OTHER, ended=False)
    clock.advance(60)
    add()
    assert extent() == (first, first + timedelta(seconds=120))
    assert extent(OTHER) == (first + timedelta(seconds=60),) * 2
    assert extent("nobody") == (None, None)
