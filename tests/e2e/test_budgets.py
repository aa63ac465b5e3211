"""Spend limits through the whole gateway: what they admit, what clients are told, and how."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from aibridged.config.options import PriceSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.fake_provider.answer import Answer, Usage
from aibridged.identity import tables
from aibridged.identity.anonymous import LOCAL_ACTOR
from aibridged.identity.limits_in_force import STALE_S
from aibridged.records import schema
from tests.e2e.spend_limits import PRICES, is_balanced, ledger, set_limit, spend
from tests.waiting import until

ME = f"user:{LOCAL_ACTOR.id}"
TODAY = date(2026, 1, 1)  # a Thursday
TOMORROW, FEBRUARY = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
TOKEN = {"Authorization": "Bearer gateway-token"}
MESSAGES, CHAT, RESPONSES = "/v1/messages", "/v1/chat/completions", "/v1/responses"
CODEX = {"User-Agent": "codex_exec/0.171.0 (Debian)", "originator": "codex_exec"}
TELLS_QUOTA = Script(
    headers=(
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("Anthropic-Ratelimit-Unified-Status", "rejected"),
        ("x-codex-primary-used-percent", "1"),
        ("x-kept", "1"),
    ),
    answer=Answer(usage=Usage(input=10, output=3)),
)


def seconds(at):
    return str(int(at.timestamp()))


def body(path, *, stream=False, most=10, model="dime"):
    common = {"model": model, "stream": stream}
    if path == RESPONSES:
        return {**common, "input": "hi", "max_output_tokens": most}
    return {**common, "max_tokens": most, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def start(start_gateway, sqlite_database):
    """Starts a gateway on a database in which limits may have been set."""

    async def start(**changes):
        return await start_gateway(
            **{"prices": PRICES, "state_dir": sqlite_database.state_dir, **changes}
        )

    return start


@pytest.fixture
def limit(sqlite_database, clock):
    def limit(*args, **fields):
        set_limit(sqlite_database.engine, clock, *args, **fields)

    return limit


@pytest.fixture
def ask(client):
    async def ask(gateway, path, *, headers=TOKEN, **fields):
        url = gateway.url + path
        async with client.post(url, json=body(path, **fields), headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()

    return ask


def told(headers, *beginnings):
    """The headers of an answer whose names begin so."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower().startswith(beginnings)
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("spent", "utilization", "surpassed"),
    [(0, "0.00", None), (749, "0.74", None), (760, "0.76", "0.75"), (969, "0.96", "0.95")],
)
async def test_an_answer_to_claude_tells_how_its_limit_stands(
    start, limit, ask, fake, sqlite_database, stream, spent, utilization, surpassed
):
    limit(1000)
    limit(100_000, "monthly")
    spend(sqlite_database.engine, ME, TODAY, spent)
    gateway = await start()
    fake.play(TELLS_QUOTA)
    status, headers, _ = await ask(gateway, MESSAGES, stream=stream, most=3)
    assert status == 200
    state = "allowed_warning" if surpassed else "allowed"
    overage = "anthropic-ratelimit-unified-overage"
    expected = {
        "anthropic-ratelimit-unified-status": state,
        "anthropic-ratelimit-unified-representative-claim": "overage",
        f"{overage}-status": state,
        f"{overage}-utilization": utilization,
        "anthropic-ratelimit-unified-reset": seconds(TOMORROW),
        f"{overage}-reset": seconds(TOMORROW),
    }
    if surpassed:
        expected[f"{overage}-surpassed-threshold"] = surpassed
    assert told(headers, "anthropic-ratelimit-", "x-codex") == expected
    assert headers["x-kept"] == "1"
    await gateway.stop()
    assert ledger(sqlite_database.engine) == (spent + 30, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_to_codex_tells_of_two_windows(
    start, limit, ask, fake, sqlite_database, stream
):
    limit(1000)
    limit(4000, "weekly")
    limit(100_000, "monthly")
    spend(sqlite_database.engine, ME, TODAY, 825)
    gateway = await start()
    fake.play(TELLS_QUOTA)
    _, headers, _ = await ask(gateway, RESPONSES, stream=stream, headers={**TOKEN, **CODEX})
    assert told(headers, "anthropic-ratelimit-", "x-codex") == {
        "x-codex-primary-used-percent": "82.5",
        "x-codex-primary-window-minutes": "1440",
        "x-codex-primary-reset-at": seconds(TOMORROW),
        "x-codex-secondary-used-percent": "20.6",
        "x-codex-secondary-window-minutes": "10080",
        "x-codex-secondary-reset-at": seconds(datetime(2026, 1, 5, tzinfo=UTC)),
    }


async def test_an_answer_of_chat_completions_tells_nothing(start, limit, ask, fake):
    limit(1000)
    gateway = await start()
    fake.play(TELLS_QUOTA)
    _, headers, _ = await ask(gateway, CHAT)
    assert told(headers, "anthropic-ratelimit-", "x-codex", "x-kept") == {"x-kept": "1"}


async def test_without_a_cap_the_providers_own_headers_stay(start, limit, ask, fake):
    limit(None)
    gateway = await start()
    fake.play(TELLS_QUOTA)
    _, headers, _ = await ask(gateway, MESSAGES)
    for name, value in TELLS_QUOTA.headers:
        assert headers[name] == value


async def test_an_error_of_the_provider_tells_nothing(start, limit, ask, fake):
    limit(1000)
    gateway = await start()
    fake.play(Script(status=429, headers=TELLS_QUOTA.headers))
    status, headers, _ = await ask(gateway, MESSAGES)
    assert status == 429
    assert told(headers, "anthropic-ratelimit-", "x-codex", "x-kept") == {"x-kept": "1"}


SENTENCE = (
    "Your monthly spend limit of $10.00 is reached: $10.00 is spent or reserved. It resets on "
    "2026-02-01 at 00:00 UTC. Ask the operator of the gateway if you need more. See go/budgets."
)


@pytest.fixture
async def over(start, limit, sqlite_database):
    """A gateway where the limits of the day and the month are reached."""
    for period in ("daily", "weekly", "monthly"):
        limit(5000 if period == "weekly" else 1000, period)
    spend(sqlite_database.engine, ME, TODAY, 1000)
    return await start(budget_message="See go/budgets.")


async def test_claude_is_told_at_the_cap(over, ask, fake):
    status, headers, answer = await ask(over, MESSAGES)
    assert status == 429
    assert headers["X-Aibridge-Reason"] == "budget_exceeded"
    assert headers["x-should-retry"] == "false"
    assert headers["retry-after"] == str(31 * 24 * 3600)
    overage = "anthropic-ratelimit-unified-overage"
    assert told(headers, "anthropic-ratelimit-", "x-codex") == {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": seconds(FEBRUARY),
        f"{overage}-reset": seconds(FEBRUARY),
        f"{overage}-utilization": "1",
        f"{overage}-surpassed-threshold": "1",
        f"{overage}-period": "monthly",
        f"{overage}-disabled-reason": "org_spend_cap_reached",
    }
    error = json.loads(answer)
    assert error["type"] == "error"
    assert (error["error"]["type"], error["error"]["message"]) == ("billing_error", SENTENCE)
    assert fake.seen == 0


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_clients_of_openai_are_told_that_their_quota_is_used_up(over, ask, path):
    status, headers, answer = await ask(over, path)
    assert (status, headers["x-should-retry"]) == (429, "false")
    assert headers["retry-after"] == str(31 * 24 * 3600)
    assert told(headers, "anthropic-ratelimit-", "x-codex") == {}
    assert json.loads(answer)["error"] == {
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "message": SENTENCE,
        "param": None,
    }


async def test_codex_is_told_when_to_come_back(over, ask):
    status, headers, answer = await ask(over, RESPONSES, headers={**TOKEN, **CODEX})
    assert (status, headers["x-should-retry"]) == (429, "false")
    assert told(headers, "anthropic-ratelimit-", "x-codex") == {
        "x-codex-primary-used-percent": "100",
        "x-codex-primary-window-minutes": "43200",
        "x-codex-primary-reset-at": seconds(FEBRUARY),
    }
    assert json.loads(answer)["error"] == {
        "type": "usage_limit_reached",
        "code": "usage_limit_reached",
        "message": SENTENCE,
        "param": None,
        "plan_type": "team",
        "resets_at": int(FEBRUARY.timestamp()),
    }


async def test_a_request_that_may_cost_more_than_is_left_is_told_so(start, limit, ask):
    limit(99)
    gateway = await start()
    status, _, answer = await ask(gateway, MESSAGES)
    assert status == 429
    assert json.loads(answer)["message"] == (
        "Your daily spend limit of $0.99 leaves $0.9900, and this request may cost up to $1.00. "
        "It resets on 2026-01-02 at 00:00 UTC. Ask the operator of the gateway if you need more."
    )
    assert (await ask(gateway, MESSAGES, most=9))[0] == 200


async def test_a_limit_of_nothing_blocks_even_what_is_free(start, limit, ask):
    limit(0)
    gateway = await start()
    status, _, answer = await ask(gateway, MESSAGES, model="free")
    assert status == 429
    assert "Your daily spend limit is $0: nothing may be spent." in json.loads(answer)["message"]


async def test_what_is_not_recorded_and_who_has_an_own_key_is_never_blocked(
    over, ask, client, fake, sqlite_database
):
    fake.play(TELLS_QUOTA)
    status, headers, _ = await ask(over, "/v1/messages/count_tokens")
    assert (status, told(headers, "anthropic-ratelimit")) == (200, {})
    async with client.get(over.url + "/anthropic/v1/models", headers=TOKEN) as answer:
        assert answer.status == 200
    own = {"X-Coder-Token": "gateway-token", "X-Api-Key": "sk-ant-own"}
    fake.play(TELLS_QUOTA)
    status, headers, _ = await ask(over, MESSAGES, headers=own)
    assert (status, headers["anthropic-ratelimit-requests-remaining"]) == (200, "49")
    await over.stop()
    assert ledger(sqlite_database.engine) == (1000, 0)
    assert sqlite_database.row(schema.interceptions)["cost_nanos"] == 3 * 10**8


async def test_a_model_without_a_price_is_refused_to_those_with_a_limit(
    start, limit, ask, sqlite_database, clock
):
    limit(1000)
    gateway = await start()
    status, headers, answer = await ask(gateway, MESSAGES, model="unheard-of")
    assert (status, headers["X-Aibridge-Reason"]) == (400, "model_unpriced")
    assert json.loads(answer)["message"] == (
        "The model unheard-of has no price, so its cost can't be counted, and you have a spend "
        "limit. Use another model, or ask the operator of the gateway to set its price."
    )
    limit(None)
    gateway.components.limits.read()
    assert (await ask(gateway, MESSAGES, model="unheard-of"))[0] == 200


@pytest.mark.parametrize(
    ("unpriced", "cents", "status"),
    [
        ("", 1000, 400),
        ("", None, 200),
        ("allow", 1000, 200),
        ("deny", 1000, 400),
        ("deny", None, 400),
        (Decimal(100_000), 1000, 200),
        (Decimal(100_000), 99, 429),
    ],
)
async def test_what_happens_to_models_without_a_price(start, limit, ask, unpriced, cents, status):
    limit(cents)
    gateway = await start(unpriced=unpriced)
    assert (await ask(gateway, MESSAGES, model="unheard-of"))[0] == status
    own = {"X-Coder-Token": "gateway-token", "X-Api-Key": "sk-ant-own"}
    assert (await ask(gateway, MESSAGES, model="unheard-of", headers=own))[0] == 200


async def test_a_limit_that_is_set_counts_at_once_when_the_daemon_is_told(start, limit, ask):
    gateway = await start()
    assert (await ask(gateway, MESSAGES))[0] == 200
    limit(0)
    gateway.components.limits.read_soon()
    await until(lambda: gateway.components.limits.current.limits)
    assert (await ask(gateway, MESSAGES))[0] == 429


@pytest.mark.parametrize("fails", ["open", "closed"])
async def test_limits_that_cannot_be_read_any_more(
    start, limit, ask, sqlite_database, clock, fails
):
    limit(1000)
    gateway = await start(budget_fail=fails)
    with sqlite_database.engine.begin() as connection:
        tables.spend_limits.drop(connection)
    clock.advance(STALE_S)
    assert (await ask(gateway, MESSAGES))[0] == 200
    clock.advance(1)
    status, headers, answer = await ask(gateway, MESSAGES)
    if fails == "open":
        assert (status, headers["anthropic-ratelimit-unified-status"]) == (200, "allowed")
        return
    assert (status, headers["x-should-retry"], headers["retry-after"]) == (429, "false", "60")
    assert told(headers, "anthropic-ratelimit-") == {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-overage-disabled-reason": "fetch_error",
    }
    assert json.loads(answer)["error"]["type"] == "billing_error"
    status, _, answer = await ask(gateway, CHAT)
    assert (status, json.loads(answer)["error"]["type"]) == (429, "insufficient_quota")


async def test_each_period_begins_with_nothing_spent(start, limit, ask, fake, clock):
    limit(100)
    limit(170, "monthly")
    gateway = await start()
    fake.play(Script(answer=Answer(usage=Usage(input=1, output=8)), times=10))

    async def asked(most):
        gateway.components.limits.read()  # which a moved clock has made old
        return (await ask(gateway, MESSAGES, most=most))[0]

    assert [await asked(10), await asked(10)] == [200, 429]
    clock.advance(24 * 3600 - 1)
    assert await asked(10) == 429
    clock.advance(1)
    assert [await asked(9), await asked(1)] == [200, 200]  # 80 of the month and 80 of today
    clock.advance(24 * 3600)
    assert await asked(10) == 429  # a new day, and the same month
    clock.advance((FEBRUARY - clock.wall()).total_seconds())
    assert await asked(10) == 200


async def test_a_response_in_the_background_is_charged_by_its_estimate_until_it_is_fetched(
    start, limit, client, fake, sqlite_database
):
    limit(1000)
    gateway = await start()
    asked = {**body(RESPONSES), "background": True}
    answer = {"id": "resp_1", "object": "response", "status": "queued", "output": []}
    fake.play(Script(body=json.dumps({**answer, "model": "dime"}).encode()))
    async with client.post(gateway.url + "/openai/v1/responses", json=asked, headers=TOKEN) as got:
        assert got.status == 200
    await until(lambda: ledger(sqlite_database.engine) == (100, 0))
    usage = {"input_tokens": 1, "output_tokens": 4, "total_tokens": 5}
    done = {**answer, "status": "completed", "usage": usage, "model": "dime"}
    fake.play(Script(body=json.dumps(done).encode()))
    url = gateway.url + "/openai/v1/responses/resp_1"
    async with client.get(url, headers=TOKEN) as got:
        assert got.status == 200
    await until(lambda: ledger(sqlite_database.engine) == (40, 0))
    assert is_balanced(sqlite_database.engine)


async def test_a_response_that_is_cancelled_in_the_background_stays_charged_by_its_estimate(
    start, limit, client, fake, sqlite_database
):
    limit(1000)
    gateway = await start()
    answer = {"id": "resp_1", "object": "response", "output": [], "model": "dime", "usage": None}
    asked = {**body(RESPONSES), "background": True}
    url = gateway.url + "/openai/v1/responses"
    for path, sent, status in (("", asked, "queued"), ("/resp_1/cancel", {}, "cancelled")):
        fake.play(Script(body=json.dumps({**answer, "status": status}).encode()))
        async with client.post(url + path, json=sent, headers=TOKEN) as got:
            assert got.status == 200
    await gateway.stop()
    assert sqlite_database.row(schema.interceptions)["outcome"] == "client_closed"
    assert ledger(sqlite_database.engine) == (100, 0)
    assert is_balanced(sqlite_database.engine)


async def test_a_refusal_for_what_is_usual_lets_a_later_request_go_on(start, limit, ask, fake):
    """Nobody could learn otherwise that the model generates less again."""
    limit(100_000)
    gateway = await start()
    fake.play(Script(answer=Answer(usage=Usage(input=1, output=9000))))
    assert (await ask(gateway, MESSAGES, most=100_000))[0] == 200
    limit(90_000 + 50_000)
    gateway.components.limits.read()
    statuses = [(await ask(gateway, MESSAGES, most=100_000))[0] for _ in range(5)]
    assert 429 in statuses
    assert statuses[-1] == 200


async def test_what_a_request_goes_on_from_is_reserved_for(start, limit, client):
    rates = PriceSettings(model="given", input=Decimal(10_000), output=Decimal(0))
    gateway = await start(prices=(rates,))
    limit(99_900)
    gateway.components.limits.read()
    url, asked = gateway.url + "/openai/v1", body(RESPONSES, model="given")
    async with client.post(f"{url}/responses", json=asked, headers=TOKEN) as got:
        assert got.status == 200
    async with client.post(f"{url}/conversations", json={}, headers=TOKEN) as got:
        asked["conversation"] = (await got.json())["id"]
    async with client.post(f"{url}/responses", json=asked, headers=TOKEN) as got:
        assert got.status == 429


async def standing(client, gateway):
    async with client.get(gateway.url + "/api/oauth/usage", headers=TOKEN) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        return await answer.json()


async def test_claude_asks_how_it_stands(start, limit, client, sqlite_database):
    spend(sqlite_database.engine, ME, TODAY, 960)
    gateway = await start()
    free = {"limit": None, "used_credits": 960, "utilization": None}
    assert await standing(client, gateway) == {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": None,
            "used_credits": 960,
            "utilization": None,
            "currency": "USD",
            "daily": free,
            "weekly": free,
        },
        "limits": [],
    }
    limit(1000)
    limit(2000, "monthly")
    gateway.components.limits.read()
    assert await standing(client, gateway) == {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": 2000,
            "used_credits": 960,
            "utilization": 48,
            "currency": "USD",
            "daily": {"limit": 1000, "used_credits": 960, "utilization": 96},
            "weekly": free,
        },
        "limits": [
            {
                "kind": "spend",
                "group": "daily",
                "percent": 96,
                "resets_at": "2026-01-02T00:00:00Z",
                "severity": "critical",
                "is_active": True,
            },
            {
                "kind": "spend",
                "group": "monthly",
                "percent": 48,
                "resets_at": "2026-02-01T00:00:00Z",
                "severity": "normal",
                "is_active": False,
            },
        ],
    }
    with sqlite_database.engine.begin() as connection:
        schema.spend.drop(connection)
    async with client.get(gateway.url + "/api/oauth/usage", headers=TOKEN) as answer:
        assert (answer.status, answer.headers["X-Aibridge-Reason"]) == (503, "query_failed")


@asynccontextmanager
async def burst(client, gateways, count):
    """So many requests at once, which have been answered when it ends; their statuses so far."""
    statuses = []

    async def ask(gateway):
        url = gateway.url + MESSAGES
        async with client.post(url, json=body(MESSAGES), headers=TOKEN) as answer:
            await answer.read()
            statuses.append(answer.status)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(ask(gateways[number % len(gateways)]))
        yield statuses


async def test_of_500_requests_at_once_those_are_admitted_that_there_is_room_for(
    database, recording, clock, client, fake
):
    set_limit(database.engine, clock, 350)  # and each may cost a dollar
    gateway = await recording.start(prices=PRICES)
    go_on = asyncio.Event()
    fake.play(
        Script(before_headers=go_on, answer=Answer(usage=Usage(input=1, output=2)), times=500)
    )
    async with burst(client, [gateway], 500) as statuses:
        await until(lambda: len(statuses) == 497)
        assert ledger(database.engine) == (0, 300)
        go_on.set()
    assert (statuses.count(200), statuses.count(429), fake.seen) == (3, 497, 3)
    await recording.stop()
    assert ledger(database.engine) == (60, 0)
    assert is_balanced(database.engine)


async def test_two_daemons_share_a_limit_exactly(
    postgres_database, start_gateway, clock, client, fake, tmp_path
):
    set_limit(postgres_database.engine, clock, 350)
    url = Secret(postgres_database.url.render_as_string(hide_password=False))
    gateways = [
        await start_gateway(prices=PRICES, postgres_url=url, shutdown_timeout=10.0)
        for _ in range(2)
    ]
    go_on = asyncio.Event()
    fake.play(Script(before_headers=go_on, answer=Answer(usage=Usage(input=1, output=2)), times=60))
    async with burst(client, gateways, 60) as statuses:
        await until(lambda: len(statuses) == 57)
        go_on.set()
    assert (statuses.count(200), fake.seen) == (3, 3)
    for gateway in gateways:
        await gateway.stop()
    assert ledger(postgres_database.engine) == (60, 0)
    assert is_balanced(postgres_database.engine)
