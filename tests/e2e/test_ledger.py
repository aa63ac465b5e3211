"""The ledger: whatever happens, what the provider saw is recorded, once, and so is what it cost."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from aibridged.fake_provider import FakeProvider, Script
from aibridged.identity.groups import GroupStore
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema
from tests.e2e.conftest import LISTENS, daemon_environment
from tests.e2e.spend_limits import is_balanced, ledger, set_limit

MESSAGES = "/anthropic/v1/messages"
COMPLETIONS = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
PATHS = (MESSAGES, COMPLETIONS, RESPONSES)
AGENTS = 12
KILLS = int(os.environ.get("AIBRIDGED_KILLS", "20"))
PROGRAM = Path(__file__).with_name("forking_daemon.py")
NAME = "X-Claude-Code-Session-Id"

# How a request fares, by the beginning of its name; the outcome, the status and whether tokens
# may have been used that weren't counted.
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


def question(path, stream, text="think hard from cache"):
    """The prompt costs tokens of every kind."""
    conversation = [{"role": "user", "content": text}]
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


class Daemons:
    """One daemon after another, each killed; `url` and `pid` are the present one's."""

    def __init__(self, process):
        self._process = process
        self._listening = asyncio.Queue()
        self.log = []
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def start(self):
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(60):
            self.pid = int(await self._process.stdout.readline())
            self.url = await self._listening.get()
        assert self.url, self.log

    async def end(self, number):
        """End it by a signal; its exit status."""
        os.kill(self.pid, number)
        status = int(await self._process.stdout.readline())
        self.pid = None
        return status

    async def close(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self._process.stdin.close()
        await self._process.wait()
        await self._following

    async def _follow(self):
        async for line in self._process.stderr:
            self.log.append(line.decode())
            if match := LISTENS.search(self.log[-1]):
                self._listening.put_nowait(match[1])
        self._listening.put_nowait(None)


@pytest.fixture
async def daemons(database, fake):
    """Daemons in front of `fake` with one database, as long as the test lasts."""
    variables = daemon_environment(fake.base_url, str(database.state_dir))
    variables["PYTHONPATH"] = str(PROGRAM.parents[2])
    variables["CODER_AIBRIDGE_AUTH"] = "token"
    variables["CODER_AIBRIDGE_UNPRICED"] = "100"
    if not database.is_sqlite:
        variables["CODER_PG_CONNECTION_URL"] = database.url.render_as_string(hide_password=False)
    made = Daemons(
        await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            env=variables,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    yield made
    await made.close()


@pytest.fixture
def token(database, clock):
    """A user's, with limits of their own, of the token and of a pool of their group."""
    store, groups = TokenStore(database.engine, clock), GroupStore(database.engine, clock)
    store.create_user("ann")
    info, token = store.create_token("ann", name="", lifetime=None)
    group = groups.create("staff")
    groups.add("staff", ["ann"])
    for scope, id in (("organization", ""), ("token", info.id), ("group_pool", group.id)):
        set_limit(database.engine, clock, 10**9, scope=scope, scope_id=id)
    return token.reveal()


@pytest.mark.drill
async def test_killed_at_any_moment_it_has_recorded_what_clients_and_provider_saw(
    database, daemons, client, fake, token
):
    """Also what ended just before, and was in memory only: usage, tool calls, cost and the end.

    At each moment the counters of what user, token and pool have spent and reserved say what the
    rows do.
    """
    numbers, left_open, reserved, answered = count(), 0, 0, set()
    for _ in range(KILLS):
        await daemons.start()
        killed = asyncio.Event()

        async def agent(killed=killed):
            while not killed.is_set():
                name = f"good-{next(numbers)}"
                with suppress(aiohttp.ClientError):
                    await answered_whole(client, daemons.url, token, name)
                    answered.add(name)

        async with asyncio.timeout(60), asyncio.TaskGroup() as agents:
            for _ in range(AGENTS):
                agents.create_task(agent())
            # A random moment within the work: of commits, flushes, checkpoints and streams.
            await fake.received(fake.seen + random.randint(1, 100))
            await daemons.end(signal.SIGKILL)
            killed.set()
        left_open += database.open_count()
        reserved += ledger(database.engine)[1]
        assert is_balanced(database.engine)
    assert left_open
    assert reserved
    await daemons.start()
    assert database.open_count() == 0
    spent, reserved = ledger(database.engine)
    assert spent > reserved == 0
    assert await daemons.end(signal.SIGTERM) == 0
    assert is_balanced(database.engine)
    subjects = {row["subject"].partition(":")[0] for row in database.rows(schema.spend)}
    assert subjects == {"user", "token", "group_pool"}
    rows = database.rows(schema.interceptions)
    names = Counter(row["client_session_id"] for row in rows)
    upstream = {request.header(NAME): request for request in fake.requests}
    assert len(upstream) == fake.seen
    assert upstream.keys() <= names.keys()
    assert set(names.values()) == {1}
    for row in rows:
        if row["client_session_id"] not in upstream:
            assert row["outcome"] == "interrupted"  # it was about to go
    by_name = {row["client_session_id"]: row for row in rows}
    lost = [name for name in answered if by_name[name]["outcome"] != "completed"]
    assert not lost, f"{len(lost)} of {len(answered)} whole answers: {lost}"
    whole(database, {row["id"]: row for row in rows}, upstream)


async def answered_whole(client, url, token, name):
    """Ask for a text and two tool calls; the answer has come to its end, or raises."""
    path, stream = random.choice(PATHS), random.random() < 0.7
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "weather", "parameters": schema}
    tools = {
        MESSAGES: [{"name": "weather", "input_schema": schema}],
        COMPLETIONS: [{"type": "function", "function": function}],
        RESPONSES: [{"type": "function", **function}],
    }
    body = {**question(path, stream, "from cache use the tools"), "tools": tools[path]}
    headers = {"User-Agent": "claude-cli/2.0.14", "X-Coder-Token": token, NAME: name}
    async with client.post(url + path, json=body, headers=headers) as answer:
        await answer.read()
        assert answer.status == 200


def whole(database, rows, upstream):
    """What has ended has all that belongs to it, once; what was interrupted has no half of it."""
    assert {row["outcome"] for row in rows.values()} <= {"completed", "interrupted"}
    assert all(row["ended_at"] >= row["started_at"] for row in rows.values())
    completed = {id for id, row in rows.items() if row["outcome"] == "completed"}
    assert all(row["reserved_nanos"] is None for row in rows.values())
    usages = database.rows(schema.token_usages)
    owners = [usage["interception_id"] for usage in usages]
    assert sorted(owners) == sorted(completed)
    calls = Counter(call["interception_id"] for call in database.rows(schema.tool_usages))
    assert calls == dict.fromkeys(completed, 2)
    for usage in usages:
        name = rows[usage["interception_id"]]["client_session_id"]
        assert recorded(usage) == spent(upstream[name].usage)
        assert usage["cost_nanos"] == rows[usage["interception_id"]]["cost_nanos"] > 0
    prompts = [prompt["interception_id"] for prompt in database.rows(schema.user_prompts)]
    assert len(prompts) == len(set(prompts))
    assert completed <= set(prompts)
    if database.is_sqlite:
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None
