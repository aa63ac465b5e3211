"""What is done before a spend limit is reached, through the whole gateway."""

import gzip
import json
from datetime import timedelta
from io import BytesIO

import pytest
from loguru import logger

from aibridged.config.kinds import Address
from aibridged.config.options import PolicySettings, SoftBudgetSettings
from aibridged.fake_provider import Script
from aibridged.fake_provider.answer import Answer, Usage
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema
from tests.e2e.spend_limits import set_limit, spend

OPUS, SONNET, HAIKU = "claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5"
MODELS = (("claude-opus-*", HAIKU), ("gpt-5.4", "gpt-5.4-nano"))
BUDGET = SoftBudgetSettings(80, 90, MODELS)


class Ann:
    """A user with a token, who may spend $100 a day."""

    def __init__(self, engine, clock):
        self._engine, self._clock = engine, clock
        store = TokenStore(engine, clock)
        self.id = store.create_user("ann").id
        self.token = store.create_token("ann", name="laptop", lifetime=None)[1].reveal()
        set_limit(engine, clock, 100_00, scope="user", scope_id=self.id)

    def has_spent(self, dollars):
        """So much was spent on this day."""
        with self._engine.begin() as connection:
            connection.execute(schema.spend.delete())
        day = self._clock.wall().date()
        spend(self._engine, f"user:{self.id}", day, int(dollars * 100))


@pytest.fixture
def ann(database, clock):
    return Ann(database.engine, clock)


@pytest.fixture
def start(recording):
    async def start(**more):
        return await recording.start(
            auth="token", policies=(PolicySettings(budget=BUDGET),), **more
        )

    return start


@pytest.fixture
def ask(client, ann, fake, clock):
    """Sends a request; the headers of the gateway's own in the response, and what was sent on."""

    async def ask(gateway, body, path="/anthropic/v1/messages", **headers):
        clock.advance(1)
        fake.play(Script(answer=Answer(text="x", usage=Usage(input=1000, output=100))))
        given = {"X-Coder-Token": ann.token, "Content-Type": "application/json", **headers}
        async with client.post(gateway.url + path, data=BytesIO(body), headers=given) as response:
            content = await response.read()
        assert response.status == 200, content
        told = (response.headers.get(f"X-Aibridge-{name}") for name in ("Warning", "Model"))
        return (*told, fake.requests[-1].body)

    return ask


def body(model, text="hi"):
    """With blanks and an order of its own."""
    messages = json.dumps([{"role": "user", "content": text}])
    return f'{{ "max_tokens" : 9,"messages":{messages},\n"model": "{model}" }}'.encode()


NEAR = "budget: {}% of your spend limit is used"
SWITCHED = NEAR + ", so that {} answers in place of the requested model"


async def test_a_warning_and_then_another_model(start, ask, ann, recording, clock, client):
    lines = []
    sink = logger.add(lambda line: lines.append(line.record["message"]), level="WARNING")
    gateway = await start(prometheus_enable=True, prometheus_address=Address("127.0.0.1", 0))
    told = []
    for dollars in (79.5, 80.5, 91, 91):
        ann.has_spent(dollars)
        told.append(await ask(gateway, body(OPUS)))
    switched = SWITCHED.format(91, HAIKU)
    assert told == [
        (None, None, body(OPUS)),  # nothing is known yet
        (None, None, body(OPUS)),
        (NEAR.format(80), None, body(OPUS)),
        (switched, HAIKU, body(HAIKU)),
    ]
    # What isn't in the map stays, and so does a request with a key of one's own.
    assert await ask(gateway, body(SONNET)) == (NEAR.format(91), None, body(SONNET))
    own = await ask(gateway, body(OPUS), **{"X-Api-Key": "sk-ant-own"})
    assert own == (None, None, body(OPUS))
    # A period that has begun is another one.
    clock.advance(timedelta(days=1).total_seconds())
    gateway.components.limits.read()  # which a moved clock has made old
    assert await ask(gateway, body(OPUS)) == (None, None, body(OPUS))
    async with client.get(
        gateway.metrics_urls[0], headers={"Accept-Encoding": "identity"}
    ) as response:
        counted = await response.text()
    assert 'aibridged_soft_budget_requests_total{action="warn"} 2.0' in counted
    assert 'aibridged_soft_budget_requests_total{action="switch"} 1.0' in counted
    await recording.stop()
    rows = recording.database.rows(schema.interceptions)
    rows.sort(key=lambda row: row["started_at"])
    logger.remove(sink)
    assert [line for line in lines if "of a spend limit" in line] == [
        "ann has used 80% of a spend limit, and is warned",
        f"ann has used 91% of a spend limit, and is given {HAIKU}",
    ]
    assert [row["model"] for row in rows[:4]] == [OPUS, OPUS, OPUS, HAIKU]
    assert [row["metadata"] for row in rows[2:4]] == [None, {"requested_model": OPUS}]
    # At $5 and $25 a million, and at $1 and $5.
    assert [row["cost_nanos"] for row in rows[2:4]] == [7_500_000, 1_500_000]


async def test_a_large_request_and_a_stream_whose_usage_the_gateway_asks_for(start, ask, ann):
    gateway = await start()
    text = "z" * 1_100_000
    ann.has_spent(95)
    await ask(gateway, body(OPUS))
    assert await ask(gateway, body(OPUS, text)) == (
        SWITCHED.format(95, HAIKU),
        HAIKU,
        body(HAIKU, text),
    )
    coded = await ask(gateway, gzip.compress(body(OPUS)), **{"Content-Encoding": "gzip"})
    assert coded[2] == body(HAIKU)
    chat = b'{"stream":true, "model" : "gpt-5.4","messages":[{"role":"user","content":"hi"}]}'
    _, model, sent = await ask(gateway, chat, "/openai/v1/chat/completions")
    assert model == "gpt-5.4-nano"
    assert json.loads(sent) == {
        **json.loads(chat),
        "model": "gpt-5.4-nano",
        "stream_options": {"include_usage": True},
    }


async def test_what_names_its_model_twice_is_only_warned_of(start, ask, ann):
    gateway = await start()
    ann.has_spent(95)
    await ask(gateway, body(OPUS))
    twice = body(OPUS).replace(b"{", b'{"model":"claude-opus-4-8",', 1)
    assert await ask(gateway, twice) == (NEAR.format(95), None, twice)
