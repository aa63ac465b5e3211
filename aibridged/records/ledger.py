"""The ledger: what users, tokens and group pools have spent and reserved, by day.

An interception's start reserves what it may cost at the worst, unless a spend limit doesn't allow
for it; its end charges what it has cost, and releases what was reserved. Both happen in the very
transaction that writes the start or the end, so whatever becomes of a daemon, the counters tell
what the rows do. An end is charged by its difference from what the row says, and so it may be
written again.

What subjects have used is remembered from one transaction to the next, as long as nobody else has
committed anything: that is for SQLite, where hardly anybody does.

All counts for the day (in UTC) on which the interception started. Requests with a caller's own key
count for nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import repeat
from typing import Any, Protocol

from aibridged.core.auth import CredentialKind
from aibridged.core.budgets import admits, user_subject
from aibridged.records.facts import BackgroundRecord, InterceptionEnd, InterceptionStart
from aibridged.records.jobs import Admission, BudgetExceededError
from aibridged.records.rows import is_charged
from aibridged.records.statements import Statement, Statements
from aibridged.records.used_amounts import UsedAmounts
from aibridged.wire.facts import RUNNING

_BYOK = CredentialKind.BYOK
_MAX_OPEN = 20_000
_MAX_USED = 20_000

LOCK_LEDGER = """
SELECT pg_advisory_xact_lock(1768055396, place) FROM (
    SELECT DISTINCT hashtext(subject) & 1023 AS place FROM (
        SELECT unnest(%s::text[]) AS subject
        UNION ALL
        SELECT 'user:' || initiator_id FROM aibridge_interceptions WHERE id = ANY(%s::uuid[])
        UNION ALL
        SELECT unnest(string_to_array(charged_to, ' ')) FROM aibridge_interceptions
        WHERE id = ANY(%s::uuid[])
    ) AS subjects ORDER BY place
) AS places
"""
"""PostgreSQL's: locks the counters of subjects and of interceptions', in an order that all share.

There are so many locks that few subjects share one, and few enough for any number of subjects.
"""

LOCK_SUBJECTS = """
SELECT pg_advisory_xact_lock(1768055396, place) FROM (
    SELECT DISTINCT hashtext(subject) & 1023 AS place
    FROM unnest(%s::text[]) AS subject ORDER BY place
) AS places
"""
"""The same for subjects alone, without a look into the interceptions' partitions."""


class Connection(Protocol):
    """What the ledger needs of a `store.Backend`."""

    shares_ledger: bool
    """Whether other daemons may use the counters at the same time."""

    def was_changed(self) -> bool:
        """Whether anybody else may have committed since this was asked; in a transaction."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]: ...

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...

    def day(self, stored: Any) -> date:
        """The day in UTC of a stored time."""
        ...

    def lock_ledger(self, subjects: Sequence[str], interceptions: Sequence[str]) -> None:
        """Keep other daemons from the counters of these, until the transaction ends."""
        ...


class _Charge:
    """What the row of an interception says that it is charged with."""

    __slots__ = ("cost", "counts", "day", "is_running", "reserved", "subjects")

    def __init__(
        self,
        initiator: str,
        charged_to: Sequence[str],
        day: date,
        kind: str,
        cost: int | None = None,
        reserved: int | None = None,
        status: str | None = None,
    ) -> None:
        self.subjects = (user_subject(initiator), *charged_to)
        self.day = day
        self.counts = kind != _BYOK
        self.cost = cost or 0
        self.reserved = reserved or 0
        self.is_running = status is None or status in RUNNING


class Ledger:
    """The ledger, over the connection of one writer. It remembers the rows that are open.

    In each transaction its methods are called in their order, and after it `forget` or `keep`. One
    that neither charges nor reserves only needs `started`.
    """

    def __init__(self, connection: Connection, sql: Statements) -> None:
        self._connection = connection
        self._sql = sql
        self._open: dict[str, InterceptionStart] = {}
        self._begun: Sequence[InterceptionStart] = ()
        self._added: dict[tuple[str, date], list[int]] = {}
        self._used = UsedAmounts()

    def begin(
        self,
        starts: Sequence[InterceptionStart],
        ends: Sequence[InterceptionEnd],
        background: Sequence[BackgroundRecord],
    ) -> None:
        """Lock all that the transaction is going to read and to change."""
        self._added = {}
        self._begun = ()
        used = self._used
        if used and (self._connection.was_changed() or len(used) > _MAX_USED):
            used.clear()
        if not self._connection.shares_ledger:
            return
        subjects = {each for start in starts for each in _subjects(start)}
        ids = [*_ids(ends), *_ids(background)]
        if ids or any(start.reservation is not None for start in starts):
            for id in ids:
                if (start := self._open.get(id)) is not None:
                    subjects.update(_subjects(start))
            unknown = [id for id in ids if id not in self._open]
            self._connection.lock_ledger([*subjects], unknown)

    def settle(
        self, ends: Sequence[InterceptionEnd], background: Sequence[BackgroundRecord] = ()
    ) -> None:
        """Charge what has ended; to be called before the rows are updated, once for each."""
        last = [each for each in background if is_charged(each)]
        if not last:
            ends = self._settle_open(ends)
        if not ends and not last:
            return
        charges = self._charges([*_ids(ends), *_ids(last)])
        for end in ends:
            if (charge := charges.get(end.interception_id)) is not None:
                self._charge(charge, end.cost_nanos)
        for told in last:
            charge = charges.get(told.interception_id)
            if charge is not None and charge.is_running:
                charge.is_running = False
                self._charge(charge, told.cost_nanos)

    def admit(
        self, starts: Sequence[InterceptionStart], *, is_first: bool = False
    ) -> Mapping[str, Admission]:
        """Reserve for each start that has a reservation, in their order, if its checks allow.

        Where it `is_first`, none of them was written before.
        """
        asking = [start for start in starts if start.reservation is not None]
        if not asking:
            return {}
        # A batch whose commit was not confirmed may be written again.
        present = () if is_first else dict(self._read_charges([start.id for start in asking]))
        admissions: dict[str, Admission] = {}
        for start in asking:
            reservation = start.reservation
            assert reservation is not None, "it asks for one"
            amount, checks = reservation.amount, reservation.checks
            try:
                used = self._used.of(checks)
            except KeyError:
                self._read_used(asking)
                used = self._used.of(checks)
            admissions[start.id] = used
            if start.id in present:
                continue
            if not all(map(admits, [check.cap for check in checks], used, repeat(amount))):
                admissions[start.id] = BudgetExceededError(used)
            elif amount:
                day = start.started_at.date()
                for subject in _subjects(start):
                    self._add(subject, day, 0, amount)
        return admissions

    def started(self, starts: Sequence[InterceptionStart]) -> None:
        """Remember the rows that have been inserted."""
        self._begun = starts

    def release(self, interceptions: Sequence[str]) -> None:
        """Release what is reserved for these; what they have cost stays."""
        self.begin((), (), ())
        self._connection.lock_ledger((), interceptions)
        for charge in self._charges(interceptions).values():
            self._charge(charge, charge.cost)
        self.write()

    def write(self) -> None:
        """Write the counters."""
        if rows := [
            (subject, day.isoformat(), *added)
            for (subject, day), added in self._added.items()
            if any(added)
        ]:
            self._connection.execute_many(self._sql.count_spend.sql, rows)

    def keep(self) -> None:
        """The transaction is committed."""
        for start in self._begun if len(self._open) < _MAX_OPEN else ():
            self._open[start.id] = start
        self._begun = ()

    def roll_back(self) -> None:
        """The transaction is rolled back: it may have charged or reserved something."""
        self._used.clear()

    def forget(self) -> None:
        """Forget everything: another daemon may have written meanwhile."""
        self._open.clear()
        self._used.clear()

    def _charge(self, charge: _Charge, cost: int | None) -> None:
        spent, released = (cost or 0) - charge.cost, charge.reserved
        charge.cost, charge.reserved = cost or 0, 0
        if not charge.counts:
            spent = 0
        if spent or released:
            for subject in charge.subjects:
                self._add(subject, charge.day, spent, -released)

    def _add(self, subject: str, day: date, spent: int, reserved: int) -> None:
        added = self._added.setdefault((subject, day), [0, 0])
        added[0] += spent
        added[1] += reserved
        self._used.add(subject, day, spent + reserved)

    def _settle_open(self, ends: Sequence[InterceptionEnd]) -> Sequence[InterceptionEnd]:
        """Charge those of open rows, as nearly all are; returns the others.

        All are others where one of them comes twice: the second is charged by its difference.
        """
        if len({end.interception_id for end in ends}) < len(ends):
            return ends
        others = []
        added: dict[tuple[str, date, Sequence[str]], list[int]] = {}
        for end in ends:
            start = self._open.pop(end.interception_id, None)
            if start is None:
                others.append(end)
                continue
            cost = end.cost_nanos if start.credential_kind != _BYOK else None
            reserved, charged_to = 0, tuple[str, ...]()
            if (reservation := start.reservation) is not None:
                reserved, charged_to = reservation.amount, reservation.charged_to
            if cost or reserved:
                sums = added.setdefault(
                    (start.initiator_id, start.started_at.date(), charged_to), [0, 0]
                )
                sums[0] += cost or 0
                sums[1] -= reserved
        for (initiator, at, others_charged), (spent, reserved) in added.items():
            for subject in (user_subject(initiator), *others_charged):
                self._add(subject, at, spent, reserved)
        return others

    def _charges(self, interceptions: Sequence[str]) -> dict[str, _Charge]:
        """What interceptions are charged with; those that aren't known to be open are read.

        Whatever becomes of the transaction, an open one is read the next time.
        """
        found: dict[str, _Charge] = {}
        unknown = []
        for id in interceptions:
            if (start := self._open.pop(id, None)) is not None:
                found[id] = _charge_of(start)
            elif id not in found:
                unknown.append(id)
        if unknown:
            found.update(self._read_charges(unknown))
        return found

    def _read_charges(self, interceptions: Sequence[str]) -> Iterator[tuple[str, _Charge]]:
        day = self._connection.day
        for id, initiator, charged_to, started_at, *rest in self._run(
            self._sql.charges, ids=self._sql.list_of(interceptions)
        ):
            others = (charged_to or "").split()
            yield str(id), _Charge(initiator, others, day(started_at), *rest)

    def _read_used(self, starts: Sequence[InterceptionStart]) -> None:
        """Look up what the checks of these need, and isn't remembered."""
        missing = self._used.missing(
            check
            for start in starts
            if start.reservation is not None
            for check in start.reservation.checks
        )
        found = UsedAmounts()
        for key, amount in self._run(self._sql.used, checks=self._sql.list_of([*missing])):
            found.put(missing[key], int(amount or 0))
        for (subject, day), added in self._added.items():
            found.add(subject, day, sum(added))
        self._used.update(found)

    def _run(self, statement: Statement, **values: Any) -> list[Any]:
        return self._connection.execute(statement.sql, statement.row(**values))


def _ids(facts: Sequence[InterceptionEnd] | Sequence[BackgroundRecord]) -> Iterator[str]:
    return (fact.interception_id for fact in facts)


def _charge_of(start: InterceptionStart) -> _Charge:
    """That of a row that is open."""
    reservation = start.reservation
    return _Charge(
        start.initiator_id,
        () if reservation is None else reservation.charged_to,
        start.started_at.date(),
        start.credential_kind,
        None,
        None if reservation is None else reservation.amount,
    )


def _subjects(start: InterceptionStart) -> Sequence[str]:
    reservation = start.reservation
    others = reservation.charged_to if reservation is not None else ()
    return user_subject(start.initiator_id), *others
