"""Fingerprints of what is sent to the providers, where the switch is on."""

import gzip
import json
from dataclasses import replace
from decimal import Decimal
from io import BytesIO

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aibridged.config.kinds import Address
from aibridged.config.options import PriceSettings
from aibridged.fake_provider import Answer, Script, Usage
from aibridged.records import schema
from aibridged.records.cache_breaks import find_breaks
from aibridged.records.fingerprints import KEY_FILE, Stored, assembled

MESSAGES = "/anthropic/v1/messages"
PRICE = PriceSettings(
    model="*",
    input=Decimal(10),
    output=Decimal(10),
    cache_read=Decimal(1),
    cache_write_5m=Decimal(10),
)
FIELDS = {
    MESSAGES: "messages",
    "/openai/v1/chat/completions": "messages",
    "/openai/v1/responses": "input",
}


def body(path, *texts, **more):
    asked = [{"role": "user", "content": text} for text in texts]
    limit = {"max_tokens": 9} if path == MESSAGES else {}
    return {"model": "m", FIELDS[path]: asked, **limit, **more}


@pytest.fixture
def post(client):
    async def post(gateway, path, *texts, **more):
        async with client.post(gateway.url + path, json=body(path, *texts, **more)) as response:
            await response.read()
            assert response.status == 200

    return post


def rows(recording):
    found = recording.database.rows(schema.prompt_fingerprints)
    return {row["interception_id"]: Stored(**row) for row in found}


@pytest.mark.parametrize("path", FIELDS)
async def test_the_blocks_of_each_api_are_kept(recording, post, path):
    gateway = await recording.start(prompt_fingerprints=True)
    await post(gateway, path, "hello", "secret words")
    await recording.stop()
    [(id, row)] = rows(recording).items()
    _, prompt = assembled(id, {id: row})
    assert [(each.kind, each.role) for each in prompt.traits] == [("text", "user")] * 2
    assert b"secret" not in row.blocks
    assert (recording.database.state_dir / KEY_FILE).stat().st_mode & 0o777 == 0o600


async def test_a_reload_switches_them_and_metrics_count_them(start_gateway, client, post, tmp_path):
    gateway = await start_gateway(
        prometheus_enable=True, prometheus_address=Address("127.0.0.1", 0)
    )
    await post(gateway, MESSAGES, "hello")
    key = gateway.settings.state_dir / KEY_FILE
    assert not key.exists()
    gateway.reconfigure(replace(gateway.settings, prompt_fingerprints=True))
    await post(gateway, MESSAGES, "hello")
    gateway._composition.resources.fingerprints.finish(10)
    assert key.exists()
    async with client.get(
        gateway.metrics_urls[0], headers={"Accept-Encoding": "identity"}
    ) as response:
        scraped = await response.text()
    told = {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
        if sample.name == "aibridged_prompt_fingerprints_total"
    }
    assert told == {"stored": 1, "dropped": 0, "unreadable": 0}


async def test_a_body_that_is_coded_or_large_is_read_too(recording, client, post):
    gateway = await recording.start(prompt_fingerprints=True)
    large = body(MESSAGES, "hello", "x" * 2_000_000, tools=[{"name": "ls", "input_schema": {}}])
    plain = json.dumps(large).encode()
    url, coding = gateway.url + MESSAGES, {"Content-Encoding": "gzip"}
    for data, headers in ((plain, {}), (gzip.compress(plain), coding)):
        async with client.post(url, data=BytesIO(data), headers=headers) as response:
            await response.read()
            assert response.status == 200
    await recording.stop()
    found = rows(recording)
    assert [row.total for row in found.values()] == [3, 3]
    assert len({assembled(id, found)[1].digests for id in found}) == 1


async def test_what_was_asked_for_tells_what_broke_the_cache(recording, fake, post, clock, client):
    gateway = await recording.start(prompt_fingerprints=True)
    for tools in (["ls"], ["ls", "cat"]):
        usage = Usage(input=9, output=1, cache_write=20_000)
        fake.play(Script(answer=Answer(text="ok", usage=usage)))
        tools = [{"name": name, "input_schema": {}} for name in tools]
        await post(gateway, MESSAGES, "hello", tools=tools)
        clock.advance(30)
    await recording.stop()
    with recording.database.engine.connect() as connection:
        ids = [row["id"] for row in recording.database.rows(schema.interceptions)]
        [broken] = find_breaks(connection, ids).values()
    assert (broken.found.cause, broken.found.lost_tokens) == ("tools_changed", 20_000)

    gateway = await recording.start(prices=(PRICE,))
    await gateway._composition.resources.pricing.loaded()

    async def get(path):
        async with client.get(f"{gateway.url}/api/v2/aibridge{path}") as response:
            assert response.status == 200, await response.text()
            return response.content_type, await response.text()

    later = max(ids)
    session = json.loads((await get(f"/interceptions/{later}"))[1])["session_id"]
    kind, told = await get(f"/sessions/{session}/cache")
    assert kind == "application/json"
    # Each session is one turn here: what it goes on from is in the other.
    [found] = json.loads(told)["breaks"]
    assert (found["cause"], found["cost"]) == ("tools_changed", "0.18")
    assert found["difference"] == {
        "place": 1,
        "change": "inserted",
        "kind": "tool",
        "role": "",
        "size_before": None,
        "size": 35,
    }
    exported = json.loads((await get(f"/sessions/{session}/export"))[1])
    [turn] = exported["threads"][0]["interceptions"]
    assert turn["cache_break"]["before_id"] == min(ids)
    kind, told = await get(f"/sessions/{session}/markdown")
    assert kind == "text/markdown"
    assert "the tools changed: block 2 (tool) was inserted" in told
    row = turn["user_prompts"][0]["id"]
    assert await get(f"/interceptions/{later}/text?row={row}") == ("text/plain", "hello")
