"""Token usage in total: on SQLite and on PostgreSQL."""

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from aibridged.identity.groups import GroupStore
from aibridged.identity.tokens import TokenStore
from aibridged.records import refusals
from aibridged.records.facts import InterceptionEnd, Outcome, TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter, UsageBy


def test_totals_by_everything(query, add, clock):
    add(model="big", username="ann", client="Codex", input=100, output=50, read=300)
    clock.advance(86_400)
    add(model="small", username="bob", input=1, output=1)
    add(model="big", username="ann", input=0, output=0, ended=False)
    big, small = query.usage([UsageBy.MODEL], Filter())
    assert (big.key, big.interceptions, big.input_tokens, big.output_tokens) == ("big", 2, 100, 50)
    assert (big.cache_read_input_tokens, big.cached_share) == (300, 0.75)
    assert (small.key, small.cached_share) == ("small", 0.0)
    assert [u.key for u in query.usage([UsageBy.USER], Filter())] == ["ann", "bob"]
    assert [u.key for u in query.usage([UsageBy.CLIENT], Filter())] == ["Codex", "Unknown"]
    assert [u.key for u in query.usage([UsageBy.DAY], Filter())] == ["2026-01-02", "2026-01-01"]
    assert [u.key for u in query.usage([UsageBy.MONTH], Filter())] == ["2026-01"]
    assert [u.key for u in query.usage([UsageBy.PROVIDER], Filter(model="small"))] == ["anthropic"]


def test_tokens_of_another_model_are_totalled_as_that_models(query, add, store, clock):
    id = add(model="claude", username="ann", input=10, output=5)
    add(model="big", username="bob", input=1, output=0)
    advice = {"input_tokens": 800, "output_tokens": 70, "provider_model": "big"}
    summary = {"input_tokens": 200, "metadata": {"iteration": "compaction"}}
    store.write(
        [],
        [
            TokenUsageRecord(
                id=uuid7(clock.wall()), interception_id=id, created_at=clock.wall(), **used
            )
            for used in (advice, summary)
        ],
    )

    def totals(by, **wanted):
        return [
            (each.key, each.interceptions, each.input_tokens, each.output_tokens)
            for each in query.usage([by], Filter(**wanted))
        ]

    assert totals(UsageBy.MODEL) == [("big", 2, 801, 70), ("claude", 1, 210, 5)]
    assert totals(UsageBy.MODEL, model="big") == [("big", 2, 801, 70)]
    assert totals(UsageBy.USER, model="big") == [("ann", 1, 800, 70), ("bob", 1, 1, 0)]
    assert totals(UsageBy.USER) == [("ann", 1, 1010, 75), ("bob", 1, 1, 0)]
    models = [row["provider_model"] for row in query.interception(id).token_usages]
    assert sorted(models, key=str) == [None, None, "big"]


@pytest.mark.parametrize("by", [UsageBy.USER, UsageBy.MODEL, UsageBy.MONTH, UsageBy.DAY])
def test_the_total_is_that_of_all(query, add, store, clock, by):
    for number in range(4):
        id = add(model=f"m{number % 2}", username=f"u{number}", read=number)
        clock.advance(86_400)
    own = {"interception_id": id, "created_at": clock.wall(), "provider_model": "m0"}
    store.write([], [TokenUsageRecord(id=uuid7(clock.wall()), input_tokens=7, **own)])

    def total(**wanted):
        _, found = query.usage_and_total([by], Filter(**wanted))
        return found.interceptions, found.input_tokens, found.cache_read_input_tokens

    assert total() == total(limit=1) == (4, 47, 6)
    assert total(username="u3") == (1, 17, 3)
    assert total(model="m0") == (3, 27, 2)
    assert total(model="none") == (0, 0, 0)


def test_a_page_of_hours_begins_where_it_is_asked_to(query, add, clock):
    for number in range(3):
        add(model=f"m{number}", username="ann", input=1)
    clock.advance(10 * 3600)
    add(model="m0", username="ann", input=1)
    since = clock.wall() - timedelta(hours=2)
    clock.advance(10 * 3600)
    add(model="m0", username="ann", input=1)
    by = [UsageBy.HOUR, UsageBy.MODEL]
    wanted = Filter(started_after=since, limit=3)
    assert [each.by["hour"][11:13] for each in query.usage(by, wanted)] == ["20", "10"]


@pytest.fixture
def several(add, clock):
    """Ann used two models in two hours of one day, Bob one of them on the next day."""
    add(model="big", username="ann", input=5, output=0, read=15, api_key_id="t-1")
    clock.advance(3_600)
    add(model="big", username="ann", input=1, output=0, client_session_id="s-1")
    add(model="small", username="ann", input=100, output=0, ended=False)
    clock.advance(86_400)
    add(model="big", username="bob", input=50, output=0)


@pytest.mark.parametrize(
    ("by", "sort", "expected"),
    [
        ("user,model", None, [("ann", "small", 1), ("bob", "big", 1), ("ann", "big", 2)]),
        ("model,user", None, [("small", "ann", 1), ("big", "bob", 1), ("big", "ann", 2)]),
        (
            "day,user",
            None,
            [("2026-01-02", "bob", 1), ("2026-01-01", "ann", 3)],
        ),
        (
            "user,model",
            "interceptions",
            [("ann", "big", 2), ("ann", "small", 1), ("bob", "big", 1)],
        ),
        ("user,model", "model", [("bob", "big", 1), ("ann", "big", 2), ("ann", "small", 1)]),
        ("user,model", "cached_share", [("ann", "big", 2), ("ann", "small", 1), ("bob", "big", 1)]),
        (
            "hour",
            None,
            [
                ("2026-01-02T01:00:00Z", 1),
                ("2026-01-01T01:00:00Z", 2),
                ("2026-01-01T00:00:00Z", 1),
            ],
        ),
        ("user,token", "token", [("ann", "(none)", 2), ("bob", "(none)", 1), ("ann", "t-1", 1)]),
    ],
)
def test_several_dimensions_are_counted_together(query, several, by, sort, expected):
    dimensions = list(map(UsageBy, by.split(",")))
    found, total = query.usage_and_total(dimensions, Filter(), sort)
    assert [(*each.by.values(), each.interceptions) for each in found] == expected
    assert [list(each.by) for each in found] == [dimensions] * len(found)
    assert (total.key, total.by, total.interceptions, total.input_tokens) == ("TOTAL", {}, 4, 156)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([], (None, None)),
        ([(None, None)], (None, None)),
        ([(5, "exact"), (6, "exact"), (None, None)], (11, "exact")),
        ([(0, "exact")], (0, "exact")),
        ([(5, "exact"), (6, "estimated")], (11, "estimated")),
        ([(5, "exact"), (6, "estimated"), (None, "unpriced")], (11, "unpriced")),
        ([(None, "unpriced"), (None, None)], (None, "unpriced")),
    ],
)
def test_a_sum_is_as_sure_as_its_least_sure_part(query, add, store, clock, costs, expected):
    id = add(cost=costs[0] if costs else (None, None))
    own = {"interception_id": id, "created_at": clock.wall()}
    store.write(
        [],
        [
            TokenUsageRecord(id=uuid7(clock.wall()), cost_nanos=cost, cost_label=label, **own)
            for cost, label in costs[1:]
        ],
    )
    (row,), total = query.usage_and_total([UsageBy.USER], Filter())
    assert (row.cost, row.cost_label) == (total.cost, total.cost_label) == expected


def test_a_cost_without_usage_is_the_interceptions(query, add, store, new_start, clock):
    """Where there is usage, the interception's own cost is the sum of it, and isn't added."""
    add(username="ann", model="m", cost=(7, "exact"))
    start = new_start(started_at=clock.wall(), username="ann", model="broken")
    end = {"ended_at": clock.wall(), "outcome": Outcome.INTERRUPTED}
    store.write([start], [])
    store.write(
        [],
        [InterceptionEnd(interception_id=start.id, cost_nanos=3, cost_label="estimated", **end)],
    )
    models, total = query.usage_and_total([UsageBy.MODEL], Filter(), "cost")
    assert [(each.key, each.cost, each.cost_label) for each in models] == [
        ("m", 7, "exact"),
        ("broken", 3, "estimated"),
    ]
    assert (total.cost, total.cost_label, total.interceptions) == (10, "estimated", 2)


def test_those_without_a_price_are_sorted_last_by_cost(query, add):
    add(username="a", cost=(None, "unpriced"))
    add(username="b", cost=(0, "exact"))
    add(username="c", cost=(9, "estimated"))
    found, _ = query.usage_and_total([UsageBy.USER], Filter(), "cost")
    assert [each.key for each in found] == ["c", "b", "a"]


def test_people_count_in_each_of_their_groups_and_once_in_the_total(database, query, add, clock):
    users = TokenStore(database.engine, clock)
    ann, bob = (users.create_user(name, name=name).id for name in ("ann", "bob"))
    groups = GroupStore(database.engine, clock)
    for name, members in (("all", ["ann", "bob"]), ("few", ["ann"])):
        groups.create(name)
        groups.add(name, members)
    add(initiator_id=ann, username="ann", input=10, cost=(5, "exact"), credential_hint="sk-1")
    add(initiator_id=bob, username="bob", input=1, cost=(6, "estimated"))
    add(username="guest", input=100)

    def totals(*by, **wanted):
        found, total = query.usage_and_total(list(map(UsageBy, by)), Filter(**wanted))
        rows = {each.key: (each.interceptions, each.input_tokens, each.cost) for each in found}
        return rows, (total.interceptions, total.input_tokens, total.cost, total.cost_label)

    assert totals("group") == (
        {"(none)": (1, 100, None), "all": (2, 11, 11), "few": (1, 10, 5)},
        (3, 111, 11, "estimated"),
    )
    assert totals("group", "user")[0]["all, ann"] == (1, 10, 5)
    assert totals("user", group="few") == ({"ann": (1, 10, 5)}, (1, 10, 5, "exact"))
    assert totals("key") == (
        {"(none)": (2, 101, 6), "sk-1": (1, 10, 5)},
        (3, 111, 11, "estimated"),
    )
    assert totals("user", key="sk-1")[0] == {"ann": (1, 10, 5)}


def test_sessions_are_counted_by_their_id(query, several):
    first, *others = query.usage([UsageBy.SESSION], Filter(session="s-1"))
    assert (first.key, first.input_tokens, others) == ("s-1", 1, [])


def test_a_share_of_nothing_is_none(query, add):
    add(input=0, output=3)
    assert query.usage([UsageBy.MODEL], Filter())[0].cached_share is None


ANN, BOB = "ann-id", "bob-id"


@pytest.fixture
def refused(database, add, clock):
    """Ann has a record and refusals of two days, Bob is a user and has nothing but a refusal."""
    add(initiator_id=ANN, username="ann")
    clock.advance(86_400)
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    counts = {
        (first, ANN, "rate_limited"): 3,
        (second, ANN, "rate_limited"): 4,
        (second, ANN, "byok_disabled"): 1,
        (second, BOB, "rate_limited"): 2,
        (second, "who", "rate_limited"): 1,
    }
    refusals.add(database.engine, counts)
    refusals.add(database.engine, {(second, BOB, "rate_limited"): 3})
    user = {"id": BOB, "username": "bob", "name": "", "status": "active", "is_admin": False}
    with database.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO aibridged_users (id, username, name, status, is_admin, created_at)"
                " VALUES (:id, :username, :name, :status, :is_admin, '2026-01-01 00:00:00')"
            ),
            user,
        )


@pytest.mark.parametrize(
    ("by", "wanted", "expected"),
    [
        (UsageBy.USER, {}, {"ann": (1, 8), "bob": (0, 5), "who": (0, 1)}),
        (UsageBy.DAY, {}, {"2026-01-01": (1, 3), "2026-01-02": (0, 11)}),
        (UsageBy.USER, {"initiator": "ann"}, {"ann": (1, 8)}),
        (UsageBy.USER, {"initiator": "bob"}, {"bob": (0, 5)}),
        (UsageBy.USER, {"initiator": BOB}, {"bob": (0, 5)}),
        (UsageBy.USER, {"username": "bob"}, {"bob": (0, 5)}),
        (UsageBy.MONTH, {}, {"2026-01": (1, 14)}),
        (UsageBy.DAY, {"owner": ANN}, {"2026-01-01": (1, 3), "2026-01-02": (0, 5)}),
        (
            UsageBy.USER,
            {"started_after": datetime(2026, 1, 2, tzinfo=UTC)},
            {"ann": (0, 5), "bob": (0, 5), "who": (0, 1)},
        ),
        (UsageBy.USER, {"started_before": datetime(2026, 1, 2, tzinfo=UTC)}, {"ann": (1, 3)}),
        (
            "day,user",
            {},
            {
                "2026-01-01, ann": (1, 3),
                "2026-01-02, ann": (0, 5),
                "2026-01-02, bob": (0, 5),
                "2026-01-02, who": (0, 1),
            },
        ),
        ("user,model", {}, {"ann, claude": (1, None)}),
        # Whose refusals these would be isn't known.
        (UsageBy.MODEL, {}, {"claude": (1, None)}),
        (UsageBy.USER, {"model": "claude"}, {"ann": (1, None)}),
        (UsageBy.DAY, {"status": "completed"}, {"2026-01-01": (1, None)}),
    ],
)
def test_refusals_are_counted_beside_requests(query, refused, by, wanted, expected):
    found, total = query.usage_and_total(list(map(UsageBy, by.split(","))), Filter(**wanted))
    assert {each.key: (each.interceptions, each.refused) for each in found} == expected
    counts = [count for _, count in expected.values()]
    assert total.refused == (None if None in counts else sum(counts))
