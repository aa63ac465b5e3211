"""How people and their limits stand: what the HTTP API and `aibridged budgets` read alike.

All of it blocks. What is used of a period is what was spent in it and what running requests have
reserved; a person's own limits count what they spend in all, a pool's or token's what is spent
of it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from aibridged.core.budgets import CENT, Period, Scope, SpendLimits, subject_of, user_subject
from aibridged.identity.spend_limits import StoredLimit, stored_limits
from aibridged.identity.spend_scopes import scope_names
from aibridged.identity.spenders import Spender, everybody, spenders, tokens_of
from aibridged.records.database import Connection
from aibridged.records.spend import NOTHING, Spent, spent_by_users, spent_since

Spending = Mapping[tuple[str, date], Spent]


class Own(NamedTuple):
    """A person's own standing in a period; `limit` is the one that counts, None if none does."""

    person: Spender
    period: Period
    limit: StoredLimit | None
    spent: Spent


class LimitStanding(NamedTuple):
    """A limit, and what is used of it.

    `name` is that of its group, user or token. Where it is each member's own, `people` is for how
    many it counts, and what is used is by the one of them who has used most, `fullest`.
    """

    limit: StoredLimit
    name: str | None
    spent: Spent
    resets_at: datetime
    people: int | None = None
    fullest: str | None = None


class Budget(NamedTuple):
    """What counts for a person: their own limit of a period, or a pool's or token's beside it.

    `overrides` are those that would count instead; `limit` is None where there is none at all.
    """

    period: Period
    limit: StoredLimit | None
    name: str | None
    spent: Spent
    resets_at: datetime
    overrides: tuple[StoredLimit, ...] = ()


def share(limit: StoredLimit | None, spent: Spent) -> float | None:
    """The part of a limit that is used; None where it is unlimited."""
    if limit is None or limit.cents is None:
        return None
    return spent.used_nanos / (limit.cents * CENT) if limit.cents else 1.0


class Limits:
    """All limits, by whom they are for."""

    def __init__(self, limits: Sequence[StoredLimit]) -> None:
        self.all = limits
        self._of: defaultdict[tuple[Scope, str], list[StoredLimit]] = defaultdict(list)
        self._of_members: dict[tuple[str, ...], Mapping[Period, StoredLimit]] = {}
        for each in limits:
            self._of[each.key].append(each)

    def of(self, scope: Scope, id: str = "") -> Sequence[StoredLimit]:
        return self._of.get((scope, id), ())

    def candidates(self, person: Spender) -> list[StoredLimit]:
        """Those of which one a period is a person's own, first theirs, then their groups'."""
        of_groups = (each for group in person.groups for each in self.of(Scope.GROUP, group.id))
        return [*self.of(Scope.USER, person.id), *of_groups, *self.of(Scope.ORGANIZATION)]

    def own(self, person: Spender) -> Mapping[Period, StoredLimit]:
        """A person's own limits, as requests are checked against them."""
        if self.of(Scope.USER, person.id):
            return self._own(person)
        # The same for everybody in the same groups, who may be thousands.
        groups = tuple(group.id for group in person.groups)
        if groups not in self._of_members:
            self._of_members[groups] = self._own(person)
        return self._of_members[groups]

    def _own(self, person: Spender) -> Mapping[Period, StoredLimit]:
        among = {each.id: each for each in self.candidates(person)}
        names = tuple(group.name for group in person.groups)
        found = SpendLimits([*among.values()]).own(person.id, names)
        return {each.period: among[each.id] for each in found}


def effective(
    connection: Connection, at: datetime, people: Sequence[Spender], periods: Collection[Period]
) -> list[Own]:
    """The own standing of these people, a row for each period."""
    limits, starts = Limits(stored_limits(connection)), {each: each.start(at) for each in periods}
    spending = spent_by_users(connection, set(starts.values()))
    return [*_own(limits, spending, people, starts)]


def with_spending(connection: Connection, at: datetime) -> list[Spender]:
    """All users, and further people who have spent in one of the present periods."""
    present = everybody(connection)
    known = {user_subject(each.id) for each in present}
    spending = spent_by_users(connection, {each.start(at) for each in Period})
    prefix = user_subject("")
    further = {subject.removeprefix(prefix) for subject, _ in spending if subject not in known}
    return present + sorted(spenders(connection, further))


def overview(connection: Connection, at: datetime) -> list[LimitStanding]:
    """Every limit with what is used of it, in the order of scopes, names and periods."""
    limits = Limits(stored_limits(connection))
    if not limits.all:
        return []
    periods = {each.period for each in limits.all}
    starts = {each: each.start(at) for each in Period if each in periods}
    days = set(starts.values())
    shared = {subject for each in limits.all if (subject := subject_of(each)) is not None}
    spending = {**spent_by_users(connection, days), **spent_since(connection, shared, days)}
    counting: defaultdict[str, list[Own]] = defaultdict(list)
    for own in _own(limits, spending, with_spending(connection, at), starts):
        if own.limit is not None:
            counting[own.limit.id].append(own)
    names = scope_names(connection, [each.key for each in limits.all])
    found = []
    for limit in limits.all:
        name, resets_at = names.get(limit.key), limit.period.reset(at)
        if limit.scope in (Scope.ORGANIZATION, Scope.GROUP):
            whose = counting[limit.id]
            spending_people = [own for own in whose if own.spent.used_nanos > 0]
            fullest = max(spending_people, key=lambda own: own.spent.used_nanos, default=None)
            spent = NOTHING if fullest is None else fullest.spent
            who = None if fullest is None else fullest.person.username or fullest.person.id
            found.append(LimitStanding(limit, name, spent, resets_at, len(whose), who))
        else:
            subject = subject_of(limit) or user_subject(limit.scope_id)
            spent = spending.get((subject, starts[limit.period]), NOTHING)
            found.append(LimitStanding(limit, name, spent, resets_at))
    order = [*Scope], [*Period]
    return sorted(
        found,
        key=lambda each: (
            order[0].index(each.limit.scope),
            each.name or each.limit.scope_id,
            order[1].index(each.limit.period),
        ),
    )


def budgets_of(connection: Connection, at: datetime, person: Spender) -> list[Budget]:
    """What counts for a person: their own of each period, then their groups' pools and tokens."""
    limits, starts = Limits(stored_limits(connection)), {each: each.start(at) for each in Period}
    tokens = tokens_of(connection, person.id)
    beside = [
        (each, name)
        for scope, named in (
            (Scope.POOL, {group.id: group.name for group in person.groups}),
            (Scope.TOKEN, tokens),
        )
        for id, name in named.items()
        for each in limits.of(scope, id)
    ]
    subjects = {user_subject(person.id), *(subject_of(each) or "" for each, _ in beside)}
    spending = spent_since(connection, subjects, set(starts.values()))
    names = {group.id: group.name for group in person.groups}
    found = []
    for own in _own(limits, spending, [person], starts):
        others = [each for each in limits.candidates(person) if each.period is own.period]
        rest = tuple(each for each in others if own.limit is not None and each.id != own.limit.id)
        name = person.username if own.limit is None else _name(own.limit, person, names)
        found.append(Budget(own.period, own.limit, name, own.spent, own.period.reset(at), rest))
    for each, name in beside:
        spent = spending.get((subject_of(each) or "", starts[each.period]), NOTHING)
        found.append(Budget(each.period, each, name, spent, each.period.reset(at)))
    return found


def _name(limit: StoredLimit, person: Spender, groups: Mapping[str, str]) -> str | None:
    return person.username if limit.scope is Scope.USER else groups.get(limit.scope_id)


def _own(
    limits: Limits,
    spending: Spending,
    people: Sequence[Spender],
    starts: Mapping[Period, date],
) -> Iterator[Own]:
    for person in people:
        own, subject = limits.own(person), user_subject(person.id)
        for period, start in starts.items():
            spent = spending.get((subject, start), NOTHING)
            yield Own(person, period, own.get(period), spent)
