"""Conditions by which PostgreSQL leaves out partitions, beside others that say the same or more.

They are of whole months: within a partition all rows meet them, so that its statistics go on
telling the planner how many rows the other conditions leave. SQLite has no partitions, and takes
them to be true.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from aibridged.records.ids import first_id

_SLACK = timedelta(hours=1)
"""Between the time in an id and `started_at`, at most: they are of one moment."""


class _OnPostgres(FunctionElement[bool]):
    inherit_cache = True
    type = sa.Boolean()


@compiles(_OnPostgres)
def _as_it_is(element: _OnPostgres, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


@compiles(_OnPostgres, "sqlite")
def _true(_element: _OnPostgres, _compiler: Any, **_options: Any) -> str:
    return "1"


def partitioned_by(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition, on PostgreSQL only."""
    return _OnPostgres(condition)


def since_month(id: sa.ColumnElement[str], at: datetime) -> sa.ColumnElement[bool]:
    """Whether an interception's id is of the month of that time, or of a later one."""
    return partitioned_by(id >= first_id(_month(at - _SLACK)))


def until_month(id: sa.ColumnElement[str], at: datetime) -> sa.ColumnElement[bool]:
    """Whether an interception's id is of the month of that time, or of an earlier one."""
    after = (_month(at + _SLACK) + timedelta(days=32)).replace(day=1)
    return partitioned_by(id < first_id(after))


def _month(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
