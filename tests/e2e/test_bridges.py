"""Bridges come and go under load, and so does the daemon: every request is recorded to its end."""

import asyncio
import random
import signal
from collections import Counter

import aiohttp
import pytest
from loguru import logger

from aibridged.config.options import Settings
from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema

PATH = "/anthropic/v1/messages"
BODY = {
    "model": "m",
    "max_tokens": 9,
    "stream": True,
    "messages": [{"role": "user", "content": "think hard"}],
}


@pytest.fixture
def new_token(database, clock):
    """Makes a user with a token."""
    store = TokenStore(database.engine, clock)

    def new_token(username):
        store.create_user(username)
        return store.create_token(username, name="laptop", lifetime=None)[1].reveal()

    return new_token


@pytest.fixture
def post(client):
    """Asks with a token, to the end of the answer."""

    async def post(gateway, token):
        headers = {"X-Coder-Token": token}
        async with client.post(gateway.url + PATH, json=BODY, headers=headers) as response:
            assert response.status == 200
            assert b"message_stop" in await response.read()

    return post


@pytest.fixture
def closed():
    """How many interceptions each bridge had that has closed, as the log tells."""
    counts = []

    def take(message):
        text = message.record["message"]
        if text.startswith("Closing a bridge after"):
            counts.append(int(text.split()[4]))

    sink = logger.add(take, level="DEBUG")
    yield counts
    logger.remove(sink)


def pool(gateway):
    return gateway._composition.components.bridges


def tell(rows):
    """Whose requests were recorded, and that all of each is."""
    for row in rows:
        assert row["interception"]["outcome"] == "completed"
        for table in ("token_usages", "user_prompts", "model_thoughts"):
            assert len(row[f"aibridge_{table}"]) == 1
    return Counter(row["interception"]["username"] for row in rows)


async def test_two_callers_that_evict_each_other_lose_no_record(
    recording, new_token, post, fake, closed
):
    gateway = await recording.start(auth="token", pool_max_items=1)
    tokens = [new_token("ann"), new_token("bob")] * 60
    random.shuffle(tokens)  # in turn they would soon come in two groups

    async def agent():
        while tokens:
            await post(gateway, tokens.pop())

    async with asyncio.TaskGroup() as agents:
        for _ in range(12):
            agents.create_task(agent())
    stats = pool(gateway).stats
    assert stats.hits + stats.misses == fake.seen == 120
    assert stats.misses == stats.additions == stats.evictions + 1
    assert stats.evictions > 10, stats
    assert tell(await recording.rows()) == {"ann": 60, "bob": 60}
    # Each once, and none before its last request: or that one would be missing here.
    assert len(closed) == stats.additions
    assert sum(closed) == 120


async def test_an_evicted_bridge_ends_after_its_stream(recording, new_token, post, fake, closed):
    gateway = await recording.start(auth="token", pool_max_items=1)
    ann, bob = new_token("ann"), new_token("bob")
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    stream = asyncio.get_running_loop().create_task(post(gateway, ann))
    await fake.received()
    await post(gateway, bob)
    await post(gateway, bob)
    assert pool(gateway).stats.evictions == 1
    assert closed == []
    gate.set()
    await stream
    assert tell(await recording.rows()) == {"ann": 1, "bob": 2}
    assert closed == [1, 2]


async def test_a_hundred_first_requests_make_one_bridge(recording, new_token, post, fake, closed):
    gateway = await recording.start(auth="token")
    token, gate = new_token("ann"), asyncio.Event()
    fake.play(Script(before_headers=gate, times=100))
    async with asyncio.timeout(20), asyncio.TaskGroup() as requests:
        for _ in range(100):
            requests.create_task(post(gateway, token))
        await fake.received(100)
        stats = pool(gateway).stats
        assert (stats.misses, stats.additions, stats.hits) == (1, 1, 99)
        gate.set()
    assert tell(await recording.rows()) == {"ann": 100}
    assert closed == [100]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_bridge_lives_for_its_time_and_for_what_it_has_begun(
    recording, new_token, post, fake, closed, clock
):
    gateway = await recording.start(auth="token")
    token, gate = new_token("ann"), asyncio.Event()
    stats, ttl = pool(gateway).stats, Settings().pool_ttl
    assert ttl == 15 * 60
    await post(gateway, token)
    clock.advance(ttl - 1)
    fake.play(Script(before_write={3: gate}))
    stream = asyncio.get_running_loop().create_task(post(gateway, token))
    await fake.received(2)
    assert (stats.additions, stats.evictions) == (1, 0)
    clock.advance(1)
    await post(gateway, token)
    assert (stats.additions, stats.evictions) == (2, 1)
    assert closed == []
    gate.set()
    await stream
    await recording.stop()
    assert closed == [2, 1]
    assert tell(await recording.rows()) == {"ann": 3}


async def test_a_stream_that_the_end_of_the_daemon_meets_is_recorded(
    database, daemon_in_front_of, client, fake
):
    """One ends within the shutdown timeout, one's client leaves, and one is cut by it."""
    variables = {"CODER_STATE_DIR": str(database.state_dir), "CODER_SHUTDOWN_TIMEOUT": "500ms"}
    if not database.is_sqlite:
        variables["CODER_PG_CONNECTION_URL"] = database.url.render_as_string(hide_password=False)
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}), Script(stall_after=3, times=2))
    async with daemon_in_front_of(fake.base_url, **variables) as daemon:
        ending, left, cut = [await client.post(daemon.url + PATH, json=BODY) for _ in range(3)]
        for stream in (ending, left, cut):
            await stream.content.readany()
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.until("Shutting down")
        gate.set()
        left.close()
        assert b"message_stop" in await ending.read()
        with pytest.raises(aiohttp.ClientPayloadError):
            await cut.read()
        assert await daemon.process.wait() == 0
    rows = sorted(database.rows(schema.interceptions), key=lambda row: row["started_at"])
    assert [(row["outcome"], row["status_code"], row["usage_partial"]) for row in rows] == [
        ("completed", 200, False),
        ("client_closed", 200, True),
        ("interrupted", 200, True),
    ]
    assert len(database.rows(schema.token_usages)) == 3
