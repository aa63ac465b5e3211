"""Usage over time adds up, whatever it is split by, and what is usual is the median of days."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records.facts import InterceptionEnd, Outcome, TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.usage_over_time import (
    SERIES,
    find_series,
    find_unpriced,
    find_usual,
)
from aibridged.records.usage_summaries import INTERVAL_S, Summaries
from aibridged.records.viewer import NO_TEXTS
from tests.conftest import WALL_START

DAY = 86_400
EXACT = "exact"
ANN = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture
def reading(database, clock):
    return Query(database.engine, clock, NO_TEXTS).reading


@pytest.fixture
def summarise(database, clock):
    summaries = Summaries(database.engine, clock)

    def summarise():
        while summaries.go_on() < INTERVAL_S:
            pass

    return summarise


@pytest.fixture
def fail(store, clock, new_start):
    def fail(**fields):
        start = new_start(started_at=clock.wall(), **fields)
        end = InterceptionEnd(
            interception_id=start.id,
            ended_at=clock.wall(),
            outcome=Outcome.FAILED,
            status_code=500,
        )
        store.write([start], [])
        store.write([], [end])

    return fail


def series(reading, by=UsageBy.MODEL, step=UsageBy.DAY, **wanted):
    with reading() as connection:
        split, everything = find_series(connection, step, by, Filter(**wanted))
    return {
        each.name: [
            (time[8:], counts["interceptions"], counts["cost_nanos"])
            for time, counts in sorted(each.at.items())
        ]
        for each in (*split, everything._replace(name="all"))
    }


def test_the_cheap_ones_share_a_series(reading, add, clock):
    for number in range(SERIES + 3):
        add(model=f"m{number}", cost=(number + 1, EXACT))
    clock.advance(DAY)
    add(model="m0", cost=(1, EXACT))
    add(model="m10", cost=(1, EXACT))
    found = series(reading)
    names = [f"m{number}" for number in range(SERIES + 2, 2, -1)]
    assert [*found] == [*names, None, "all"]
    assert found["m10"] == [("01", 1, 11), ("02", 1, 1)]
    assert found[None] == [("01", 3, 6), ("02", 1, 1)]
    assert found["all"] == [("01", 11, 66), ("02", 2, 2)]


def test_everything_counts_an_interception_once(reading, add, store, clock, summarise):
    """Though it used two models, or its user is in two groups."""
    id = add(model="a", cost=(5, EXACT))
    store.write(
        [],
        [
            TokenUsageRecord(
                id=uuid7(clock.wall(), 1),
                interception_id=id,
                created_at=clock.wall(),
                provider_model="b",
                cost_nanos=3,
                cost_label=EXACT,
            )
        ],
    )
    expected = {"a": [("01", 1, 5)], "b": [("01", 1, 3)], "all": [("01", 1, 8)]}
    assert series(reading) == expected
    clock.advance(2 * 3600)
    summarise()
    assert series(reading) == expected
    assert series(reading, UsageBy.GROUP) == {"(none)": [("01", 1, 8)], "all": [("01", 1, 8)]}
    assert series(reading, model="b") == {"b": [("01", 1, 3)], "all": [("01", 1, 3)]}


def test_hours_and_failures_are_the_same_summed_up(reading, add, fail, clock, summarise):
    add(username="ann", cost=(5, EXACT))
    fail(username="ann", model="other")
    clock.advance(3600)
    fail(username="bob")

    def failed():
        with reading() as connection:
            split, everything = find_series(connection, UsageBy.HOUR, UsageBy.USER, Filter())
        return {
            each.name: {time[11:13]: counts["failed"] for time, counts in each.at.items()}
            for each in (*split, everything)
        }

    expected = {"ann": {"00": 1}, "bob": {"01": 1}, None: {"00": 1, "01": 1}}
    assert failed() == expected
    clock.advance(2 * 3600)
    summarise()
    assert failed() == expected


def test_nothing_is_no_series(reading):
    assert series(reading) == {"all": []}
    with reading() as connection:
        assert find_usual(connection, Filter(), WALL_START, None) is None


@pytest.mark.parametrize(("days", "same_weekday"), [(3, False), (27, False), (28, True)])
def test_what_is_usual(reading, add, clock, days, same_weekday):
    """A day costs as much as it is in the row, by noon; the hour after counts by half."""
    first = clock.wall()
    for number in range(days):
        clock.advance(3600)
        add(initiator_id=ANN, input=0, output=0, read=0, cost=(number, EXACT))
        clock.advance(11 * 3600)
        add(initiator_id=ANN, input=3, output=0, read=1, cost=(2, EXACT))
        clock.advance(3600)
        add(cost=(1000, EXACT))
        clock.advance(11 * 3600)
    now = clock.wall() + timedelta(hours=12, minutes=30)
    with reading() as connection:
        found = find_usual(connection, Filter(owner=ANN), now, first)
    counted = [0, 7, 14, 21] if same_weekday else [*range(days)][-14:]
    middle = (counted[len(counted) // 2] + counted[(len(counted) - 1) // 2]) / 2
    assert (found.days, found.same_weekday) == (len(counted), same_weekday)
    assert found.cost_nanos == middle + 1
    assert (found.interceptions, found.tokens, found.failed) == (1.5, 2, 0)
    assert found.cached_share == 0.25


def test_two_days_are_too_few_for_what_is_usual(reading, add, clock):
    add()
    now = datetime(2026, 1, 3, 12, tzinfo=UTC)
    with reading() as connection:
        assert find_usual(connection, Filter(), now, WALL_START) is None


def test_models_without_a_price(reading, add, clock, summarise):
    add(model="dear", cost=(5, EXACT))
    add(model="new", cost=(None, "unpriced"))
    for _ in range(2):
        add(model="newer", provider_name="other", cost=(None, "unpriced"))

    def unpriced(**wanted):
        with reading() as connection:
            return [tuple(each) for each in find_unpriced(connection, Filter(**wanted))]

    expected = [("other", "newer", 2), ("anthropic", "new", 1)]
    assert unpriced() == expected
    clock.advance(2 * 3600)
    summarise()
    assert unpriced() == expected
    assert unpriced(model="new") == expected[1:]
    assert unpriced(owner=ANN) == []
