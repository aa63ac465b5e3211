"""Child rows of interceptions, truncated for lists or in full.

A text may be as long as the operator allows, and a response may have many tool calls. So only ids
are read at first, then the beginnings of texts; a longer text that is wanted in full is read by
itself. Rows are ordered by id, which is the order of creation: the timestamp column is stored
after the texts, and SQLite would have to read through them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.core.money import NanoDollars
from aibridged.records.pruning_conditions import partitioned_by
from aibridged.records.query_results import Interception, Row
from aibridged.records.schema import model_thoughts, token_usages, tool_usages, user_prompts
from aibridged.records.viewer import TEXTS, Sight, has_texts

KINDS = {
    "token_usages": token_usages,
    "user_prompts": user_prompts,
    "tool_usages": tool_usages,
    "model_thoughts": model_thoughts,
}

SHOWN_CHARACTERS = 1024
"""Characters of each text in a list."""
SHOWN_ROWS = 100
"""Rows of each kind that has texts, per interception in a list."""

_READ_CHARACTERS = 16 * 1024  # read at first of texts that are wanted in full, enough for most
# Rows that are read at once: few at first and of long texts, for which SQLite reads all of each.
_FEW_ROWS = 4
_MOST_ROWS = 64
_IDS_AT_ONCE = 1000  # bound on the parameters of a statement

_NAMES = {"cost_nanos": "cost"}  # that a row has for its columns
_NO_COLUMNS = {*KINDS, "truncated", "texts_withheld", "cost"}
_COLUMNS = [name for name in Interception.__struct_fields__ if name not in _NO_COLUMNS]


class FullInterception(NamedTuple):
    """An interception, and a function that iterates over its child rows of a kind.

    The rows can be read as long as the query's connection is open.
    """

    found: Interception
    rows: Callable[[str], Iterator[Row]]

    def collected(self) -> Interception:
        """The interception with all its child rows, which may take much memory."""
        return msgspec.structs.replace(
            self.found, **{kind: list(self.rows(kind)) for kind in KINDS}
        )


class ChildRows:
    """The child rows of some interceptions, which should be a few at a time.

    `sight` decides on their texts; without any, there are the token usages alone, and errors.
    """

    def __init__(
        self,
        connection: sa.Connection,
        interception_ids: Sequence[str],
        sight: Sight,
        *,
        with_texts: bool = True,
    ) -> None:
        self._connection = connection
        self._sight = sight
        kinds = [kind for kind in KINDS if with_texts or kind not in TEXTS]
        self._ids: dict[str, Mapping[str, list[str]]] = {kind: {} for kind in KINDS}
        self._ids.update({kind: self._read_ids(kind, interception_ids) for kind in kinds})
        self._owners = {
            kind: {id: owner for owner, ids in found.items() for id in ids}
            for kind, found in self._ids.items()
        }
        self._in_order = {
            kind: [id for owner in interception_ids for id in found.get(owner, ())]
            for kind, found in self._ids.items()
        }
        self._ahead: dict[str, dict[str, Row]] = {kind: {} for kind in KINDS}
        self._at_once = dict.fromkeys(KINDS, _FEW_ROWS)

    def previews(self, rows: Sequence[sa.Row[Any]]) -> Iterator[Interception]:
        """The interceptions with what a list shows of their child rows.

        Raises:
            LookNotNotedError: texts of others can't be shown.
        """
        shown = {kind: self._previews(kind) for kind in KINDS}
        found = [self._preview(row, shown) for row in rows]
        self._sight.look({each.initiator_id for each in found if has_texts(each)})
        for each in found:
            if not has_texts(each) or self._sight.shows(each.initiator_id):
                yield each
                continue
            seen = self._sight.head(each)
            for kind in TEXTS:
                rows_of = getattr(each, kind)
                setattr(seen, kind, [self._sight.row(each.initiator_id, kind, r) for r in rows_of])
            yield seen

    def _preview(
        self, row: sa.Row[Any], shown: Mapping[str, Mapping[str, list[Row]]]
    ) -> Interception:
        made = _interception(row)
        for kind, found in shown.items():
            setattr(made, kind, found.get(row.id, []))
            made.truncated |= len(found.get(row.id, ())) < len(self._ids[kind].get(row.id, ()))
        return made

    def full(
        self, rows: Sequence[sa.Row[Any]], characters: int | None = None
    ) -> Iterator[FullInterception]:
        """The interceptions with all their child rows.

        These are read ahead, those of the next interceptions too: most have few. Of each text
        there are so many `characters` at least, all by default.

        Raises:
            LookNotNotedError: texts of others can't be shown.
        """
        self._sight.look({row.initiator_id for row in rows})
        for row in rows:
            made = self._sight.head(_interception(row))
            rows_of = partial(self._rows_of, row.id, row.initiator_id, characters)
            yield FullInterception(made, rows_of)

    def _rows_of(
        self, interception_id: str, initiator_id: str, characters: int | None, kind: str
    ) -> Iterator[Row]:
        for id in self._ids[kind].get(interception_id, ()):
            if id not in self._ahead[kind]:
                self._ahead[kind] = self._read_from(kind, id)
            row = self._ahead[kind][id]
            is_cut = row["truncated"] and (characters is None or characters > _READ_CHARACTERS)
            if is_cut and self._sight.shows(initiator_id):
                row = self._read_one(kind, id)
            yield self._sight.row(initiator_id, kind, row)

    def _read_from(self, kind: str, id: str) -> dict[str, Row]:
        """The row and those that are probably read next."""
        at = self._in_order[kind].index(id)
        ids = self._in_order[kind][at : at + self._at_once[kind]]
        found = {row["id"]: row for _, row in self._read(kind, ids, _READ_CHARACTERS)}
        is_long = any(row["truncated"] for row in found.values())
        self._at_once[kind] = _FEW_ROWS if is_long else min(2 * len(ids), _MOST_ROWS)
        return found

    def _previews(self, kind: str) -> Mapping[str, list[Row]]:
        most = None if kind == "token_usages" else SHOWN_ROWS
        ids = [id for each in self._ids[kind].values() for id in each[:most]]
        found = defaultdict(list)
        for interception_id, row in self._read(kind, ids, SHOWN_CHARACTERS):
            found[interception_id].append(row)
        return found

    def _read_ids(self, kind: str, interception_ids: Sequence[str]) -> Mapping[str, list[str]]:
        found = defaultdict(list)
        for row in self._connection.execute(_IDS[kind], {"owners": interception_ids}):
            found[row.interception_id].append(row.id)
        return found

    def _read(self, kind: str, ids: Sequence[str], characters: int) -> Iterator[tuple[str, Row]]:
        """The rows with their interceptions' ids; `truncated` says whether a text is longer.

        No cursor stays open between them: the consumer may take a while.
        """
        for start in range(0, len(ids), _IDS_AT_ONCE):
            # One more character than shown tells whether there are more.
            few = ids[start : start + _IDS_AT_ONCE]
            owners = {self._owners[kind][id] for id in few}
            values = {"ids": few, "owners": [*owners], "characters": characters + 1}
            for found in self._connection.execute(_PREVIEWS[kind], values).all():
                row = _row(found)
                owner = row.pop("interception_id")
                row["truncated"] = False
                for name in _TEXTS[kind]:
                    if row[name] is not None and len(row[name]) > characters:
                        row[name] = row[name][:characters]
                        row["truncated"] = True
                yield owner, row

    def _read_one(self, kind: str, id: str) -> Row:
        values = {"id": id, "owner": self._owners[kind][id]}
        row = _row(self._connection.execute(_WHOLE[kind], values).one())
        del row["interception_id"]
        return {**row, "truncated": False}


def _interception(row: sa.Row[Any]) -> Interception:
    return Interception(
        **{name: row._mapping[name] for name in _COLUMNS}, cost=nano_dollars(row.cost_nanos)
    )


def nano_dollars(amount: int | None) -> NanoDollars | None:
    """An amount of the database's, if there is one."""
    return None if amount is None else NanoDollars(amount)


def _row(found: sa.Row[Any]) -> Row:
    """A child row by its columns, with the `cost` of one that may have it."""
    row = {_NAMES.get(name, name): value for name, value in found._mapping.items()}
    if "cost" in row:
        row["cost"] = nano_dollars(row["cost"])
    return row


def _ids(table: sa.Table) -> sa.Select[Any]:
    owners: sa.BindParameter[Any] = sa.bindparam("owners", expanding=True)
    return (
        sa.select(table.c.interception_id, table.c.id)
        .where(table.c.interception_id.in_(owners))
        .order_by(table.c.id)
    )


def _previews(table: sa.Table) -> sa.Select[Any]:
    characters = sa.bindparam("characters", type_=sa.Integer)
    shown = (
        sa.func.substr(column, 1, characters).label(column.name) if _is_text(column) else column
        for column in table.c
    )
    ids: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
    owners: sa.BindParameter[Any] = sa.bindparam("owners", expanding=True)
    # PostgreSQL finds them by their interceptions, SQLite by their own ids.
    owned = partitioned_by(table.c.interception_id.in_(owners))
    return sa.select(*shown).where(table.c.id.in_(ids), owned).order_by(table.c.id)


def _whole(table: sa.Table) -> sa.Select[Any]:
    owned = partitioned_by(table.c.interception_id == sa.bindparam("owner"))
    return sa.select(table).where(table.c.id == sa.bindparam("id"), owned)


def _is_text(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.Text)


_IDS = {kind: _ids(table) for kind, table in KINDS.items()}
_PREVIEWS = {kind: _previews(table) for kind, table in KINDS.items()}
_WHOLE = {kind: _whole(table) for kind, table in KINDS.items()}
_TEXTS = {kind: [c.name for c in table.c if _is_text(c)] for kind, table in KINDS.items()}
