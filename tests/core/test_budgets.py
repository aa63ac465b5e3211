"""Which spend limits apply, and to which period."""

import gc
from datetime import UTC, date, datetime
from time import thread_time

import pytest

from aibridged.core import budgets
from aibridged.core.budgets import (
    CENT,
    NO_CAPS,
    Cap,
    Limit,
    Period,
    Scope,
    SpendLimits,
    fullest,
    standings,
    surpassed,
)


def limit(scope, scope_id="", cents=100, period=Period.DAILY, group=None):
    return Limit(f"spl_{scope}_{scope_id}_{period}", scope, scope_id, period, cents, group)


def caps(limits, user="u1", groups=(), token=None):
    found = SpendLimits(limits).caps(user, groups, token)
    return [(cap.subject, str(cap.period), cap.nanos // CENT) for cap in found.caps]


@pytest.mark.parametrize(
    ("at", "period", "start", "reset"),
    [
        ("2026-11-30T23:59:59", Period.DAILY, "2026-11-30", "2026-12-01"),
        ("2026-12-01T00:00:00", Period.DAILY, "2026-12-01", "2026-12-02"),
        ("2026-11-29T23:59:59", Period.WEEKLY, "2026-11-23", "2026-11-30"),  # a Sunday
        ("2026-11-30T00:00:00", Period.WEEKLY, "2026-11-30", "2026-12-07"),
        ("2026-12-31T12:00:00", Period.MONTHLY, "2026-12-01", "2027-01-01"),
        ("2027-01-31T12:00:00", Period.MONTHLY, "2027-01-01", "2027-02-01"),
        ("2028-02-29T12:00:00", Period.MONTHLY, "2028-02-01", "2028-03-01"),
    ],
)
def test_a_period_begins_and_ends_at_midnight_utc(at, period, start, reset):
    at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert period.start(at) == date.fromisoformat(start)
    assert period.reset(at) == datetime.fromisoformat(reset).replace(tzinfo=UTC)


def test_the_users_own_overrides_the_least_of_the_groups_which_overrides_the_organisations():
    everyones = limit(Scope.ORGANIZATION, cents=500)
    assert caps([everyones]) == [("user:u1", "daily", 500)]
    of_groups = [
        limit(Scope.GROUP, "g1", 900, group="a"),
        limit(Scope.GROUP, "g2", 700, group="b"),
        limit(Scope.GROUP, "g3", 100, group="c"),
    ]
    assert caps([everyones, *of_groups], groups=("a", "b")) == [("user:u1", "daily", 700)]
    own = limit(Scope.USER, "u1", 1000)
    assert caps([everyones, *of_groups, own], groups=("a",)) == [("user:u1", "daily", 1000)]
    assert caps([everyones, own], user="u2") == [("user:u2", "daily", 500)]


def test_unlimited_overrides_and_is_more_than_any_amount():
    everyones = limit(Scope.ORGANIZATION, cents=500)
    free = limit(Scope.GROUP, "g1", None, group="a")
    assert caps([everyones, free], groups=("a",)) == []
    assert caps([everyones, free, limit(Scope.GROUP, "g2", 0, group="b")], groups=("a", "b")) == [
        ("user:u1", "daily", 0)
    ]
    assert caps([everyones, limit(Scope.USER, "u1", None)]) == []


def test_each_period_counts_by_itself():
    limits = [
        limit(Scope.ORGANIZATION, cents=500, period=Period.MONTHLY),
        limit(Scope.USER, "u1", 10, Period.DAILY),
        limit(Scope.GROUP, "g1", None, Period.MONTHLY, "a"),
    ]
    assert caps(limits) == [("user:u1", "daily", 10), ("user:u1", "monthly", 500)]
    assert caps(limits, groups=("a",)) == [("user:u1", "daily", 10)]


def test_pools_and_tokens_count_beside_and_are_charged_even_where_they_are_unlimited():
    limits = [
        limit(Scope.USER, "u1", 10),
        limit(Scope.POOL, "g1", 1000, Period.MONTHLY, "a"),
        limit(Scope.POOL, "g2", None, Period.MONTHLY, "b"),
        limit(Scope.POOL, "g3", 5, Period.MONTHLY, "c"),
        limit(Scope.TOKEN, "t1", 7),
        limit(Scope.TOKEN, "t1", 9, Period.WEEKLY),
    ]
    found = SpendLimits(limits).caps("u1", ("a", "b"), "t1")
    assert [(cap.subject, cap.nanos // CENT) for cap in found.caps] == [
        ("user:u1", 10),
        ("group_pool:g1", 1000),
        ("token:t1", 7),
        ("token:t1", 9),
    ]
    assert found.charged_to == ("group_pool:g1", "group_pool:g2", "token:t1")
    assert SpendLimits(limits).caps("u2", (), None) is NO_CAPS


def test_the_limit_of_a_group_that_is_deleted_is_nobodys():
    assert caps([limit(Scope.GROUP, "gone"), limit(Scope.POOL, "gone")], groups=("a",)) == []


def test_without_limits_nothing_is_looked_up():
    assert SpendLimits(()).caps("u1", ("a",), "t1") is NO_CAPS


def test_only_so_many_answers_are_kept(monkeypatch):
    monkeypatch.setattr(budgets, "MAX_REMEMBERED", 10)
    limits = SpendLimits([limit(Scope.ORGANIZATION)])
    for number in range(100):
        limits.caps(f"u{number}", (), None)
    assert len(limits._found) <= 10


def test_a_caller_is_found_among_many_limits_at_once():
    """Not by looking at each of them."""
    limits = SpendLimits([limit(Scope.USER, f"u{number}") for number in range(100_000)])
    began = thread_time()
    for number in range(100):
        limits.caps(f"u{number}", ("a", "b"), "t")
    assert thread_time() - began < 0.05


def test_the_fullest_cap_comes_first():
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    caps = [
        Cap(limit(Scope.USER, "u1", period=period), "user:u1", nanos)
        for period, nanos in zip(Period, (1000, 100, 0), strict=True)
    ]
    monthly, weekly, daily = standings(caps, (949, 95, 0), at)
    assert [each.percent for each in (monthly, weekly, daily)] == [100, 95, 94.9]
    assert [surpassed(each.percent) for each in (monthly, weekly, daily)] == [95, 95, 75]
    assert daily.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert daily.since == date(2026, 11, 30)
    (only,) = standings(caps[:1], (749,), at)
    assert surpassed(only.percent) is None


def test_the_fullest_is_the_first_of_all_standings():
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    caps = [
        Cap(limit(Scope.USER, "u1", period=period), "user:u1", 100)
        for period in (Period.MONTHLY, Period.DAILY, Period.WEEKLY)
    ]
    for used in ((1, 2, 3), (3, 2, 1), (2, 2, 1), (0, 0, 0)):
        assert fullest(caps, used, at) == standings(caps, used, at)[0]
    assert fullest(caps[:1], (7,), at).percent == 7


@pytest.mark.parametrize(
    ("cap", "used", "amount", "admitted"),
    [(10, 0, 10, True), (10, 0, 11, False), (10, 9, 0, True), (10, 10, 0, False), (0, 0, 0, False)],
)
def test_a_cap_allows_for_what_is_left_of_it(cap, used, amount, admitted):
    assert budgets.admits(cap, used, amount) is admitted


def test_many_limits_are_no_work_for_the_garbage_collector():
    """It would stop everything for tenths of a second, each time that 100,000 are read."""
    limit = Limit("spl_1", Scope.USER, "u", Period.DAILY, 5)
    assert not gc.is_tracked(limit)
    assert not gc.is_tracked(Cap(limit, "user:u", 5))
