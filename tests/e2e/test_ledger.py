"""The ledger: whatever happens, what the provider saw is recorded, once, and so is what it cost."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from itertools import count

import aiohttp
import pytest

from aibridged.fake_provider import FakeProvider, Script
from aibridged.records import schema

MESSAGES = "/anthropic/v1/messages"
COMPLETIONS = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
PATHS = (MESSAGES, COMPLETIONS, RESPONSES)
AGENTS = 12
NAME = "X-Claude-Code-Session-Id"

# How a request fares, by the beginning of its name; the outcome, the status and whether tokens
# may have been used that nobody counted.
FATES = {
    "good": (Script(), ("completed", 200, False)),
    "refused": (Script(status=529), ("failed", 529, False)),
    "overloaded": (Script(error="overloaded_error", error_after=2), ("failed", 200, True)),
    "cut": (Script(cut_after=150), ("failed", 200, True)),
    "reset": (Script(close=True, reset=True), ("failed", 502, True)),
    "left": (Script(stall_after=1), ("client_closed", 200, True)),
}


def fate(name):
    return FATES[name.partition("-")[0]]


@pytest.fixture
async def fake():
    """A provider that treats each request as its name says, and remembers all of them."""
    provider = FakeProvider(choose=lambda each: fate(each.header(NAME))[0], keep=100_000)
    await provider.start()
    yield provider
    await provider.stop()


def question(path, stream):
    """The prompt costs tokens of every kind."""
    conversation = [{"role": "user", "content": "think hard from cache"}]
    body = {"model": "m", "stream": stream}
    if path == RESPONSES:
        return {**body, "input": conversation}
    return {**body, "max_tokens": 9, "messages": conversation}


async def ask(client, url, path, name, *, stream=True):
    """One request, to its end or to its beginning; whatever becomes of it."""
    headers = {"User-Agent": "claude-cli/2.0.14", NAME: name}
    with suppress(aiohttp.ClientError):
        async with client.post(url + path, json=question(path, stream), headers=headers) as answer:
            if name.startswith("left"):
                await answer.content.readany()
            else:
                await answer.read()


def spent(usage):
    """The tokens that an answer told of, as they are recorded."""
    return (usage.input, usage.output, usage.cache_read, usage.all_cache_write)


def recorded(row):
    names = ("input", "output", "cache_read_input", "cache_write_input")
    return tuple(row[f"{name}_tokens"] for name in names)


async def test_under_a_mixed_load_the_books_balance(recording, client, fake):
    gateway = await recording.start()
    names = iter([f"{kind}-{number}" for number in range(40) for kind in FATES])

    async def agent():
        for name in names:
            path = random.choice(PATHS)
            # What isn't streamed can't be left half-way, nor hold an error.
            stream = name.startswith(("left", "overloaded")) or random.random() < 0.7
            await ask(client, gateway.url, path, name, stream=stream)

    async with asyncio.TaskGroup() as agents:
        for _ in range(AGENTS):
            agents.create_task(agent())
    async with asyncio.timeout(10):
        for request in fake.requests:
            if request.header(NAME).startswith("left"):
                await request.disconnected.wait()
    rows = {row["interception"]["client_session_id"]: row for row in await recording.rows()}
    upstream = {request.header(NAME): request for request in fake.requests}
    assert len(upstream) == fake.seen == 40 * len(FATES)
    assert rows.keys() == upstream.keys()
    for name, row in rows.items():
        how = tuple(row["interception"][key] for key in ("outcome", "status_code", "usage_partial"))
        assert how == fate(name)[1], name
        [prompt] = row["aibridge_user_prompts"]
        assert prompt["prompt"] == "think hard from cache"
        usages = [recorded(usage) for usage in row["aibridge_token_usages"]]
        if name.startswith("good"):
            assert usages == [spent(upstream[name].usage)]
        assert len(usages) <= 1
    counts = recording.database.counts()
    assert counts["aibridge_interceptions"] == len(rows)
    assert recording.database.open_count() == 0


@pytest.mark.parametrize("kills", [5])
async def test_killed_at_any_moment_it_has_recorded_what_the_provider_saw(
    database, daemon_in_front_of, client, fake, kills
):
    kills = kills if database.is_sqlite else kills // 2
    where = {"CODER_STATE_DIR": str(database.state_dir)}
    if not database.is_sqlite:
        where["CODER_PG_CONNECTION_URL"] = database.url.render_as_string(hide_password=False)
    numbers, left_open = count(), 0
    for _ in range(kills):
        async with daemon_in_front_of(fake.base_url, **where) as daemon:

            async def agent(daemon=daemon):
                while daemon.process.returncode is None:
                    name = f"good-{next(numbers)}"
                    await ask(client, daemon.url, random.choice(PATHS), name)

            async with asyncio.timeout(20), asyncio.TaskGroup() as agents:
                for _ in range(AGENTS):
                    agents.create_task(agent())
                # A random moment within the work: of commits, flushes, checkpoints and streams.
                await fake.received(fake.seen + random.randint(1, 150))
                daemon.process.kill()
                await daemon.process.wait()
        left_open += database.open_count()
    assert left_open
    async with daemon_in_front_of(fake.base_url, **where) as daemon:
        assert database.open_count() == 0
        daemon.process.terminate()
        assert await daemon.process.wait() == 0
    rows = database.rows(schema.interceptions)
    names = Counter(row["client_session_id"] for row in rows)
    upstream = {request.header(NAME): request for request in fake.requests}
    assert len(upstream) == fake.seen
    assert upstream.keys() <= names.keys()
    assert set(names.values()) == {1}
    for row in rows:
        if row["client_session_id"] not in upstream:
            assert row["outcome"] == "interrupted"  # it was about to go
    whole(database, {row["id"]: row for row in rows}, upstream)


def whole(database, rows, upstream):
    """What has ended has all that belongs to it, once; what was interrupted has no half of it."""
    assert {row["outcome"] for row in rows.values()} <= {"completed", "interrupted"}
    assert all(row["ended_at"] >= row["started_at"] for row in rows.values())
    completed = {id for id, row in rows.items() if row["outcome"] == "completed"}
    usages = database.rows(schema.token_usages)
    owners = [usage["interception_id"] for usage in usages]
    assert sorted(owners) == sorted(completed)
    for usage in usages:
        name = rows[usage["interception_id"]]["client_session_id"]
        assert recorded(usage) == spent(upstream[name].usage)
    prompts = [prompt["interception_id"] for prompt in database.rows(schema.user_prompts)]
    assert len(prompts) == len(set(prompts))
    assert completed <= set(prompts)
    if database.is_sqlite:
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None
