"""JSON shapes of spend limits: those of Anthropic's Admin API, with two scopes more.

Amounts are cents as text, whole ones of limits; those of `group_pool` and `token` are extensions.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from aibridged.api.budget_standings import Own
from aibridged.core.budgets import CENT, Period, Scope
from aibridged.identity.audit import AuditEntry
from aibridged.identity.spend_limits import StoredLimit, key_of
from aibridged.identity.spend_scopes import ScopeKey

ID_FIELDS = {
    Scope.GROUP: "rbac_group_id",
    Scope.POOL: "group_id",
    Scope.USER: "user_id",
    Scope.TOKEN: "token_id",
}
"""The field of a scope that holds the id; the organisation's has none."""
USD: Literal["USD"] = "USD"


class ScopeShape(msgspec.Struct, omit_defaults=True):
    """Whom a limit is for."""

    type: Scope
    rbac_group_id: str | None = None
    group_id: str | None = None
    user_id: str | None = None
    token_id: str | None = None


class Wanted(msgspec.Struct):
    """The body of a POST; `amount` null is unlimited, and "0" blocks."""

    scope: ScopeShape
    amount: str | None
    period: Period


class SpendLimit(msgspec.Struct, tag="spend_limit"):
    """A limit."""

    id: str
    created_at: datetime
    updated_at: datetime
    scope: ScopeShape
    amount: str | None
    period: Period
    currency: str = USD


class SpendLimits(msgspec.Struct):
    """A page of limits, the latest made first."""

    data: Sequence[SpendLimit]
    has_more: bool
    first_id: str | None
    last_id: str | None


class SpendLimitDeleted(msgspec.Struct, tag="spend_limit_deleted"):
    """The answer to a deletion."""

    id: str


class Source(msgspec.Struct, omit_defaults=True):
    """Which scope's limit counts."""

    type: Scope
    rbac_group_id: str | None = None


class Group(msgspec.Struct):
    """A group that a user is in."""

    rbac_group_id: str
    name: str


class UserActor(msgspec.Struct, tag="user_actor"):
    """A person. Who is of another identity backend has no name here."""

    user_id: str
    name: str | None
    email_address: str | None
    deleted: bool


class EffectiveLimit(msgspec.Struct):
    """What counts for a person in a period, and what they have spent in it."""

    scope: ScopeShape
    groups: Sequence[Group]
    actor: UserActor
    amount: str | None
    period: Period
    source: Source | None
    spend_limit_id: str | None
    period_to_date_spend: str
    currency: str = USD


class EffectiveLimits(msgspec.Struct):
    """A page of them; `next_page` is the cursor of the next one."""

    data: Sequence[EffectiveLimit]
    next_page: str | None


class LimitState(msgspec.Struct):
    """A limit before or after a change."""

    scope: ScopeShape
    amount: str | None
    period: Period
    currency: str = USD


class AuditActor(msgspec.Struct):
    """Who changed it: a username, or an account of the operating system."""

    name: str


class AuditEvent(msgspec.Struct, tag="audit_event"):
    """A change of a limit."""

    id: str
    created_at: datetime
    actor: AuditActor
    action: str
    target_id: str
    before: LimitState | None
    after: LimitState | None
    reason: str | None = None


class AuditEvents(msgspec.Struct):
    """A page of them, newest first."""

    data: Sequence[AuditEvent]
    has_more: bool
    first_id: str | None
    last_id: str | None


def scope(key: ScopeKey) -> ScopeShape:
    """The shape of a scope."""
    field = ID_FIELDS.get(key.scope)
    return ScopeShape(key.scope) if field is None else ScopeShape(key.scope, **{field: key.id})


def spend_limit(limit: StoredLimit) -> SpendLimit:
    """The shape of a limit."""
    return SpendLimit(
        id=limit.id,
        created_at=limit.created_at,
        updated_at=limit.updated_at,
        scope=scope(limit.key),
        amount=_amount(limit.cents),
        period=limit.period,
    )


def effective(own: Own) -> EffectiveLimit:
    """The shape of a person's standing in a period."""
    person, limit = own.person, own.limit
    source = None
    if limit is not None:
        group = limit.scope_id if limit.scope is Scope.GROUP else None
        source = Source(limit.scope, group)
    return EffectiveLimit(
        scope=ScopeShape(Scope.USER, user_id=person.id),
        groups=[Group(group.id, group.name) for group in person.groups],
        actor=UserActor(
            person.id, person.name or person.username or None, person.email, person.is_deleted
        ),
        amount=None if limit is None else _amount(limit.cents),
        period=own.period,
        source=source,
        spend_limit_id=None if limit is None else limit.id,
        period_to_date_spend=cents(own.spent.spent_nanos),
    )


def audit_event(entry: AuditEntry) -> AuditEvent:
    """The shape of a row of the audit log."""
    return AuditEvent(
        id=str(entry.id),
        created_at=entry.at,
        actor=AuditActor(entry.actor),
        action=entry.action,
        target_id=entry.target,
        before=_state(entry.before),
        after=_state(entry.after),
    )


def cents(nanos: int) -> str:
    """Nano-dollars as exact cents: `1234.5`."""
    whole, rest = divmod(nanos, CENT)
    return f"{whole}.{rest:07}".rstrip("0").rstrip(".")


def _amount(cents: int | None) -> str | None:
    return None if cents is None else str(cents)


def _state(state: dict[str, Any] | None) -> LimitState | None:
    if not state:
        return None
    amount = state["cents"]
    return LimitState(
        scope(key_of(state)),
        str(amount) if isinstance(amount, int) else None,
        Period(state["period"]),
    )
