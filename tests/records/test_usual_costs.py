"""What sessions usually cost, on both databases."""

import pytest

from aibridged.core.prices import DOLLAR
from aibridged.records.query_results import Filter
from aibridged.records.usual_costs import AGAIN_S, DAYS, INTERVAL_S, UsualCosts

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def usual_costs(database, clock):
    return UsualCosts(database.engine, clock)


@pytest.fixture
def spend(add):
    """Adds sessions of these costs in dollars, each of two interceptions."""
    numbers = iter(range(1000))

    def spend(*costs, initiator=ANN):
        for cost in costs:
            name = f"s{next(numbers)}"
            for _ in range(2):
                amount = int(cost * DOLLAR / 2)
                add(initiator_id=initiator, client_session_id=name, cost=(amount, "exact"))
        return name

    return spend


def marks(query):
    return {
        each.session_id: each.usual_cost
        for each in query.sessions(Filter(limit=1000))
        if each.unusual
    }


def test_a_session_that_costs_more_than_95_percent_of_the_persons_is_unusual(
    query, spend, usual_costs
):
    spend(*range(1, 21))  # the 19th of 20
    spend(0.1, 100, initiator=BOB)
    assert marks(query) == {}
    assert usual_costs.go_on() == INTERVAL_S
    assert marks(query) == {"s19": 19 * DOLLAR}
    dear = spend(200, initiator=BOB)
    assert marks(query) == {"s19": 19 * DOLLAR, dear: 100 * DOLLAR}


def test_what_costs_little_is_never_unusual(query, spend, usual_costs):
    spend(*[0.01] * 20)
    usual_costs.go_on()
    spend(1)
    assert marks(query) == {}
    dear = spend(1.01)
    assert marks(query) == {dear: DOLLAR // 100}


def test_what_is_long_ago_is_no_measure(query, spend, usual_costs, clock):
    spend(50)
    usual_costs.go_on()
    clock.advance(DAYS * 86400 + 1)
    spend(2, initiator=BOB)
    usual_costs.go_on()
    assert [each.usual_cost for each in query.sessions(Filter())] == [2 * DOLLAR, None]


def test_a_database_that_is_away_is_tried_again(usual_costs, database):
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE aibridged_usual_costs RENAME TO away")
    assert usual_costs.go_on() == AGAIN_S
