"""Reads from the ledger what has been spent and reserved, for those who ask how they stand."""

import asyncio
from collections.abc import Sequence

import sqlalchemy as sa

from aibridged.core.budgets import Check
from aibridged.core.fair_queue import QueueFullError
from aibridged.records.lookups import LookupFailedError, Lookups
from aibridged.records.schema import spend

DEADLINE_S = 5.0


class Spending:
    """The ledger's counters. `used` is for the event loop."""

    def __init__(self, engine: sa.Engine, *, deadline: float = DEADLINE_S) -> None:
        self._engine = engine
        self._deadline = deadline
        self._lookups = Lookups(deadline)

    async def used(self, caller: str, checks: Sequence[Check]) -> tuple[int, ...]:
        """The nano-dollars spent and reserved since the day of each check, by its subject.

        `caller` is who asks: callers take turns.

        Raises:
            LookupFailedError: that isn't known.
        """
        try:
            async with asyncio.timeout(self._deadline):
                return await self._lookups.run(caller, lambda: self._read(checks))
        except (TimeoutError, QueueFullError):
            raise LookupFailedError from None
        except Exception as error:  # noqa: BLE001 - a driver's, the system's or SQLAlchemy's
            raise LookupFailedError(type(error).__name__) from None

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
