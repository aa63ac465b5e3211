"""Spend limits as they are stored. Blocks."""

import sqlalchemy as sa

from aibridged.core.budgets import Limit, Period, Scope
from aibridged.identity.tables import groups, spend_limits, transaction

_LIMITS = (
    sa.select(
        spend_limits.c.id,
        spend_limits.c.scope_type,
        spend_limits.c.scope_id,
        spend_limits.c.period,
        spend_limits.c.amount_cents,
        groups.c.name,
    )
    .outerjoin(
        groups,
        sa.and_(
            spend_limits.c.scope_type.in_([Scope.GROUP, Scope.POOL]),
            groups.c.id == spend_limits.c.scope_id,
        ),
    )
    .order_by(spend_limits.c.id)
)


def read_limits(engine: sa.Engine) -> list[Limit]:
    """All limits; those of a group have its name, or None where the group is deleted.

    Raises:
        StoreUnavailableError: the database failed.
    """
    with transaction(engine) as connection:
        return [
            Limit(id, Scope(scope), scope_id, Period(period), cents, group)
            for id, scope, scope_id, period, cents, group in connection.execute(_LIMITS)
        ]
