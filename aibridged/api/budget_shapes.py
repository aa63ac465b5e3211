"""JSON schemas of spend limits with what is used of them."""

from datetime import datetime

import msgspec

from aibridged.api.budget_standings import Budget, LimitStanding, share
from aibridged.api.shapes import Count, Dollars, Moment
from aibridged.core.budgets import CENT, Period, Scope
from aibridged.core.money import dollars
from aibridged.identity.spend_limits import StoredLimit
from aibridged.records.spend import Spent


class BudgetStanding(msgspec.Struct, kw_only=True):
    """A limit, and what is used of it in the present period: what was spent and is reserved.

    Without a limit (`id` is null) it is what a person has used in the period. `amount` is null
    where it is unlimited. `name` is that of the group, user or token. A limit that each member has
    for themselves counts for so many `people`, and what is used is by the one of them who has used
    most, `fullest`. `changed_by` is null where it isn't known or the caller may not see it.
    """

    id: str | None
    scope: Scope | None
    scope_id: str
    name: str | None
    period: Period
    amount: Dollars | None
    used: Dollars
    spent: Dollars
    reserved: Dollars
    share: float | None
    resets_at: Moment
    people: Count | None
    fullest: str | None
    changed_at: Moment | None
    changed_by: str | None


class BudgetScope(msgspec.Struct, kw_only=True):
    """Whom a limit is for: the id of a group, user or token, empty for the organisation."""

    scope: Scope
    scope_id: str


class Budgets(msgspec.Struct, kw_only=True):
    """A page; `count` is the total over all pages, and `more` says whether there is a next page."""

    count: Count
    budgets: list[BudgetStanding]
    more: bool


def of_limit(found: LimitStanding) -> BudgetStanding:
    """A limit as administrators see it."""
    made = _standing(found.limit, found.limit.period, found.name, found.spent, found.resets_at)
    made.people, made.fullest = found.people, found.fullest
    return made


def of_person(found: Budget) -> BudgetStanding:
    """What counts for a person, as they see it."""
    return _standing(found.limit, found.period, found.name, found.spent, found.resets_at)


def _standing(
    limit: StoredLimit | None, period: Period, name: str | None, spent: Spent, resets_at: datetime
) -> BudgetStanding:
    cents = None if limit is None else limit.cents
    return BudgetStanding(
        id=None if limit is None else limit.id,
        scope=None if limit is None else limit.scope,
        scope_id="" if limit is None else limit.scope_id,
        name=name,
        period=period,
        amount=None if cents is None else dollars(cents * CENT),
        used=dollars(spent.used_nanos),
        spent=dollars(spent.spent_nanos),
        reserved=dollars(spent.reserved_nanos),
        share=share(limit, spent),
        resets_at=resets_at,
        people=None,
        fullest=None,
        changed_at=None if limit is None else limit.updated_at,
        changed_by=None,
    )
