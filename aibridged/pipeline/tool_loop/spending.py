"""Spend limits between the turns of a request: only the first is sure to be within them."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from functools import partial

from aibridged.core.budgets import is_spent
from aibridged.pipeline.bridge import Interception
from aibridged.pipeline.context import RequestContext
from aibridged.records.lookups import LookupFailedError
from aibridged.records.spending import Spending

CHARGED_WITHIN_S = 2.0
"""How long after its end a request may be charged: what it has cost is known here until then."""


class TurnSpending:
    """What the turns of one request that have ended have cost, beside all that others have used.

    They are charged at the end of the request; until then `Spending` knows of them, and what was
    reserved for the first turn is for the one under way.
    """

    def __init__(
        self, context: RequestContext, spending: Spending, interception: Interception
    ) -> None:
        self._context = context
        self._spending = spending
        self._interception = interception
        self._subjects: Collection[str] = ()
        self._noted = 0

    async def is_over(self) -> bool:
        """Whether a spend limit is reached, so that the next turn has to be the last."""
        context, cost = self._context, self._interception.cost_so_far
        reservation = context.reservation
        if context.caps_used is None or reservation is None:
            return False
        self._subjects = {check.subject for check in reservation.checks}
        self._spending.add_uncharged(self._subjects, cost - self._noted)
        self._noted = cost
        caps, used = context.caps_used
        with suppress(LookupFailedError):  # what was used before the first turn is known
            now = await self._spending.used(context.actor.id, reservation.checks)
            used = tuple(each - reservation.amount - cost for each in now)
        return is_spent(caps, used, cost)

    def end(self) -> None:
        """The request has ended, and is going to be charged."""
        if self._noted:
            charged = partial(self._spending.add_uncharged, self._subjects, -self._noted)
            asyncio.get_running_loop().call_later(CHARGED_WITHIN_S, charged)
