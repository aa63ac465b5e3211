"""Charges of the record for a FOCUS export, on SQLite and on PostgreSQL."""

import pytest

from aibridged.core.focus import ChargePeriod
from aibridged.records.focus import FOCUS_FIELDS, find_charges
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions, token_usages


@pytest.fixture
def costs(database):
    """Sets what an interception's usage has cost."""

    def costs(id, nanos, label="exact", version="v1"):
        with database.engine.begin() as connection:
            connection.execute(
                token_usages.update()
                .where(token_usages.c.interception_id == id)
                .values(cost_nanos=nanos, cost_label=label, price_version=version)
            )

    return costs


def charges(query, period=ChargePeriod.DAY, **wanted):
    return [each for page in find_charges(query, Filter(**wanted), period) for each in page]


def test_charges_are_summed_by_period_person_client_model_and_label(query, add, costs, clock):
    day = clock.wall().replace(hour=0, minute=0, second=0, microsecond=0)
    for user in ("ann", "bob"):
        for number in range(3):
            costs(add(username=user, initiator_id=user, client="Codex"), 10 + number)
            clock.advance(60)
    costs(add(username="ann", initiator_id="ann", client="Codex"), None, "unpriced")
    add(username="ann", initiator_id="ann", client="Codex", ended=False)
    found = charges(query)
    assert {each.start for each in found} == {day}
    told = {(each.username, each.label, each.requests, each.cost, each.tokens) for each in found}
    assert told == {
        ("ann", "exact", 3, 33, (30, 15, 0, 0)),
        ("bob", "exact", 3, 33, (30, 15, 0, 0)),
        ("ann", "unpriced", 1, None, (10, 5, 0, 0)),
    }
    assert len(charges(query, initiator="bob")) == 1
    assert charges(query, model="other") == []


def test_hours(query, add, costs, clock):
    start = clock.wall().replace(minute=0, second=0, microsecond=0)
    for _ in range(3):
        costs(add(), 5)
        clock.advance(3600)
    hours = [each.start for each in charges(query, ChargePeriod.HOUR)]
    assert len(hours) == 3
    assert hours[0] == start
    assert hours == sorted(hours)


def test_one_that_broke_off_before_its_usage_has_its_own_cost(query, add, database):
    id = add()
    with database.engine.begin() as connection:
        connection.execute(token_usages.delete())
        connection.execute(
            interceptions.update()
            .where(interceptions.c.id == id)
            .values(cost_nanos=77, cost_label="estimated")
        )
    (found,) = charges(query)
    assert (found.cost, found.label, found.tokens) == (77, "estimated", (0, 0, 0, 0))


def test_own_keys_and_other_models_are_told_apart(query, add, costs, database):
    costs(add(credential_kind="byok"), 1)
    id = add(model="opus")
    with database.engine.begin() as connection:
        connection.execute(
            token_usages.update()
            .where(token_usages.c.interception_id == id)
            .values(provider_model="haiku", cost_nanos=2, cost_label="exact")
        )
    assert {(each.is_byok, each.model) for each in charges(query)} == {
        (True, "claude"),
        (False, "haiku"),
    }


@pytest.mark.parametrize(
    ("metadata", "tier"),
    [
        (None, "standard"),
        ({"service_tier": "flex"}, "flex"),
        ({"speed": "fast"}, "fast"),
        ({"asked_service_tier": "priority"}, "priority"),
        ({"service_tier": "of their own"}, "standard"),
    ],
)
def test_tiers(query, add, database, metadata, tier):
    add()
    with database.engine.begin() as connection:
        connection.execute(token_usages.update().values(metadata=metadata, cost_nanos=1))
    assert [each.tier for each in charges(query)] == [tier]


def test_columns_have_types():
    types = {field.name: field.type.value for field in FOCUS_FIELDS}
    assert types["BilledCost"] == types["PricingQuantity"] == types["ListUnitPrice"] == "number"
    assert types["ChargePeriodStart"] == "time"
    assert types["Tags"] == "json"
    assert types["SkuId"] == types["ConsumedUnit"] == "text"
