"""What costs come to together, and how sure that is: in the database, and one by one."""

import pytest

from aibridged.records import cost_sums
from aibridged.records.query_results import Filter

EXACT, GUESS = (87_500_000, "exact"), (12_000_000_000, "estimated")
NO_PRICE, UNKNOWN = (None, "unpriced"), (None, None)

SUMS = [
    ([UNKNOWN], (None, None)),
    ([EXACT, EXACT], (175_000_000, "exact")),
    ([EXACT, UNKNOWN], EXACT),
    ([(0, "exact")], (0, "exact")),
    ([EXACT, GUESS, EXACT], (12_175_000_000, "estimated")),
    ([NO_PRICE], NO_PRICE),
    ([NO_PRICE, UNKNOWN], NO_PRICE),
    ([GUESS, NO_PRICE, EXACT], (12_087_500_000, "unpriced")),
]


@pytest.mark.parametrize(("costs", "sum"), SUMS)
def test_costs_are_summed_by_the_database(query, add, costs, sum):
    for cost in costs:
        add(client_session_id="s", cost=cost)
    (session,) = query.sessions(Filter())
    assert (session.cost, session.cost_label) == sum
    assert type(session.cost) is not float


@pytest.mark.parametrize(("costs", "sum"), SUMS)
def test_costs_are_summed_one_by_one(costs, sum):
    found = cost_sums.NOTHING
    for cost in costs:
        found = cost_sums.added(found, *cost)
    assert found == sum


def test_a_sum_of_threads_is_of_each(query, add):
    first = add(client_session_id="s", cost=EXACT, call="one")
    add(client_session_id="s", cost=GUESS, tool_result_ids=("one",))
    second = add(client_session_id="s", cost=NO_PRICE)
    add(client_session_id="other", cost=GUESS)
    session = next(each for each in query.sessions(Filter(session="s")))
    assert query.thread_costs(session) == {
        first: (12_087_500_000, "estimated"),
        second: (None, "unpriced"),
    }
