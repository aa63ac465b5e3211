"""Budgets: which spend limits apply to a request, and to which period they count.

Periods are in UTC: a day, a week from Monday, a month. A limit of the organisation or of a group is
each member's own; that of a group pool is shared by its members, and that of a token is beside its
user's.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter

import msgspec

from aibridged.core.prices import DOLLAR

CENT = DOLLAR // 100
"""Nano-dollars."""
THRESHOLDS = (75, 95)
"""Percents of a cap at which clients warn."""
MAX_REMEMBERED = 4096
"""Answers that are kept: persons with their groups and tokens."""


class Scope(StrEnum):
    """For whom a limit is, in the words of Anthropic's Admin API; pools and tokens are our own."""

    ORGANIZATION = "organization"
    GROUP = "rbac_group"
    POOL = "group_pool"
    USER = "user"
    TOKEN = "token"


class Period(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    def start(self, at: datetime) -> date:
        """The first day of the period that `at` (UTC) is in."""
        return _bounds(self, at.date())[0]

    def reset(self, at: datetime) -> datetime:
        """When the period that `at` (UTC) is in ends, and the next one begins."""
        return _bounds(self, at.date())[1]


@lru_cache(maxsize=64)
def _bounds(period: Period, day: date) -> tuple[date, datetime]:
    """The first day of the period that a day is in, and the beginning of the next one."""
    if period is Period.MONTHLY:
        first = day.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
    elif period is Period.WEEKLY:
        first = day - timedelta(days=day.weekday())
        following = first + timedelta(days=7)
    else:
        first, following = day, day + timedelta(days=1)
    return first, datetime.combine(following, time(), UTC)


class Limit(msgspec.Struct, frozen=True, gc=False):
    """A spend limit as it is stored.

    `scope_id` is the id of the user, token or group, empty for the organisation; `group` is the
    group's name. `cents` is None for unlimited; 0 blocks.
    """

    id: str
    scope: Scope
    scope_id: str
    period: Period
    cents: int | None
    group: str | None = None


class Cap(msgspec.Struct, frozen=True, gc=False):
    """A limit that applies to a request: what `subject` may spend in a period, in nano-dollars."""

    limit: Limit
    subject: str
    nanos: int

    @property
    def period(self) -> Period:
        return self.limit.period

    def percent(self, used: int) -> float:
        """How much of it so many nano-dollars are; 100 of a cap of nothing."""
        return used * 100 / self.nanos if self.nanos else 100.0

    def standing(self, used: int, at: datetime) -> "Standing":
        """How it stands at that time, when so many nano-dollars are used of it."""
        return Standing(self, used, *_bounds(self.limit.period, at.date()), self.percent(used))


class Check(msgspec.Struct, frozen=True, gc=False):
    """What `subject` may have spent and reserved since a day: `cap` nano-dollars."""

    subject: str
    since: date
    cap: int


class Caps:
    """The caps of a request, and the subjects that it is charged to beside its user."""

    __slots__ = ("_checks", "_day", "caps", "charged_to")

    def __init__(self, caps: tuple[Cap, ...] = (), charged_to: tuple[str, ...] = ()) -> None:
        self.caps = caps
        self.charged_to = charged_to
        self._day: date | None = None
        self._checks: tuple[Check, ...] = ()

    def checks(self, at: datetime) -> tuple[Check, ...]:
        """What each cap allows for in the period that `at` (UTC) is in."""
        if (day := at.date()) != self._day:
            self._checks = tuple(
                Check(each.subject, each.period.start(at), each.nanos) for each in self.caps
            )
            self._day = day
        return self._checks


NO_CAPS = Caps()


def user_subject(user_id: str) -> str:
    """The ledger's name of a user."""
    return f"user:{user_id}"


def subject_of(limit: Limit) -> str | None:
    """The ledger's name of the pool or token that a limit is for; None for each user's own."""
    if limit.scope in (Scope.POOL, Scope.TOKEN):
        return f"{limit.scope}:{limit.scope_id}"
    return None


class Standing(msgspec.Struct, frozen=True):
    """What is spent and reserved of a cap in the present period: from `since` until `resets_at`."""

    cap: Cap
    used: int
    since: date
    resets_at: datetime
    percent: float

    def blocks(self, amount: int) -> bool:
        """Whether a request that may cost so many nano-dollars is over the cap."""
        return not admits(self.cap.nanos, self.used, amount)


def surpassed(percent: float) -> int | None:
    """The highest of `THRESHOLDS` that is reached, in percent."""
    return max((each for each in THRESHOLDS if percent >= each), default=None)


def admits(cap: int, used: int, amount: int) -> bool:
    """Whether a cap allows for another amount, all in nano-dollars."""
    # What is free isn't allowed for either, once nothing is left.
    return used + (amount or 1) <= cap


def is_spent(caps: Iterable[Cap], used: Iterable[int], amount: int) -> bool:
    """Whether a cap is reached with another amount beside what is used of each, in nano-dollars."""
    return not all(
        admits(cap.nanos, before + amount, 0) for cap, before in zip(caps, used, strict=True)
    )


def standings(caps: Iterable[Cap], used: Iterable[int], at: datetime) -> list[Standing]:
    """How caps stand at that time, the fullest first."""
    found = [cap.standing(amount, at) for cap, amount in zip(caps, used, strict=True)]
    return sorted(found, key=attrgetter("percent"), reverse=True)


def fullest(caps: Sequence[Cap], used: Sequence[int], at: datetime) -> Standing:
    """The first of the `standings`."""
    if len(caps) == 1:
        return caps[0].standing(used[0], at)
    percents = list(map(Cap.percent, caps, used))
    first = percents.index(max(percents))
    return caps[first].standing(used[first], at)


class SpendLimits:
    """All limits. Its answers are kept, so another list needs another object."""

    def __init__(self, limits: Sequence[Limit] = ()) -> None:
        self.limits = tuple(limits)
        self._of: defaultdict[tuple[Scope, str | None], list[Limit]] = defaultdict(list)
        for each in limits:
            named = each.scope in (Scope.GROUP, Scope.POOL)
            self._of[each.scope, each.group if named else each.scope_id].append(each)
        self._of.default_factory = None
        self._found: dict[tuple[str, tuple[str, ...], str | None], Caps] = {}

    def caps(self, user_id: str, groups: tuple[str, ...], token_id: str | None) -> Caps:
        """What applies to a user in these groups with this token."""
        if not self.limits:
            return NO_CAPS
        key = user_id, groups, token_id
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            found = self._found[key] = self._caps(*key)
        return found

    def _caps(self, user_id: str, groups: tuple[str, ...], token_id: str | None) -> Caps:
        shared = [each for group in groups for each in self._for(Scope.POOL, group)]
        if token_id is not None:
            shared += self._for(Scope.TOKEN, token_id)
        caps = tuple(
            Cap(each, subject_of(each) or user_subject(user_id), each.cents * CENT)
            for each in (*self.own(user_id, groups), *shared)
            if each.cents is not None
        )
        # An unlimited one is counted, too: it may be given an amount.
        charged_to = tuple(dict.fromkeys(filter(None, map(subject_of, shared))))
        return Caps(caps, charged_to) if caps or charged_to else NO_CAPS

    def own(self, user_id: str, groups: tuple[str, ...]) -> Iterator[Limit]:
        """The user's own limit of each period, which overrides the groups', and so on."""
        candidates = (
            self._for(Scope.USER, user_id),
            [each for group in groups for each in self._for(Scope.GROUP, group)],
            self._for(Scope.ORGANIZATION, ""),
        )
        for period in Period:
            for limits in candidates:
                of_period = [each for each in limits if each.period is period]
                if of_period:
                    yield min(of_period, key=_amount)
                    break

    def _for(self, scope: Scope, whom: str) -> Sequence[Limit]:
        return self._of.get((scope, whom), ())


def _amount(limit: Limit) -> tuple[bool, int]:
    """For comparisons: unlimited is more than any amount."""
    return limit.cents is None, limit.cents or 0
