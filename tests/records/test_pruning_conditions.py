"""Conditions leave out partitions on PostgreSQL, and are none on SQLite."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from aibridged.records.filters import conditions
from aibridged.records.ids import first_id, uuid7
from aibridged.records.pruning_conditions import partitioned_by, since_month, until_month
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions

ID = interceptions.c.id
MARCH, APRIL, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5))


def bound(condition):
    [value] = condition.compile(dialect=postgresql.dialect()).params.values()
    return value


@pytest.mark.parametrize(
    ("at", "since", "until"),
    [
        (APRIL + timedelta(days=9), APRIL, MAY),
        (APRIL, MARCH, MAY),  # as ids and times may differ a little
        (MAY - timedelta(minutes=1), APRIL, MAY + timedelta(days=31)),
        (APRIL.astimezone(timezone(timedelta(hours=-9))) + timedelta(days=1), APRIL, MAY),
    ],
)
def test_they_are_of_whole_months(at, since, until):
    assert bound(since_month(ID, at)) == first_id(since)
    assert bound(until_month(ID, at)) == first_id(until)


def test_ids_of_a_time_are_not_before_its_first():
    at = datetime(2026, 4, 1, 0, 0, 0, 1000, tzinfo=UTC)
    before, same = uuid7(at - timedelta(milliseconds=1)), uuid7(at)
    assert before < first_id(at) < same


def test_sqlite_has_none_of_it():
    condition = partitioned_by(sa.bindparam("owner", "x") == ID)
    compiled = sa.select(ID).where(condition).compile(dialect=sqlite.dialect())
    assert "owner" not in str(compiled)
    assert not compiled.positiontup


def test_partitions_outside_of_a_time_range_are_not_looked_at(postgres_database):
    wanted = Filter(started_after=datetime(2100, 1, 1, tzinfo=UTC))
    query = sa.select(ID).where(*conditions(wanted))
    with postgres_database.engine.connect() as connection:
        plan = connection.scalars(sa.text(f"EXPLAIN {_literal(query)}")).all()
    assert "default" in "".join(plan)
    assert "earlier" not in "".join(plan)


def _literal(query):
    text = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    return str(text).replace(":", r"\:")
