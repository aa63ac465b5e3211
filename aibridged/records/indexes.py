"""The indexes of the interceptions, as the migrations make them.

They find the newest rows first, all or by the value of one column; rows of one instant are ordered
by id. An open interception is in one small index only, and enters the others when it ends:
requests wait for their start rows, while ends are written many at a time. A query over all
interceptions is therefore a UNION ALL of the ended (`ended_at IS NOT NULL`) and the open ones
(`ended_at IS NULL`).

They aren't in `schema`, since no query needs them, and PostgreSQL's conditions load its dialect.
"""

import sqlalchemy as sa

from aibridged.records.schema import interceptions, not_completed

_ended = interceptions.c.ended_at.is_not(None)
_open = interceptions.c.ended_at.is_(None)


def _index(name: str, columns: tuple[str, ...], when: sa.ColumnElement[bool]) -> sa.Index:
    return sa.Index(
        f"idx_aibridge_interceptions_{name}",
        *(interceptions.c[column] for column in columns),
        sqlite_where=when,
        postgresql_where=when,
        # It finds ids by how they begin, too, whatever the database's collation.
        postgresql_ops={"session_id": "text_pattern_ops"} if name == "session_id" else {},
    )


INDEXES = (
    _index("started_at", ("started_at",), _ended),
    _index("initiator_id", ("initiator_id", "started_at"), _ended),
    _index("username", ("username", "started_at"), _ended),
    _index("provider", ("provider", "started_at"), _ended),
    _index("model", ("model", "started_at"), _ended),
    _index("client", ("client", "started_at"), _ended),
    _index("session_id", ("session_id", "initiator_id", "started_at"), _ended),
    _index("outcome", ("outcome", "started_at"), sa.and_(_ended, not_completed(interceptions.c))),
    _index("open", ("recorder_id",), _open),
)
