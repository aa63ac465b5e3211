"""Budget alerts with a webhook of the test's own, on both databases."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from aiohttp import web
from loguru import logger

from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.core.budgets import CENT, Cap, Period, Scope, standings
from aibridged.daemon import budget_alerts
from aibridged.daemon.budget_alerts import GIVE_UP_S, LEASE_S, MAX_WAITING, BudgetAlerts
from aibridged.identity.groups import GroupStore
from aibridged.identity.spend_limits import SpendLimitStore
from aibridged.identity.spend_scopes import ScopeKey
from aibridged.identity.tokens import TokenStore
from aibridged.records import spend
from aibridged.records.schema import budget_alerts as rows
from tests.socket_fixtures import listening
from tests.waiting import until

DOLLARS = 100 * CENT


class Receiver:
    """Takes alerts, and answers as it is told; None: when it may."""

    def __init__(self):
        self.alerts = []
        self.headers = []
        self.answers = []
        self.may_answer = asyncio.Event()

    async def serve(self, request):
        self.headers.append(request.headers)
        self.alerts.append(await request.json())
        answer = self.answers.pop(0) if self.answers else 204
        if answer is None:
            await self.may_answer.wait()
            answer = 204
        headers = {"Retry-After": "120"} if answer == 429 else {"Location": "/elsewhere"}
        return web.Response(status=answer, headers=headers)


@pytest.fixture
async def receiver():
    made = Receiver()
    async with listening(made.serve) as url:
        made.url = f"{url}/T0/B0/hook-s3cret"
        yield made
        made.may_answer.set()


@pytest.fixture
def log():
    lines = []
    sink = logger.add(lines.append, format="{message}", level="DEBUG")
    yield lines
    logger.remove(sink)


@pytest.fixture
async def start(database, clock, receiver, monkeypatch):
    """Starts what a daemon does of alerts; unless it is `posting`, it posts on demand only."""
    monkeypatch.setattr(budget_alerts, "INTERVAL_S", 3600.0)
    started = []

    async def start(posting=True, noting=True, **changes):
        settings = replace(Settings(), budget_webhook_url=Secret(receiver.url), **changes)
        alerts = BudgetAlerts(database.engine, clock)
        alerts.configure(settings)
        started.append(alerts)
        if posting:
            alerts.start()
        elif noting:
            alerts._tasks.start(alerts._keep_noting(), "budget alerts")
        return alerts

    yield start
    for alerts in started:
        await alerts.close()


@pytest.fixture
def limit(database, clock):
    """Ann's own limit, and what she is called."""
    ann = TokenStore(database.engine, clock).create_user("ann")
    limits = SpendLimitStore(database.engine, clock, spend)
    return limits.set(ScopeKey(Scope.USER, ann.id), Period.MONTHLY, 5000)


def note(alerts, limit, dollars, subject=None, has_refused=False):
    cap = Cap(limit, subject or f"user:{limit.scope_id}", 50 * DOLLARS)
    [standing] = standings([cap], [dollars * DOLLARS], alerts._clock.wall())
    alerts.note(standing, has_refused)


def stored(database):
    statement = sa.select(rows.c.threshold, rows.c.sent_at.is_not(None), rows.c.try_at)
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement.order_by(rows.c.threshold))]


async def test_an_alert_is_told_once_a_threshold(start, limit, receiver, log, database):
    alerts = await start()
    for dollars in (24, 25, 30, 39, 40, 41, 49, 50, 60):
        note(alerts, limit, dollars)
        await alerts.idle()
    await until(lambda: len(receiver.alerts) == 3)
    received = sorted(receiver.alerts, key=lambda each: each["threshold"])
    assert [each["threshold"] for each in received] == [50, 80, 100]
    first = received[0]
    assert first == {
        "type": "budget_alert",
        "id": f"{limit.id}/user:{limit.scope_id}/2026-01-01/50",
        "text": "ann has used 50 % of their monthly budget ($25.00 of $50.00). It resets on "
        "2026-02-01 00:00 UTC.",
        "threshold": 50,
        "subject": {"type": "user", "id": limit.scope_id, "name": "ann"},
        "spend_limit": {"id": limit.id, "scope": "user", "group": None, "amount": "50"},
        "used": "25",
        "currency": "USD",
        "period": "monthly",
        "period_start": "2026-01-01",
        "resets_at": "2026-02-01T00:00:00Z",
        "reached_at": "2026-01-01T00:00:00Z",
    }
    assert next(line for line in log if "has used" in line) == f"Budget alert: {first['text']}\n"
    assert alerts.told == {(each, "user", "monthly"): 1 for each in ("50", "80", "100")}
    await until(lambda: alerts.posts == {("sent",): 3})
    await until(lambda: stored(database) == [(each, True, None) for each in (50, 80, 100)])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_leap_over_thresholds_is_one_alert(start, limit, receiver, database):
    alerts = await start()
    note(alerts, limit, 45)
    note(alerts, limit, 26)
    await until(lambda: alerts.posts == {("sent",): 1})
    assert [each["threshold"] for each in receiver.alerts] == [80]
    assert [row[0] for row in stored(database)] == [50, 80]


async def test_two_daemons_and_a_restart_tell_once(start, limit, receiver):
    first, second = await start(posting=False), await start(posting=False)
    for alerts in (first, second):
        note(alerts, limit, 25)
        await alerts.idle()
    await asyncio.gather(first.post_due(), second.post_due())
    await first.close()
    third = await start(posting=False)
    note(third, limit, 26)
    await third.idle()
    for alerts in (second, third):
        await alerts.post_due()
    assert len(receiver.alerts) == 1
    assert sum((each.told for each in (second, third)), first.told).total() == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_fails_is_tried_again_later_and_later(start, limit, receiver, clock, log):
    alerts = await start(posting=False)
    receiver.answers = [500, 302, 429]
    note(alerts, limit, 25)
    await alerts.idle()
    for seconds, attempts in ((0, 1), (0, 1), (5, 2), (4, 2), (1, 3), (60, 3), (60, 4)):
        clock.advance(seconds)
        await alerts.post_due()
        assert len(receiver.alerts) == attempts
    assert alerts.posts == {("failed",): 3, ("sent",): 1}
    assert any("it responded with 500" in line for line in log)


async def test_after_a_restart_what_was_not_sent_is(start, limit, receiver, clock):
    receiver.answers = [500]
    first = await start(posting=False)
    note(first, limit, 25)
    await first.idle()
    await first.post_due()
    assert first.posts == {("failed",): 1}
    await first.close()
    clock.advance(60)
    second = await start()
    await until(lambda: second.posts == {("sent",): 1})
    assert len(receiver.alerts) == 2
    assert receiver.alerts[0] == receiver.alerts[1]


async def test_a_daemon_that_died_while_it_posted_is_stood_in_for(start, limit, receiver, clock):
    receiver.answers = [None]
    first = await start()
    note(first, limit, 25)
    await until(lambda: receiver.alerts)
    await first.close()
    second = await start(posting=False)
    await second.post_due()
    assert len(receiver.alerts) == 1, "it may be alive"
    clock.advance(LEASE_S)
    await second.post_due()
    assert len(receiver.alerts) == 2
    assert second.posts == {("sent",): 1}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_dead_receiver_is_given_up_after_a_day(start, limit, receiver, clock, database):
    receiver.answers = [500] * 200
    alerts = await start(posting=False)
    note(alerts, limit, 25)
    await alerts.idle()
    await alerts.post_due()
    clock.advance(GIVE_UP_S + 1)
    await alerts.post_due()
    assert alerts.posts == {("failed",): 1, ("given_up",): 1}
    assert stored(database) == [(50, False, None)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_slow_receiver_holds_up_no_request(start, limit, receiver):
    receiver.answers = [None]
    alerts = await start()
    note(alerts, limit, 25)
    await until(lambda: receiver.alerts)
    note(alerts, limit, 40)
    await alerts.idle()
    assert alerts.told.total() == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_limit_that_has_refused_is_reached(start, limit, receiver):
    alerts = await start()
    note(alerts, limit, 49, has_refused=True)
    await until(lambda: receiver.alerts)
    assert (receiver.alerts[0]["threshold"], receiver.alerts[0]["used"]) == (100, "49")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_noting_is_bounded(start, limit, database):
    alerts = await start(posting=False, noting=False)
    for number in range(MAX_WAITING + 10):
        note(alerts, limit, 25, f"user:{number}")
    assert alerts._waiting.qsize() == MAX_WAITING
    assert len(alerts._noted) == MAX_WAITING, "the others are noted by a later request"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_the_database_refuses_is_noted_by_a_later_request(
    start, limit, receiver, database, log
):
    alerts = await start()
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE aibridged_budget_alerts RENAME TO away"))
    note(alerts, limit, 25)
    await alerts.idle()
    assert any("Budget alerts can't be noted" in line for line in log)
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO aibridged_budget_alerts"))
    note(alerts, limit, 25)
    await until(lambda: receiver.alerts)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_secrets_are_sent_and_never_told(start, limit, receiver, log):
    receiver.answers = [500]
    secret = Secret("hook-bearer")
    alerts = await start(budget_webhook_secret=secret, budget_webhook_format="slack")
    note(alerts, limit, 25)
    await until(lambda: alerts.posts["failed",] == 1)
    assert receiver.headers[0]["Authorization"] == "Bearer hook-bearer"
    assert receiver.alerts[0] == {
        "text": "ann has used 50 % of their monthly budget ($25.00 of $50.00). It resets on "
        "2026-02-01 00:00 UTC."
    }
    assert any("can't be posted to http://127.0.0.1:" in line for line in log)
    assert not any("s3cret" in line or "hook-bearer" in line for line in log)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_nobody_there_is_a_failure_like_others(start, limit, receiver, log):
    alerts = await start(posting=False)
    alerts.configure(replace(Settings(), budget_webhook_url=Secret("http://127.0.0.1:1/s3cret")))
    note(alerts, limit, 25)
    await alerts.idle()
    await alerts.post_due()
    assert alerts.posts == {("failed",): 1}
    assert not any("s3cret" in line for line in log)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_without_a_webhook_it_is_logged_and_without_thresholds_nothing_is(
    start, limit, receiver, database
):
    alerts = await start(posting=False)
    alerts.configure(replace(Settings(), budget_alerts=()))
    note(alerts, limit, 50)
    assert alerts._waiting.empty()
    alerts.configure(Settings())
    note(alerts, limit, 50)
    await alerts.idle()
    assert (alerts.told.total(), receiver.alerts) == (1, [])
    assert stored(database)[-1] == (100, False, None)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_pools_and_tokens_have_names_too(start, database, clock, receiver):
    alerts = await start()
    limits = SpendLimitStore(database.engine, clock, spend)
    store = TokenStore(database.engine, clock)
    store.create_user("ann")
    GroupStore(database.engine, clock).create("R&D <1>")
    token, _ = store.create_token("ann", name="ci", lifetime=None)
    for scope, name in ((Scope.POOL, "R&D <1>"), (Scope.TOKEN, token.id)):
        limit = limits.set(limits.find(scope, name), Period.DAILY, 5000)
        note(alerts, limit, 50, f"{scope}:{limit.scope_id}")
    await until(lambda: len(receiver.alerts) == 2)
    assert sorted(each["text"].partition(" budget")[0] for each in receiver.alerts) == [
        "The group R&D <1> has reached its shared daily",
        "The token ann ci has reached its daily",
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_is_past_is_forgotten(start, limit, clock, database):
    alerts = await start(posting=False)
    alerts.configure(Settings())
    note(alerts, limit, 25)
    await alerts.idle()
    clock.advance(71 * 86400)
    await alerts._prune(clock.wall().date())
    assert stored(database) == []
