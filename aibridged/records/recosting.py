"""Costs of a past period, computed once more: by other prices, or for the first time.

Each usage is priced by the rates that were valid when its interception started. What changes is
written in small transactions, with the old value kept, and so are the interception's sum and what
its subjects have spent (see `schema`): by the difference, as the writer does it.

Open interceptions, and responses that still run in the background, are left to the daemon. What has
no usage on record has no cost to compute, unless nothing was used.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.core.auth import CredentialKind
from aibridged.core.budgets import user_subject
from aibridged.core.cost_notes import REASONS
from aibridged.core.prices import FREE, Cost, Label, Priced, total
from aibridged.dialects import insert
from aibridged.records.database import failures_told, writing
from aibridged.records.filters import conditions, resolved
from aibridged.records.ledger import LOCK_LEDGER
from aibridged.records.pacing import Pace
from aibridged.records.query_results import Filter
from aibridged.records.recorded_usage import Price, priced_again
from aibridged.records.schema import (
    MAX_PRICE_VERSION,
    cost_revisions,
    interceptions,
    token_usages,
)
from aibridged.records.statements import counting_spend
from aibridged.records.summarised_hours import mark_dirty
from aibridged.wire.facts import RUNNING

_T = TypeVar("_T")

PAGE = 200
"""Interceptions that are looked at in one read."""

_I, _U = interceptions.c, token_usages.c
_ENDED = (
    _I.ended_at.is_not(None),
    sa.or_(_I.background_status.is_(None), _I.background_status.not_in(sorted(RUNNING))),
)
_COLUMNS = (
    _I.id,
    _I.initiator_id,
    _I.provider_name,
    _I.model,
    _I.started_at,
    _I.credential_kind,
    _I.usage_partial,
    _I.charged_to,
    _I.cost_nanos,
    _I.cost_label,
)


class Changes(NamedTuple):
    """What was looked at and changed; amounts in nano-dollars, of what has a price.

    `before` and `after` are the sums of all that was looked at, and `unpriced` the interceptions
    with a part that has no price now.
    """

    interceptions: int = 0
    changed: int = 0
    before: int = 0
    after: int = 0
    unpriced: int = 0

    def __add__(self, other: tuple[int, ...]) -> "Changes":  # type: ignore[override]
        return Changes(*(one + more for one, more in zip(self, other, strict=True)))


class _Revision(NamedTuple):
    """An interception with its new cost, and its usages that have another one."""

    row: Any
    cost: Cost | None
    usages: Sequence[tuple[Any, Priced]]

    @property
    def is_change(self) -> bool:
        return bool(self.usages) or _differs(self.row, self.cost)


class Recosting:
    """Computes the costs in one database once more, for the command line: all of it blocks."""

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock,
        pace: Pace,
        price: Price,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._pace = pace
        self._price = price
        self._sleep = sleep

    def run(self, wanted: Filter, *, dry_run: bool = False) -> Iterator[Changes]:
        """Go through what matches, the oldest first; yields what has been done up to then.

        Raises:
            DatabaseError: it can't be read or written. What was yielded has been done.
        """
        now, after = self._clock.wall(), None
        found = self._read(lambda connection: resolved(connection, wanted))
        where = [*_ENDED, *conditions(found, by_index=False)]
        done = Changes()
        while True:
            page = sa.select(*_COLUMNS).where(*where)
            if after is not None:
                page = page.where(sa.tuple_(_I.started_at, _I.id) > sa.tuple_(*after))
            page = page.order_by(_I.started_at, _I.id).limit(PAGE)
            revisions = self._read(partial(self._revised, page=page))
            if not revisions:
                return
            if not dry_run:
                self._write([each for each in revisions if each.is_change], now)
            done += _changes(revisions)
            yield done
            last = revisions[-1].row
            after = (
                sa.bindparam("last_at", last.started_at, _I.started_at.type),
                sa.bindparam("last_id", last.id, _I.id.type),
            )

    def _revised(self, connection: sa.Connection, page: sa.Select[Any]) -> Sequence[_Revision]:
        rows = connection.execute(page).all()
        usages: dict[str, list[Any]] = {row.id: [] for row in rows}
        wanted = _U.interception_id.in_([*usages])
        for usage in connection.execute(sa.select(token_usages).where(wanted).order_by(_U.id)):
            usages[usage.interception_id].append(usage)
        return [self._revision(row, usages[row.id]) for row in rows]

    def _revision(self, row: Any, usages: Sequence[Any]) -> _Revision:
        if not usages:
            is_known = row.cost_label is not None or row.usage_partial
            return _Revision(row, _cost(row) if is_known else FREE, ())
        priced = [(usage, priced_again(self._price, row, usage)) for usage in usages]
        costs = [each.cost for _, each in priced if each.cost is not None]
        if len(costs) < len(priced):
            return _Revision(row, _cost(row), ())
        changed = [(usage, each) for usage, each in priced if _differs(usage, each.cost)]
        return _Revision(row, total(costs), changed)

    def _write(self, revisions: Sequence[_Revision], now: datetime) -> None:
        ids = [each.row.id for each in revisions]
        while ids:
            batch, ids = ids[: self._pace.batch], ids[self._pace.batch :]
            with self._pace.turn(self._sleep), failures_told(), writing(self._engine) as connection:
                self._write_some(connection, batch, now)

    def _write_some(self, connection: sa.Connection, ids: Sequence[str], now: datetime) -> None:
        """Write a batch, of what is on record now: nobody else changes it meanwhile."""
        _lock_ledger(connection, ids)
        page = sa.select(*_COLUMNS).where(_I.id.in_(ids), *_ENDED).with_for_update()
        changed = [each for each in self._revised(connection, page) if each.is_change]
        old: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        for each in changed:
            for usage, priced in each.usages:
                old.append(_old(usage, now))
                new.append(_new(usage, priced))
        if old:
            kept = insert(connection.dialect.name, cost_revisions)
            connection.execute(kept.on_conflict_do_nothing(), old)
            connection.execute(_SET_USAGE, new)
        sums = [{"of": each.row.id, **_fields(each.cost)} for each in changed]
        if sums:
            connection.execute(_SET_INTERCEPTION, sums)
        _charge(connection, changed)
        mark_dirty(connection, [each.row.started_at for each in changed])

    def _read(self, work: Callable[[sa.Connection], _T]) -> _T:
        with failures_told(), self._engine.begin() as connection:
            return work(connection)


_SET_USAGE = (
    sa.update(token_usages)
    .where(_U.id == sa.bindparam("of"), _U.interception_id == sa.bindparam("of_interception"))
    .values(
        {
            name: sa.bindparam(f"new_{name}")
            for name in ("cost_nanos", "cost_label", "price_version", "metadata")
        }
    )
)
_SET_INTERCEPTION = (
    sa.update(interceptions)
    .where(_I.id == sa.bindparam("of"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("cost_nanos", "cost_label")})
)


def _cost(row: Any) -> Cost | None:
    """The cost on record."""
    return None if row.cost_label is None else Cost(row.cost_nanos, Label(row.cost_label))


def _differs(row: Any, cost: Cost | None) -> bool:
    label = None if cost is None else cost.label.value
    return (row.cost_nanos, row.cost_label) != (None if cost is None else cost.amount, label)


def _fields(cost: Cost | None) -> dict[str, Any]:
    return {
        "new_cost_nanos": None if cost is None else cost.amount,
        "new_cost_label": None if cost is None else cost.label.value,
    }


def _old(usage: Any, now: datetime) -> dict[str, Any]:
    """The row that keeps a usage's cost as it was."""
    return {
        "usage_id": usage.id,
        "revised_at": now,
        "interception_id": usage.interception_id,
        "cost_nanos": usage.cost_nanos,
        "cost_label": usage.cost_label,
        "price_version": usage.price_version,
    }


def _new(usage: Any, priced: Priced) -> dict[str, Any]:
    notes = {**(usage.metadata or {}), **priced.notes}
    notes.pop(REASONS, None)
    cost = priced.cost
    if cost is not None and cost.label is Label.ESTIMATED:
        notes[REASONS] = " ".join(cost.reasons)
    return {
        "of": usage.id,
        "of_interception": usage.interception_id,
        **_fields(cost),
        "new_price_version": priced.source and priced.source[:MAX_PRICE_VERSION],
        "new_metadata": notes,
    }


def _changes(revisions: Sequence[_Revision]) -> Changes:
    costs = [each.cost for each in revisions if each.cost is not None]
    return Changes(
        interceptions=len(revisions),
        changed=sum(each.is_change for each in revisions),
        before=sum(each.row.cost_nanos or 0 for each in revisions),
        after=sum(cost.amount or 0 for cost in costs),
        unpriced=sum(cost.label is Label.UNPRICED for cost in costs),
    )


def _charge(connection: sa.Connection, changed: Sequence[_Revision]) -> None:
    """Charge the subjects with the differences, each for the day on which it was spent."""
    added: Counter[tuple[str, Any]] = Counter()
    for each in changed:
        row, new = each.row, each.cost.amount if each.cost is not None else None
        if row.credential_kind == CredentialKind.BYOK:
            continue
        for subject in (user_subject(row.initiator_id), *(row.charged_to or "").split()):
            added[subject, row.started_at.date()] += (new or 0) - (row.cost_nanos or 0)
    rows = [
        {"subject": subject, "day": day, "spent_nanos": amount, "reserved_nanos": 0}
        for (subject, day), amount in sorted(added.items())
        if amount
    ]
    if rows:
        connection.execute(counting_spend(connection.dialect.name), rows)


def _lock_ledger(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Keep the writers of daemons from these counters, by the locks that they take."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(LOCK_LEDGER, ([], [*ids], [*ids]))
