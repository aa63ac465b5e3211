"""Reads from the ledger what has been spent and reserved, for those who ask how they stand."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import add

import sqlalchemy as sa

from aibridged.core.budgets import Check
from aibridged.core.fair_queue import QueueFullError
from aibridged.records.lookups import LookupFailedError, Lookups
from aibridged.records.schema import spend

DEADLINE_S = 5.0


class Spending:
    """The ledger's counters, and what this process knows beyond them. For the event loop."""

    def __init__(self, engine: sa.Engine, *, deadline: float = DEADLINE_S) -> None:
        self._engine = engine
        self._deadline = deadline
        self._lookups = Lookups(deadline)
        self._uncharged: Counter[str] = Counter()

    def add_uncharged(self, subjects: Iterable[str], nanos: int) -> None:
        """Count what turns of a running request have cost beside what is reserved for it.

        It is charged at the end of the request; then the same is to be taken back.
        """
        for subject in subjects:
            self._uncharged[subject] += nanos
            if not self._uncharged[subject]:
                del self._uncharged[subject]

    def uncharged(self, checks: Sequence[Check]) -> Sequence[int]:
        """What isn't charged yet, for each check; nothing where that is nothing for all."""
        if not self._uncharged:  # as nearly always
            return ()
        found = [self._uncharged[check.subject] for check in checks]
        return found if any(found) else ()

    async def used(self, caller: str, checks: Sequence[Check]) -> tuple[int, ...]:
        """The nano-dollars spent and reserved since the day of each check, by its subject.

        They include what isn't charged yet of requests that run in this process.

        `caller` is who asks: callers take turns.

        Raises:
            LookupFailedError: that isn't known.
        """
        try:
            async with asyncio.timeout(self._deadline):
                found = await self._lookups.run(caller, lambda: self._read(checks))
        except (TimeoutError, QueueFullError):
            raise LookupFailedError from None
        except Exception as error:  # noqa: BLE001 - a driver's, the system's or SQLAlchemy's
            raise LookupFailedError(type(error).__name__) from None
        return with_uncharged(found, self.uncharged(checks))

    def _read(self, checks: Sequence[Check]) -> tuple[int, ...]:
        statement = sa.select(
            spend.c.subject, spend.c.day, spend.c.spent_nanos + spend.c.reserved_nanos
        ).where(
            spend.c.subject.in_({check.subject for check in checks}),
            spend.c.day >= min(check.since for check in checks),
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return tuple(
            sum(used for subject, day, used in rows if subject == of.subject and day >= of.since)
            for of in checks
        )


def with_uncharged(used: tuple[int, ...], uncharged: Sequence[int]) -> tuple[int, ...]:
    """What is used of each cap with what isn't charged yet; see `Spending.uncharged`."""
    return tuple(map(add, used, uncharged)) if uncharged else used
