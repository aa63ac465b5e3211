"""What a request costs is on record, to the nano-dollar, whichever API it went to."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from aibridged.config.options import PriceSettings
from aibridged.fake_provider import Answer, Script, Usage
from aibridged.records import schema

# Dollars per million tokens, so thousandths of a cent a thousand, and nano-dollars a thousandth.
RATES = {
    "input": Decimal("3.001"),
    "output": Decimal("15.003"),
    "cache_read": Decimal("0.301"),
    "cache_write_5m": Decimal("3.757"),
    "cache_write_1h": Decimal("6.007"),
    "web_search": Decimal("10.01"),
}
OWN = (
    PriceSettings(model="some-*", **RATES),
    PriceSettings(model="free", input=Decimal(0), output=Decimal(0)),
)
SPENT = Usage(input=1234, output=567, cache_read=8901, cache_write=234, cache_write_1h=56)
# By hand: 1234 * 3001 + 567 * 15003 + 8901 * 301 + 234 * 3757 + 56 * 6007.
EXACT = 16_104_666
BY_OWN = "prices[0]"
PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}


def request(api, **changes):
    hello = [{"role": "user", "content": "hi"}]
    said = {"input": hello} if api == "responses" else {"messages": hello, "max_tokens": 9}
    return {"model": "some-model", **said, **changes}


def metadata(recording):
    rows = recording.database.rows(schema.token_usages)
    return [row["metadata"] for row in sorted(rows, key=lambda row: row["id"])]


@pytest.fixture
def ask(client, clock):
    async def ask(gateway, path, body):
        clock.advance(1)
        async with client.post(gateway.url + path, json=body) as response:
            return response.status, await response.read()

    return ask


@pytest.mark.parametrize("stream", [False, True])
async def test_each_api_has_its_cost_on_record(recording, ask, fake, stream):
    gateway = await recording.start(prices=OWN)
    fake.play(Script(answer=Answer(text="Hello.", usage=SPENT), times=3))
    for api, path in PATHS.items():
        status, _ = await ask(gateway, path, request(api, stream=stream))
        assert status == 200
    messages, chat, responses = await recording.costs()
    assert messages == ((EXACT, "exact"), [(EXACT, "exact", BY_OWN)])
    # OpenAI's tell no writes for an hour from those for five minutes.
    inclusive = EXACT - 56 * (6007 - 3757)
    for row in (chat, responses):
        assert row == ((inclusive, "exact"), [(inclusive, "exact", BY_OWN)])


async def test_compactions_and_embeddings_have_their_cost_too(recording, ask, fake):
    gateway = await recording.start(prices=OWN)
    usage = {"input_tokens": 1000, "output_tokens": 100}
    compacted = {"id": "resp_c", "object": "response.compaction", "output": [], "usage": usage}
    embedded = {"object": "list", "data": [], "model": "x", "usage": {"prompt_tokens": 700}}
    fake.play(*(Script(body=json.dumps(each).encode()) for each in (compacted, embedded)))
    await ask(gateway, "/openai/v1/responses/compact", {"model": "some-model", "input": "hi"})
    await ask(gateway, "/openai/v1/embeddings", {"model": "some-embedding", "input": "hi"})
    amounts = [1000 * 3001 + 100 * 15003, 700 * 3001]
    assert await recording.costs() == [
        ((amount, "exact"), [(amount, "exact", BY_OWN)]) for amount in amounts
    ]


async def test_what_is_no_use_of_a_model_is_free(recording, ask, fake):
    gateway = await recording.start(prices=OWN)
    fake.play(Script(status=529), Script(status=400))
    await ask(gateway, PATHS["messages"], request("messages"))
    await ask(gateway, PATHS["chat"], request("chat"))
    fake.play(Script(close=True))
    await ask(gateway, PATHS["chat"], request("chat", model="free"))
    counted = await ask(gateway, PATHS["messages"] + "/count_tokens", request("messages"))
    assert counted[0] == 200
    refused, invalid, closed = await recording.costs()
    assert refused == invalid == ((0, "exact"), [])
    # The provider had the request: what it has done with it isn't known, and here it is free.
    assert closed == ((0, "estimated"), [(0, "estimated", "prices[1]")])


async def test_a_model_without_a_price_is_unpriced_and_not_free(recording, ask, fake):
    gateway = await recording.start(prices=OWN)
    await ask(gateway, PATHS["messages"], request("messages", model="unheard-of"))
    assert await recording.costs() == [((None, "unpriced"), [(None, "unpriced", None)])]


async def test_an_advisor_and_a_compaction_are_priced_each_by_its_model(recording, ask, fake):
    iterations = [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500},
        {"type": "message", "input_tokens": 1000, "output_tokens": 50},
        {"type": "advisor_message", "model": "free", "input_tokens": 800, "output_tokens": 70},
        {"type": "advisor_message", "model": "secret", "input_tokens": 8, "output_tokens": 7},
    ]
    usage = {"input_tokens": 1000, "output_tokens": 50, "iterations": iterations}
    usage["server_tool_use"] = {"web_search_requests": 2}
    body = {"id": "m", "type": "message", "model": "claude-x", "content": [], "usage": usage}
    gateway = await recording.start(prices=OWN)
    fake.play(Script(body=json.dumps(body).encode()))
    await ask(gateway, PATHS["messages"], request("messages"))
    own = 1000 * 3001 + 50 * 15003 + 2 * 10_010_000
    compaction = 180_000 * 3001 + 3500 * 15003
    assert await recording.costs() == [
        (
            (own + compaction, "unpriced"),
            [
                (own, "exact", BY_OWN),
                (compaction, "exact", BY_OWN),
                (0, "exact", "prices[1]"),
                (None, "unpriced", None),
            ],
        )
    ]


def tiered(api, tier, **changes):
    """A response that tells its tier, and a request that asks for another one."""
    if api == "messages":
        usage = {"input_tokens": 1000, "output_tokens": 0, "service_tier": tier}
        return {"id": "m", "type": "message", "content": [], "usage": usage, **changes}
    usage = {"input_tokens": 1000, "output_tokens": 0, "prompt_tokens": 1000}
    return {"id": "m", "choices": [], "output": [], "usage": usage, "service_tier": tier, **changes}


async def test_the_tier_that_was_used_is_priced_and_on_record(recording, ask, fake, clock):
    """By the table's prices, of which providers at other addresses make estimates."""
    gateway = await recording.start()
    clock.advance(333 * 24 * 3600)  # the tiers' prices begin in 2026
    searches = [{"type": "web_search_call", "id": "s", "action": {"type": "search"}}]
    fake.play(
        Script(body=json.dumps(tiered("messages", "batch")).encode()),
        Script(body=json.dumps(tiered("chat", "flex")).encode()),
        Script(body=json.dumps(tiered("responses", "priority", output=searches)).encode()),
        Script(body=json.dumps(tiered("chat", None)).encode()),
    )
    opus, gpt = {"model": "claude-opus-4-8"}, {"model": "gpt-5.4"}
    await ask(gateway, PATHS["messages"], request("messages", speed="standard", **opus))
    await ask(gateway, PATHS["chat"], request("chat", service_tier="auto", **gpt))
    await ask(gateway, PATHS["responses"], request("responses", service_tier="flex", **gpt))
    await ask(gateway, PATHS["chat"], request("chat", service_tier="flex", **gpt))
    found = await recording.costs()
    million, search = 1000 * 1000, 10_000_000
    assert [amount for (amount, _), _ in found] == [
        int(Decimal("2.5") * million),
        int(Decimal("1.25") * million),
        5 * million + search,
        int(Decimal("1.25") * million),
    ]
    assert metadata(recording) == [
        {"service_tier": "batch", "cost_reasons": "provider"},
        {"service_tier": "flex", "cost_reasons": "provider"},
        {"service_tier": "priority", "web_search_requests": 1, "cost_reasons": "provider"},
        {"asked_service_tier": "flex", "cost_reasons": "provider tier"},
    ]


LONG = Answer(text=" ".join(["word"] * 400), usage=SPENT)


async def test_a_stream_that_broke_costs_what_was_told_or_else_what_came(recording, ask, fake):
    gateway = await recording.start(prices=OWN)
    fake.play(Script(answer=LONG, cut_after=12_000, times=3))
    bodies = {}
    for api, path in PATHS.items():
        bodies[api] = request(api, stream=True)
        with pytest.raises(Exception, match="payload is not completed"):
            await ask(gateway, path, bodies[api])
    messages, chat, responses = await recording.costs()
    told = EXACT - 567 * 15003
    assert messages[0] == (told + 12_000 // 30 * 15003, "estimated")
    for found, api in ((chat, "chat"), (responses, "responses")):
        asked = len(json.dumps(bodies[api]))
        (amount, label), _ = found
        assert label == "estimated"
        # The gateway has asked for the usage, too.
        given = amount - 12_000 // 250 * 15003
        assert asked // 4 * 3001 <= given <= (asked + 99) // 4 * 3001
    assert {each["cost_reasons"] for each in metadata(recording)} == {"partial"}


async def test_a_reload_applies_new_rates_at_once(recording, ask, fake):
    gateway = await recording.start(prices=OWN)
    fake.play(Script(answer=Answer(usage=SPENT), times=2))
    await ask(gateway, PATHS["messages"], request("messages"))
    half = PriceSettings(input=Decimal(1), output=Decimal(0), cache_read=Decimal(0))
    gateway.reconfigure(replace(gateway.settings, prices=(half,)))
    await ask(gateway, PATHS["messages"], request("messages"))
    before, after = await recording.costs()
    assert before[0] == (EXACT, "exact")
    # Writes without a price of their own are input, for an hour twice of it.
    assert after[0] == ((1234 + 234 + 2 * 56) * 1000, "estimated")


async def test_what_runs_in_the_background_is_priced_when_it_is_fetched(
    recording, ask, fake, client
):
    def stored(status, usage):
        response = {"id": "resp_1", "object": "response", "status": status, "background": True}
        return Script(body=json.dumps({**response, "model": "m-1", "usage": usage}).encode())

    gateway = await recording.start(prices=OWN)
    usage = {"input_tokens": 1000, "output_tokens": 10}
    fake.play(stored("queued", None), stored("completed", usage))
    await ask(gateway, PATHS["responses"], request("responses", background=True))
    async with client.get(f"{gateway.url}{PATHS['responses']}/resp_1") as response:
        assert response.status == 200
    ((_, usages),) = await recording.costs()
    assert usages == [(1000 * 3001 + 10 * 15003, "exact", BY_OWN)]
