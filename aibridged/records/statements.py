"""The writer's SQL statements, compiled once from SQLAlchemy's for the bare driver."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

from aibridged.columns import UtcDateTime
from aibridged.dialects import insert
from aibridged.records.facts import Outcome, StoredObjectRecord, UserPromptRecord
from aibridged.records.rows import COST_COLUMNS, END_COLUMNS, ERROR_COLUMNS, ROWS, START_COLUMNS
from aibridged.records.schema import (
    interceptions,
    refusals,
    spend,
    stored_objects,
    tool_usages,
    user_prompts,
)
from aibridged.wire.facts import RUNNING

ISO_DAY = len("2026-12-01")
"""Characters of a day, with which each of the texts of `used` begins."""
_encode = msgspec.json.Encoder().encode


class Statement:
    """A statement that is compiled when it is first needed: a start needs few of them."""

    def __init__(
        self, statement: ClauseElement, dialect: sa.Dialect, columns: Sequence[str] | None = None
    ) -> None:
        self._statement = statement
        self._dialect = dialect
        self._columns = columns

    @cached_property
    def sql(self) -> str:
        """With the driver's positional placeholders."""
        return str(self._compiled)

    def row(self, **values: Any) -> list[Any]:
        """The values in the order of the placeholders, from the bound parameters by name."""
        names, constants = self._placeholders
        return [values[name] if name in values else constants[name] for name in names]

    @cached_property
    def _placeholders(self) -> tuple[Sequence[str], Mapping[str, Any]]:
        return self._compiled.positiontup or [], self._compiled.params

    @cached_property
    def _compiled(self) -> SQLCompiler:
        compiled = self._statement.compile(dialect=self._dialect, column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)
        return compiled


class Statements:
    """All statements of the writer, in one database's SQL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._dialect = engine.dialect
        self.insert_start = self._insert(interceptions, START_COLUMNS)
        self.inserts = {
            kind: self._insert(table, table.columns.keys()) for kind, (table, _) in ROWS.items()
        }
        self.inserts[UserPromptRecord] = self._insert_prompt()
        self.inserts[StoredObjectRecord] = self._insert_stored()
        self.end = self._compile(_END)
        self.answer_prompt = self._compile(_ANSWER_PROMPT)
        self.note = self._compile(_note(engine.dialect.name))
        self.parent = self._compile(_PARENT)
        self.find = self._compile(_FIND)
        self.owners_of_open = self._compile(_OWNERS_OF_OPEN)
        self.interrupt = self._compile(_INTERRUPT)
        self.prune = self._compile(_PRUNE)
        self.prune_stored = self._compile(_PRUNE_STORED)
        self.prune_refusals = self._compile(_PRUNE_REFUSALS)
        self.background = self._compile(_BACKGROUND)
        self.reserved_of = self._compile(_RESERVED_OF)
        self.charges = self._compile(_charges(engine.dialect.name))
        self.used = self._compile(_used(engine.dialect.name))
        self.count_spend = self._count_spend()
        self.prune_spend = self._compile(_PRUNE_SPEND)

    def list_of(self, texts: Sequence[str]) -> Any:
        """Texts as a parameter of `charges` and `used`."""
        if self._dialect.name == "sqlite":
            return _encode(texts).decode()
        return list(texts)

    def _compile(self, statement: ClauseElement) -> Statement:
        return Statement(statement, self._dialect)

    def _insert(self, table: sa.Table, columns: Any) -> Statement:
        statement = insert(self._dialect.name, table).on_conflict_do_nothing()
        return Statement(statement, self._dialect, list(columns))

    def _insert_prompt(self) -> Statement:
        """One that is there already, without the answer that this one has, gets it."""
        statement = insert(self._dialect.name, user_prompts)
        answer = statement.excluded.provider_response_id
        statement = statement.on_conflict_do_update(
            index_elements=prompt_key(self._dialect.name),
            set_={"provider_response_id": answer},
            where=answer != sa.literal_column("''"),
        )
        return Statement(statement, self._dialect, user_prompts.columns.keys())

    def _insert_stored(self) -> Statement:
        """The first maker stays it, and may tell the continuation later."""
        statement = insert(self._dialect.name, stored_objects)
        told = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=_STORED,
            set_={"continuation": told.continuation},
            where=sa.and_(
                told.continuation.is_not(None), stored_objects.c.initiator_id == told.initiator_id
            ),
        )
        return Statement(statement, self._dialect, stored_objects.columns.keys())

    def _count_spend(self) -> Statement:
        statement = counting_spend(self._dialect.name)
        return Statement(statement, self._dialect, spend.columns.keys())


_MADE: dict[str, Statements] = {}


def statements_for(engine: sa.Engine) -> Statements:
    """The statements in the SQL of the engine's database, compiled once for each kind of them."""
    name = engine.dialect.name
    if name not in _MADE:
        _MADE[name] = Statements(engine)
    return _MADE[name]


def counting_spend(dialect: str) -> Any:
    """The statement that adds to a subject's counters of a day."""
    statement = insert(dialect, spend)
    added = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[spend.c.subject, spend.c.day],
        set_={name: spend.c[name] + added[name] for name in ("spent_nanos", "reserved_nanos")},
    )


def prompt_key(dialect: str) -> Sequence[sa.Column[Any]]:
    """The columns of the unique index of prompts, by which those that are there are found."""
    columns = user_prompts.c
    return [columns.id] if dialect == "sqlite" else [columns.interception_id, columns.id]


_END = (
    sa.update(interceptions)
    .where(interceptions.c.id == sa.bindparam("interception"))
    .values(
        {name: sa.bindparam(f"new_{name}") for name in END_COLUMNS} | {"reserved_nanos": sa.null()}
    )
)

_ANSWER_PROMPT = (
    sa.update(user_prompts)
    .where(user_prompts.c.interception_id == sa.bindparam("interception"))
    .values(provider_response_id=sa.bindparam("answer"))
)


def _note(dialect: str) -> sa.Update:
    """Adds to the metadata of an interception."""
    before, more = interceptions.c.metadata, sa.bindparam("more", type_=sa.Text)
    nothing: sa.ColumnElement[Any] = sa.literal_column("'{}'")
    noted: sa.ColumnElement[Any]
    if dialect == "sqlite":
        noted = sa.func.json_patch(sa.func.coalesce(before, nothing), more)
    else:
        from sqlalchemy.dialects.postgresql import JSONB

        as_json = JSONB()
        noted = sa.func.coalesce(before, sa.cast(nothing, as_json)).op("||")(sa.cast(more, as_json))
    return (
        sa.update(interceptions)
        .where(interceptions.c.id == sa.bindparam("interception"))
        .values(metadata=noted)
    )


_PARENT = (
    sa.select(interceptions.c.id, interceptions.c.thread_root_id)
    .join(tool_usages, tool_usages.c.interception_id == interceptions.c.id)
    .where(
        tool_usages.c.provider_tool_call_id == sa.bindparam("call"),
        interceptions.c.initiator_id == sa.bindparam("initiator"),
    )
    # Some providers' call ids are unique per conversation only, so the newest is taken.
    .order_by(tool_usages.c.created_at.desc())
    .limit(sa.literal_column("1"))
)

_FIND = sa.select(interceptions.c.id).where(interceptions.c.id == sa.bindparam("interception"))

_OWNERS_OF_OPEN = (
    sa.select(interceptions.c.recorder_id).where(interceptions.c.ended_at.is_(None)).distinct()
)

_NOW = sa.bindparam("now", type_=UtcDateTime)
_INTERRUPT = (
    sa.update(interceptions)
    .where(
        interceptions.c.recorder_id == sa.bindparam("recorder"), interceptions.c.ended_at.is_(None)
    )
    .values(
        ended_at=sa.case(
            (interceptions.c.started_at > _NOW, interceptions.c.started_at), else_=_NOW
        ),
        outcome=Outcome.INTERRUPTED.value,
        usage_partial=sa.true(),
        reserved_nanos=sa.null(),
    )
)

_RESERVED_OF = sa.select(interceptions.c.id).where(
    interceptions.c.recorder_id == sa.bindparam("recorder"),
    interceptions.c.ended_at.is_(None),
    interceptions.c.reserved_nanos.is_not(None),
)


def _is_one_of(column: sa.Column[Any], texts: str, dialect: str) -> sa.ColumnElement[bool]:
    """Whether the column is one of the texts of a parameter; see `Statements.list_of`."""
    if dialect == "sqlite":
        return column.in_(sa.select(_each_of(texts).c.value))
    from sqlalchemy.dialects.postgresql import ARRAY

    array = ARRAY(sa.Uuid(as_uuid=False) if column.name == "id" else sa.Text)
    return column == sa.any_(sa.bindparam(texts, type_=array))


def _each_of(texts: str) -> sa.TableValuedAlias:
    """SQLite's rows of the texts of a parameter."""
    return sa.func.json_each(sa.bindparam(texts, type_=sa.Text)).table_valued("value")


def _charges(dialect: str) -> sa.Select[Any]:
    """What interceptions are charged with, and to whom."""
    columns = interceptions.c
    return sa.select(
        columns.id,
        columns.initiator_id,
        columns.charged_to,
        columns.started_at,
        columns.credential_kind,
        columns.cost_nanos,
        columns.reserved_nanos,
        columns.background_status,
    ).where(_is_one_of(columns.id, "ids", dialect))


def _used(dialect: str) -> sa.Select[Any]:
    """What subjects have spent and reserved since a day: each is asked for by day and subject in
    one text, as `ledger` joins them."""
    if dialect == "sqlite":
        each = _each_of("checks")
    else:
        from sqlalchemy.dialects.postgresql import ARRAY

        array = sa.bindparam("checks", type_=ARRAY(sa.Text))
        each = sa.func.unnest(array).table_valued("value").render_derived()
    day = sa.func.substr(each.c.value, 1, ISO_DAY)
    subject = sa.func.substr(each.c.value, ISO_DAY + 1)
    since = day if dialect == "sqlite" else sa.cast(day, sa.Date)
    amount = sa.func.sum(spend.c.spent_nanos + spend.c.reserved_nanos)
    total = sa.select(amount).where(spend.c.subject == subject, spend.c.day >= since)
    return sa.select(each.c.value, total.scalar_subquery())


_PRUNE_SPEND = sa.delete(spend).where(spend.c.day < sa.bindparam("before", type_=sa.Date))

_PRUNE = (
    sa.delete(interceptions)
    .where(
        interceptions.c.id.in_(
            sa.select(interceptions.c.id)
            .where(
                interceptions.c.ended_at.is_not(None),
                interceptions.c.started_at < sa.bindparam("before", type_=UtcDateTime),
            )
            .order_by(interceptions.c.started_at)
            .limit(sa.bindparam("most", type_=sa.Integer))
        )
    )
    .returning(interceptions.c.started_at)
)

_STORED = (stored_objects.c.provider_name, stored_objects.c.object_id)
_PRUNE_STORED = sa.delete(stored_objects).where(
    sa.tuple_(*_STORED).in_(
        sa.select(*_STORED)
        .where(stored_objects.c.created_at < sa.bindparam("before", type_=UtcDateTime))
        .order_by(stored_objects.c.created_at)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
)

_REFUSED = tuple(refusals.primary_key)
_PRUNE_REFUSALS = sa.delete(refusals).where(
    sa.tuple_(*_REFUSED).in_(
        sa.select(*_REFUSED)
        .where(refusals.c.day < sa.bindparam("before", type_=sa.Date))
        .order_by(refusals.c.day)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
)

_STATUS = interceptions.c.background_status
_RUNNING: list[sa.ColumnElement[str]] = [
    sa.literal_column(f"'{status}'") for status in sorted(RUNNING)
]
_BACKGROUND = (
    sa.update(interceptions)
    .where(
        interceptions.c.id == sa.bindparam("interception"),
        # Never after a last one: polls may be told, and written, in any order.
        sa.or_(_STATUS.is_(None), _STATUS.in_(_RUNNING)),
    )
    .values(
        background_status=sa.bindparam("status"),
        outcome=sa.func.coalesce(sa.bindparam("new_outcome"), interceptions.c.outcome),
        usage_partial=sa.func.coalesce(
            sa.bindparam("new_partial", type_=sa.Boolean), interceptions.c.usage_partial
        ),
        **{
            name: sa.case(
                (sa.bindparam("is_last", type_=sa.Boolean), sa.bindparam(f"new_{name}")),
                else_=interceptions.c[name],
            )
            for name in ERROR_COLUMNS
        },
        **{
            name: sa.case(
                (sa.bindparam("is_charged", type_=sa.Boolean), sa.bindparam(f"new_{name}")),
                else_=interceptions.c[name],
            )
            for name in COST_COLUMNS
        },
    )
)
