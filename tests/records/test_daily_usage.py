"""The record's figures by day and model, on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest

from aibridged.records import daily_usage
from aibridged.records.daily_usage import TooMuchUsageError, first_day, usage_by_day
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions, token_usages


@pytest.fixture
def change(database):
    """Sets columns of an interception, and of its usage."""

    def change(id, usage=None, **values):
        with database.engine.begin() as connection:
            if values:
                connection.execute(
                    interceptions.update().where(interceptions.c.id == id).values(**values)
                )
            if usage is not None:
                of = token_usages.c.interception_id == id
                connection.execute(token_usages.update().where(of).values(**usage))

    return change


def test_figures_by_day_provider_and_model(query, add, change, clock):
    clock.advance(86400 - clock.wall().timestamp() % 86400)
    day = clock.wall().date()
    exact = {"cost_nanos": 7, "cost_label": "exact", "provider_response_id": "r1"}
    change(add(), exact)
    change(add(), {**exact, "cost_label": "estimated"}, usage_partial=True)
    change(add(), {"cost_label": "unpriced", "provider_response_id": "r2"})
    change(add(), {"provider_model": "haiku"})
    add(provider_name="other")
    change(add(credential_kind="byok"), exact)
    change(add(), {"cost_nanos": 1}, ended_at=clock.wall() + timedelta(1))
    found = usage_by_day(query, Filter(provider="anthropic"))
    assert set(found) == {
        (day, "anthropic", "claude"),
        (day, "anthropic", "haiku"),
        (day, "other", "claude"),
    }
    ours = found[day, "anthropic", "claude"]
    tokens = {"cache_read_input_tokens": 0, "cache_write_input_tokens": 0}
    assert ours.figures == {
        "requests": 3,  # two of them have one response's id
        "input_tokens": 40,
        "output_tokens": 20,
        "cost": 15,
        **tokens,
    }
    assert ours.byok == {"requests": 1, "input_tokens": 10, "output_tokens": 5, "cost": 7, **tokens}
    told = (ours.partial, ours.silent, ours.unpriced, ours.uncosted, ours.estimated, ours.late)
    assert told == (1, 0, 1, 1, 1, 15)


def test_requests_without_usage(query, add, change, database):
    """Those that a provider has answered may be billed; those that it refused aren't."""
    broken, refused, left = add(), add(), add()
    change(broken, cost_nanos=9, cost_label="estimated")
    change(refused, status_code=429, outcome="failed")
    change(left, status_code=None, outcome="client_closed")
    with database.engine.begin() as connection:
        connection.execute(token_usages.delete())
    (found,) = usage_by_day(query, Filter()).values()
    assert (found.silent, found.figures["requests"], found.figures["cost"]) == (2, 0, 9)


def test_the_first_day(query, add, clock):
    assert first_day(query, Filter()) is None
    day = clock.wall().date()
    add(ended=False)
    clock.advance(3 * 86400)
    add(provider_name="other")
    assert first_day(query, Filter()) == day
    assert first_day(query, Filter(provider_name="other")) == day + timedelta(3)


def test_days_and_models_have_a_bound(query, add, monkeypatch):
    monkeypatch.setattr(daily_usage, "MAX_ROWS", 2)
    for number in range(3):
        assert len(usage_by_day(query, Filter())) == number
        add(model=f"model-{number}")
    with pytest.raises(TooMuchUsageError):
        usage_by_day(query, Filter())
