"""Totals are the same wherever they come from: of summaries, of interceptions, or of both."""

import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
import sqlalchemy as sa

from aibridged.identity.tokens import TokenStore
from aibridged.records import schema
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.summarised_hours import SETTLED_S, mark_dirty
from aibridged.records.usage_parts import Parts
from aibridged.records.usage_spans import (
    DAYS,
    DAYS_BY,
    HOURS,
    MONTHS,
    MONTHS_BY,
    SPANS,
)
from aibridged.records.usage_summaries import INTERVAL_S, MONTH_AGAIN_S, Summaries

SPAN = timedelta(days=36)
BUSY = (0, 1, 14, 30, 31, 32)
"""The days on which most is used: January ends between them."""
OUTCOMES = ("completed", "completed", "completed", "failed", "client_closed", "interrupted", None)
STATUSES = ("completed", "failed", "client_closed", "interrupted", "open")
LABELS = ("exact", "exact", "estimated", "unpriced", None)
COUNTS = (
    "interceptions",
    "failed",
    *schema.TOKEN_COUNTS,
    "cost",
    "cost_label",
    "refused",
)


@pytest.fixture
def summaries(database, clock):
    made = Summaries(database.engine, clock)

    def all_of_it():
        while made.go_on() < INTERVAL_S:
            pass
        return made

    return all_of_it


def priced(chance):
    label = chance.choice(LABELS)
    return {
        "cost_nanos": chance.randrange(10**10) if label in ("exact", "estimated") else None,
        "cost_label": label,
    }


def interception(chance, start, people):
    day = chance.choice(BUSY) if chance.random() < 0.9 else chance.randrange(SPAN.days)
    at = start + timedelta(days=day, seconds=chance.randrange(5 * 3600))
    if chance.random() < 0.2:
        at = at.replace(minute=chance.choice((0, 59)), second=0)
    id, username = chance.choice(people)
    provider = chance.choice(("anthropic", "openai"))
    outcome = chance.choice(OUTCOMES)
    return {
        "id": uuid7(at),
        "initiator_id": id,
        "username": username,
        "api_key_id": chance.choice((None, "t1", "t2")),
        "provider": provider,
        "provider_name": chance.choice((provider, "other", "openai")),
        "model": chance.choice("abc"),
        "client": chance.choice(("Codex", "Claude Code")),
        "client_session_id": chance.choice((None, "s1", "s2")),
        "credential_kind": chance.choice(("centralized", "byok")),
        "credential_hint": chance.choice(("", "sk-1", "sk-2")),
        "recorder_id": 1,
        "started_at": at,
        "ended_at": at if outcome else None,
        "outcome": outcome,
        **priced(chance),
    }


def usages(chance, of):
    for number in range(chance.choice((0, 1, 1, 1, 2, 3))):
        yield {
            "id": uuid7(of["started_at"], number),
            "interception_id": of["id"],
            "provider_response_id": "",
            "provider_model": chance.choice((None, None, "a", "d")),
            **{name: chance.randrange(1000) for name in schema.TOKEN_COUNTS},
            **priced(chance),
            "created_at": of["started_at"],
        }


@pytest.fixture
def fill(database, clock):
    """Fills the record with days of four people, two of whom share a name, and their groups."""

    def fill(chance, count=160):
        store = TokenStore(database.engine, clock)
        users = [store.create_user(name, name=name).id for name in ("ann", "bob", "cid")]
        people = [*zip(users, ("ann", "bob", None), strict=True), ("other-id", "ann")]
        start = clock.wall()
        rows = [interception(chance, start, people) for _ in range(count)]
        with database.engine.begin() as connection:
            connection.execute(schema.interceptions.insert(), rows)
            used = [usage for row in rows for usage in usages(chance, row)]
            connection.execute(schema.token_usages.insert(), used)
            groups, members = (
                sa.Table(name, sa.MetaData(), autoload_with=connection)
                for name in ("aibridged_groups", "aibridged_group_members")
            )
            at = {"created_at": start}
            connection.execute(
                groups.insert(), [{"id": each, "name": each, **at} for each in ("g1", "g2")]
            )
            belong = [("g1", users[0]), ("g2", users[0]), ("g2", users[1])]
            connection.execute(
                members.insert(),
                [
                    {"group_id": group, "user_id": user, "by_sign_in": False, **at}
                    for group, user in belong
                ],
            )
            refused = {"day": start.date(), "user_id": users[0], "reason": "r", "count": 3}
            connection.execute(schema.refusals.insert(), refused)
        return people

    return fill


def questions(chance, people, count):
    """Random questions, of which every dimension and every filter is some."""

    def time():
        day = chance.choice((*BUSY, chance.random() * SPAN.days))
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=chance.randrange(18000))
        hour = at.replace(minute=0, second=0, microsecond=0)
        at = chance.choice((at, hour, hour.replace(hour=0), hour.replace(hour=0, day=1)))
        return at.astimezone(chance.choice((UTC, timezone(timedelta(hours=5, minutes=30)))))

    filters = {
        "owner": lambda: people[0][0],
        "initiator": lambda: chance.choice(("ann", people[2][0], "nobody")),
        "initiator_id": lambda: people[1][0],
        "username": lambda: "ann",
        "started_after": time,
        "started_before": time,
        "provider": lambda: chance.choice(("openai", "other")),
        "provider_name": lambda: "other",
        "model": lambda: chance.choice("ad"),
        "client": lambda: "Codex",
        "session": lambda: "s1",
        "status": lambda: chance.choice(STATUSES),
        "min_cost": lambda: 10**9,
        "group": lambda: "g2",
        "key": lambda: "sk-1",
    }
    dimensions, names = list(UsageBy), list(filters)
    for number in range(count):
        by = {
            dimensions[number % len(dimensions)],
            *chance.sample(dimensions, chance.choice((0, 1, 2))),
        }
        chosen = {names[number % len(names)]}
        if chance.random() < 0.5:
            chosen.add(chance.choice(("started_after", "started_before")))
        wanted = Filter(**{name: filters[name]() for name in chosen}, limit=1000)
        yield sorted(by, key=lambda _: chance.random()), wanted


NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
ALWAYS = (
    ([UsageBy.USER], Filter()),
    ([UsageBy.USER], Filter(model="d")),
    ([UsageBy.GROUP, UsageBy.MODEL], Filter()),
    ([UsageBy.MODEL, UsageBy.DAY], Filter(model="d")),
    ([UsageBy.MONTH], Filter()),
    ([UsageBy.USER, UsageBy.MONTH], Filter(started_before=NOON)),
    ([UsageBy.USER, UsageBy.MODEL, UsageBy.TOKEN, UsageBy.HOUR], Filter(status="completed")),
    ([UsageBy.GROUP], Filter(status="completed", model="d")),
    *(([UsageBy.MODEL], Filter(status=status)) for status in STATUSES),
    ([UsageBy.USER, UsageBy.MODEL], Filter(status="failed", owner="other-id")),
    ([UsageBy.DAY, UsageBy.PROVIDER], Filter(status="client_closed", started_before=NOON)),
)
"""How an interception is counted that used several models, and what isn't completed."""


def known(database):
    """Whether anything is summed up."""
    return any(not row["is_dirty"] for row in database.rows(schema.summarised_spans))


def answer(query, by, wanted):
    found, total = query.usage_and_total(by, wanted)
    rows = {tuple(each.by.values()): [getattr(each, name) for name in COUNTS] for each in found}
    assert len(rows) == len(found)
    return rows, [getattr(total, name) for name in COUNTS]


def test_answers_are_those_of_the_interceptions(database, query, clock, fill, summaries):
    chance = random.Random(database.engine.dialect.name)
    people = fill(chance)
    asked = [*ALWAYS, *questions(chance, people, 15)]
    before = [answer(query, *each) for each in asked]
    assert not known(database)
    clock.advance(15 * 86_400 + 3 * 3600 + 60)
    summaries()
    assert [answer(query, *each) for each in asked] == before
    clock.advance(17 * 86_400)
    summaries()
    hours = [row["starts_at"] for row in database.rows(schema.usage_hours)]
    with database.engine.begin() as connection:
        mark_dirty(connection, chance.sample(hours, 5))
        for span in SPANS:
            each = schema.summarised_spans.c
            dirty = sa.select(each.starts_at).where(each.span == span.name, each.is_dirty)
            wrong = span.table.update().where(span.table.c.starts_at.in_(dirty))
            connection.execute(wrong.values(input_tokens=10**9))
    assert [answer(query, *each) for each in asked] == before
    clock.advance(SPAN.total_seconds())
    summaries()
    assert not any(row["is_dirty"] for row in database.rows(schema.summarised_spans))
    assert {row["starts_at"].day for row in database.rows(schema.usage_months)} == {1}
    assert [answer(query, *each) for each in asked] == before
    by, wanted = asked[0]
    assert list(query.each_usage(by, wanted)) == query.usage(by, wanted)


def test_pages_are_how_the_whole_begins(database, query, clock, fill, summaries):
    chance = random.Random(database.engine.dialect.name)
    people = fill(chance)
    clock.advance(SPAN.total_seconds() - 86_400)
    summaries()
    asked = [([UsageBy.USER], Filter()), *questions(chance, people, 10)]
    for number, (others, wanted) in enumerate(asked):
        time = (UsageBy.DAY, UsageBy.HOUR, UsageBy.MONTH)[number % 3]
        by = list(dict.fromkeys((others[0], time) if number % 2 == 0 else (time, *others)))
        for sort in (None, by[-1], "cost", "cached_share", "refused"):
            whole, total = query.usage_and_total(by, wanted, sort)
            for limit in (1, 12):
                page = query.usage_and_total(by, msgspec.structs.replace(wanted, limit=limit), sort)
                assert page == (whole[:limit], total)


@pytest.fixture
def input(query):
    """The input tokens by some dimensions."""

    def input(*by, **wanted):
        return [each.input_tokens for each in query.usage(list(map(UsageBy, by)), Filter(**wanted))]

    return input


WRONG = {
    HOURS: 77,
    DAYS: 78,
    MONTHS: 79,
    DAYS_BY["client"]: 81,
    DAYS_BY["model"]: 82,
    DAYS_BY["user"]: 83,
    DAYS_BY["user_model"]: 84,
    MONTHS_BY["client"]: 91,
    MONTHS_BY["model"]: 92,
    MONTHS_BY["user"]: 93,
    MONTHS_BY["user_model"]: 94,
}


@pytest.fixture
def overwrite(database):
    """Makes summaries wrong, each span its own way: so it shows which are read."""

    def overwrite():
        with database.engine.begin() as connection:
            for span, wrong in WRONG.items():
                connection.execute(span.table.update().values(input_tokens=wrong))

    return overwrite


def test_summaries_are_what_is_read(clock, add, summaries, input, overwrite):
    """Otherwise the test above compares the interceptions with themselves."""
    add(username="ann", input=10)
    clock.advance(7200)
    summaries()
    overwrite()
    assert input("user", "model") == input("group") == input("day", "key") == [77]
    assert input("user", model="claude", started_after=datetime(2026, 1, 1, tzinfo=UTC)) == [77]
    first, end = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (0, 1))
    assert input("user", started_after=first, started_before=end) == [77]
    second = timedelta(seconds=1)
    assert input("user", started_after=first - second, started_before=end + second) == [77]
    assert input("user", started_before=end - second) == [10]
    assert input("user", status="completed") == [77]
    assert input("user", status="failed") == input("user", status="open") == []
    assert input("session") == [10]


def test_the_longest_summaries_are_what_is_read(database, clock, add, summaries, input, overwrite):
    add(username="ann", input=10)
    first = clock.wall()
    clock.advance(86_400 + SETTLED_S)
    summaries()
    overwrite()
    assert input("token") == input("day", status="completed") == [78]
    assert input("hour") == input("user", started_before=first + timedelta(hours=23)) == [77]
    assert input("user", started_after=first + timedelta(seconds=1)) == []
    clock.advance(30 * 86_400)
    summaries()
    overwrite()
    assert input("token") == input("user", started_after=first, status="completed") == [79]
    assert input("month", "token") == [79]
    assert (input("month"), input("month", "user")) == ([91], [93])
    assert input("day", "key") == input("key", started_before=first + timedelta(days=30)) == [78]
    assert input("hour") == [77]
    with database.engine.begin() as connection:
        mark_dirty(connection, [first + timedelta(days=9)])
    assert input("token") == [78], "the month is dirty, and the day isn't"


def test_those_by_the_fewest_keys_are_what_is_read(
    database, clock, add, summaries, input, overwrite
):
    add(username="ann", client="Codex", input=10)
    first = clock.wall()
    clock.advance(31 * 86_400 + SETTLED_S)
    summaries()
    overwrite()
    day = {"started_before": first + timedelta(days=1)}
    assert input("client") == input("provider") == input("client", provider="anthropic") == [91]
    assert input("model") == input("provider", model="claude") == input("model", "provider") == [92]
    assert input("user") == input("group") == input("group", username="ann") == [93]
    assert input("user", "model") == input("group", provider="anthropic") == [94]
    assert input("user", "client") == input("model", "client") == input("user", key="") == [79]
    assert input("day") == input("client", "day") == input("client", **day) == [81]
    assert input("model", "day") == input("day", model="claude") == input("model", **day) == [82]
    assert input("user", "day") == input("day", username="ann") == input("group", **day) == [83]
    assert input("user", "model", "day") == input("model", username="ann", **day) == [84]
    assert input("user", "day", status="completed") == input("user", "client", **day) == [78]
    assert input("user", "hour") == [77]
    with database.engine.begin() as connection:
        mark_dirty(connection, [first])
    assert input("user", **day) == input("model", **day) == [10], "nothing stale is read"


def test_until_those_by_fewer_keys_are_made_the_others_are_read(
    database, clock, add, summaries, input, overwrite
):
    add(username="ann", input=10)
    clock.advance(31 * 86_400 + SETTLED_S)
    summaries()
    overwrite()
    spans = schema.summarised_spans
    with database.engine.begin() as connection:
        connection.execute(spans.delete().where(spans.c.span.contains("_", autoescape=True)))
    assert input("user") == input("model") == [79]
    assert input("user", "day") == input("model", "day") == [78]
    clock.advance(MONTH_AGAIN_S)
    summaries()
    with database.engine.begin() as connection:
        connection.execute(schema.usage_days.delete())
        connection.execute(schema.usage_months.delete())
    assert input("user") == input("model") == input("user", "day") == input("model", "day") == [78]


@pytest.mark.parametrize("by", UsageBy)
def test_sqlite_reads_the_rest_by_its_times(sqlite_database, by):
    """And never walks through a whole index because it has the order of what is grouped by."""
    wanted = Filter(started_after=datetime(2026, 1, 1, tzinfo=UTC))
    with sqlite_database.engine.connect() as connection:
        ended = next(Parts(connection, [by], wanted).each())
        compiled = ended.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    steps = [step for *_, step in plan]
    assert any("idx_aibridge_interceptions_started_at (started_at>?)" in step for step in steps)
