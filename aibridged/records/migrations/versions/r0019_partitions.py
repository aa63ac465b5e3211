"""Partitions by month of what grows with the interceptions, on PostgreSQL.

A range of ids, which begin with a time (UUIDv7), is a range of time. What is there becomes the
first partition, uncopied, up to the end of this month; ids outside of all others' are for the
default one. A partition's rows refer to that of the interceptions with the same range: so one can
be dropped without a look at any other. Rows that belong to an interception are found by its id
first, and have one index less.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_PARENT = "aibridge_interceptions"
_OWN = "interception_id"
_KEYS = {
    _PARENT: ("id",),
    "aibridge_token_usages": (_OWN, "id"),
    "aibridge_user_prompts": (_OWN, "id"),
    "aibridge_tool_usages": (_OWN, "id"),
    "aibridge_model_thoughts": (_OWN, "id"),
    "aibridged_cost_revisions": (_OWN, "usage_id", "revised_at"),
    "aibridged_prompt_fingerprints": (_OWN,),
}
"""The primary key of each table, beginning with what it is partitioned by."""

_EARLIER, _DEFAULT = "earlier", "default"
_LEAST = timedelta(days=1)

_VIEWS = """
SELECT DISTINCT view.oid::regclass::text AS name, view.relkind = 'm' AS is_materialized,
    pg_get_viewdef(view.oid) AS query, array_to_string(view.reloptions, ', ') AS options
FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid
JOIN pg_class AS view ON view.oid = pg_rewrite.ev_class
WHERE pg_depend.classid = 'pg_rewrite'::regclass
    AND pg_depend.refclassid = 'pg_class'::regclass
    AND pg_depend.refobjid = ANY(CAST(:tables AS regclass[]))
"""
_INDEXES = """
SELECT index.relname AS name, pg_get_indexdef(index.oid) AS statement
FROM pg_index JOIN pg_class AS index ON index.oid = pg_index.indexrelid
WHERE pg_index.indrelid = CAST(:table AS regclass) AND NOT pg_index.indisprimary
"""
_PRIMARY_KEY = """
SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = CAST(:table AS regclass)
"""
_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped
    AND attgenerated = ''
"""
_GRANTS = """
SELECT format('GRANT %s ON %s TO %s%s', privilege_type, CAST(:to AS regclass),
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_class, aclexplode(relacl)
WHERE oid = CAST(:table AS regclass) AND grantee <> relowner
UNION ALL
SELECT format('ALTER TABLE %s OWNER TO %I', CAST(:to AS regclass), pg_get_userbyid(relowner))
FROM pg_class WHERE oid = CAST(:table AS regclass) AND relowner <> current_user::regrole
"""


def upgrade() -> None:
    """Put partitioned tables in the place of the tables, which become their first partitions."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f"LOCK TABLE {', '.join(_KEYS)} IN ACCESS EXCLUSIVE MODE")
    views = _rows(_VIEWS, tables=[*_KEYS])
    for view in views:
        if view.is_materialized:
            _refuse(f"drop the materialized view {view.name}, and create it after the upgrade")
    end = _end()
    for table, key in _KEYS.items():
        _put_in_place(table, key)
        _move_those_from(end, table, key[0])
    op.execute(f"DELETE FROM {_PARENT}_{_EARLIER} WHERE id >= '{end}'")
    for table in _KEYS:
        earlier, default = f"{table}_{_EARLIER}", f"{table}_{_DEFAULT}"
        bounds = f"FOR VALUES FROM (MINVALUE) TO ('{end}')"
        op.execute(f"ALTER TABLE {table} ATTACH PARTITION {earlier} {bounds}")
        op.execute(f"ALTER TABLE {table} ATTACH PARTITION {default} DEFAULT")
    for view in views:
        options = f" WITH ({view.options})" if view.options else ""
        op.execute(_verbatim(f"CREATE OR REPLACE VIEW {view.name}{options} AS {view.query}"))


def _end() -> str:
    """The first id of the month that begins in a day or more."""
    now: datetime = op.get_bind().scalar(sa.text("SELECT now()"))
    at = (now.astimezone(UTC) + _LEAST).replace(day=1) + timedelta(days=32)
    begin = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    digits = f"{int(begin.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def _put_in_place(table: str, key: tuple[str, ...]) -> None:
    """A partitioned table of the same shape, and the partition by default, neither attached."""
    earlier, default = f"{table}_{_EARLIER}", f"{table}_{_DEFAULT}"
    indexes = _rows(_INDEXES, table=table)
    [primary_key] = _rows(_PRIMARY_KEY, table=table)
    op.execute(f"ALTER TABLE {table} RENAME TO {earlier}")
    if len(key) == 1:
        op.execute(f"ALTER INDEX {primary_key.conname} RENAME TO {earlier}_pkey")
    else:
        op.execute(f"ALTER TABLE {earlier} DROP CONSTRAINT {primary_key.conname}")
        _add_primary_key(earlier, key)
        # The primary key does what this index did.
        op.execute(f"DROP INDEX idx_{table}_{_OWN}")
    op.execute(
        f"CREATE TABLE {table} (LIKE {earlier} INCLUDING ALL EXCLUDING INDEXES)"
        f" PARTITION BY RANGE ({key[0]})"
    )
    _add_primary_key(table, key)
    for index in indexes:
        if index.name != f"idx_{table}_{_OWN}":
            op.execute(f"ALTER INDEX {index.name} RENAME TO {index.name}_{_EARLIER}")
            op.execute(_verbatim(index.statement))
    op.execute(f"CREATE TABLE {default} (LIKE {table} INCLUDING ALL)")
    if table != _PARENT:
        op.execute(
            f"ALTER TABLE {default} ADD FOREIGN KEY ({_OWN})"
            f" REFERENCES {_PARENT}_{_DEFAULT} (id) ON DELETE CASCADE"
        )
    for to in (table, default):
        for (statement,) in _rows(_GRANTS, table=earlier, to=to):
            op.execute(_verbatim(statement))


def _move_those_from(end: str, table: str, column: str) -> None:
    """Copy rows that can't stay where they are: of clocks that were ahead, or with other ids."""
    [(columns,)] = _rows(_COLUMNS, table=table)
    op.execute(
        f"INSERT INTO {table}_{_DEFAULT} ({columns})"
        f" SELECT {columns} FROM {table}_{_EARLIER} WHERE {column} >= '{end}'"
    )


def _add_primary_key(table: str, key: tuple[str, ...]) -> None:
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({', '.join(key)})")


def _rows(query: str, **values: Any) -> Any:
    return op.get_bind().execute(sa.text(query), values).all()


def _verbatim(statement: str) -> Any:
    return sa.text(statement.replace(":", r"\:"))


def _refuse(what: str) -> None:
    """Fail as the server does, whose words are shown."""
    op.execute(_verbatim(f"DO $$ BEGIN RAISE EXCEPTION '%', {_quoted(what)}; END $$"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
