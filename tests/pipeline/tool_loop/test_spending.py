"""What the turns of one request tell others, and hear of them; tests/e2e/tools has whole ones."""

from datetime import date
from types import SimpleNamespace

import pytest

from aibridged.core.budgets import Cap, Check, Limit, Period, Scope
from aibridged.pipeline.tool_loop import spending as module
from aibridged.pipeline.tool_loop.spending import TurnSpending
from aibridged.records.facts import Reservation
from aibridged.records.lookups import LookupFailedError
from aibridged.records.spending import Spending
from tests.waiting import until

CAP = Cap(Limit("spl_1", Scope.USER, "u", Period.DAILY, 1), "user:u", 100)
CHECKS = (Check("user:u", date(2026, 11, 29), 100),)


@pytest.fixture
def spending(sqlite_database):
    return Spending(sqlite_database.engine)


def turns(spending, cost, before=0):
    """Of a request for which 5 are reserved; so many were used before it."""
    context = SimpleNamespace(
        reservation=Reservation(amount=5, checks=CHECKS),
        caps_used=((CAP,), (before,)),
        actor=SimpleNamespace(id="u"),
    )
    return TurnSpending(context, spending, SimpleNamespace(cost_so_far=cost))


async def test_turns_count_until_their_request_is_charged(spending, monkeypatch):
    monkeypatch.setattr(module, "CHARGED_WITHIN_S", 0)
    one = turns(spending, 30)
    assert not await one.is_over()
    one._interception.cost_so_far = 70
    assert not await one.is_over()
    assert spending.uncharged(CHECKS) == [70]
    other = turns(spending, 40)
    assert await other.is_over()
    one.end()
    other.end()
    await until(lambda: not spending.uncharged(CHECKS))
    assert not await turns(spending, 40).is_over()


@pytest.mark.parametrize(("before", "is_over"), [(69, False), (70, True)])
async def test_without_an_answer_what_was_used_before_counts(
    spending, monkeypatch, before, is_over
):
    async def used(caller, checks):
        raise LookupFailedError

    monkeypatch.setattr(spending, "used", used)
    assert await turns(spending, 30, before).is_over() is is_over
