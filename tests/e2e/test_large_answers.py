"""The record asked over HTTP: however much is in it, and however slowly an answer is read."""

import asyncio
import json
import re
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from aibridged.api import handler
from aibridged.identity.anonymous import LOCAL_ACTOR
from aibridged.records.cancel_scope import QueryTimeoutError
from aibridged.records.child_rows import ChildRows
from aibridged.records.database import database_url, make_engine
from aibridged.records.facts import InterceptionStart, ModelThoughtRecord, UserPromptRecord
from aibridged.records.ids import uuid7
from aibridged.records.store import Store
from tests.migrated import migrate
from tests.waiting import until

API = "/api/v2/aibridge"
COUNT, THOUGHTS, CHARACTERS = 24, 16, 4_000_000


@pytest.fixture
def state_dir(tmp_path, clock):
    """A database as an earlier release left it: prompts of many megabytes, in one session."""
    migrate(tmp_path)
    engine = make_engine(database_url(tmp_path))
    store = Store(engine)
    store.connect()
    for number in range(COUNT):
        at = clock.wall() + timedelta(seconds=number)
        start = InterceptionStart(
            id=uuid7(at),
            initiator_id=LOCAL_ACTOR.id,
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            client_session_id="s",
            started_at=at,
        )
        prompt = UserPromptRecord(
            id=uuid7(at), interception_id=start.id, created_at=at, prompt="x" * CHARACTERS
        )
        store.write([start], [])
        store.write([], [prompt])
    thoughts = (
        ModelThoughtRecord(
            id=uuid7(at, number), interception_id=start.id, created_at=at, content="x" * CHARACTERS
        )
        for number in range(THOUGHTS)
    )
    for thought in thoughts:  # of the last one
        store.write([], [thought])
    store.flush()
    store.close()
    return tmp_path


def peak_of(process):
    """The most memory that it has had, in bytes, since the last time."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="utf-8")
    return int(peak[1]) * 1024


async def test_no_answer_takes_much_memory(start_daemon, client, state_dir):
    """Of 160 MB of texts: a page of a list, a session in pages, and an item of 68 MB by itself."""
    daemon = await start_daemon(CODER_STATE_DIR=str(state_dir), CODER_AIBRIDGE_RETENTION="0")

    async def get(path):
        async with client.get(f"{daemon.url}{API}{path}") as reply:
            assert reply.status == 200
            return json.loads(await reply.read())

    # What is loaded with the first questions doesn't count.
    await get("/interceptions?limit=1")
    await get("/sessions/s/interceptions?limit=1")
    peak_of(daemon.process)
    before = peak_of(daemon.process)
    page = await get("/interceptions?limit=1000")
    assert len(page["results"]) == COUNT
    (prompt,) = page["results"][0]["user_prompts"]
    assert (len(prompt["prompt"]), prompt["truncated"]) == (1024, True)
    assert len((await get("/sessions"))["sessions"][0]["last_prompt"]) == 1024
    seen, query, more = 0, "", True
    while more:
        page = await get(f"/sessions/s/interceptions?limit=1000{query}")
        found = [each for thread in page["threads"] for each in thread["interceptions"]]
        assert 1 <= len(found) <= 3  # a page of 8 MiB and the item that fills it
        assert all(len(each["user_prompts"][0]["prompt"]) == CHARACTERS for each in found)
        seen, more, query = seen + len(found), page["more"], f"&after_id={found[-1]['id']}"
    assert seen == COUNT
    whole = await get(f"/interceptions/{found[-1]['id']}")
    assert [len(each["content"]) for each in whole["model_thoughts"]] == [CHARACTERS] * THOUGHTS
    grown = peak_of(daemon.process) - before
    assert grown < 10 * CHARACTERS, f"{grown / 1e6:.0f} MB"


@pytest.fixture
async def gateway(start_gateway, state_dir):
    return await start_gateway(state_dir=state_dir, http_write_timeout=0.2)


async def ask_and_stop_reading(gateway, path):
    """A connection whose client takes the first bytes of an answer, and no more."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    host, port = gateway.url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, (host, int(port)))
    await loop.sock_sendall(made, f"GET {API}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert (await loop.sock_recv(made, 12)) == b"HTTP/1.1 200"
    return made


async def until_idle(gateway):
    """No thread is busy with a question."""
    places = gateway.components.api._queries._places
    await until(lambda: not places.taken)


@pytest.mark.parametrize("leaves", [True, False])
async def test_an_answer_that_is_not_read_is_dropped(gateway, leaves):
    client = await ask_and_stop_reading(gateway, "/sessions/s")
    assert gateway.components.api._queries._places.taken == 1
    if leaves:
        client.close()
    await until_idle(gateway)
    client.close()


async def test_an_answer_that_takes_too_long_is_broken_off(gateway, client, monkeypatch):
    monkeypatch.setattr(handler, "ANSWER_S", 0.5)
    gateway._server.limits.write_timeout = 30
    reading = await ask_and_stop_reading(gateway, "/sessions/s")
    await until_idle(gateway)
    got = bytearray()
    with suppress(ConnectionResetError):
        while chunk := await asyncio.get_running_loop().sock_recv(reading, 1 << 20):
            got += chunk
    assert not got.endswith(b"0\r\n\r\n")
    reading.close()


async def test_an_answer_that_fails_half_way_is_broken_off(gateway, client, monkeypatch):
    """No client may take the half for a whole."""
    read, count = ChildRows._read_one, []

    def fail_at_the_second(self, kind, id):
        count.append(id)
        if len(count) == 2:
            raise QueryTimeoutError("too long")
        return read(self, kind, id)

    monkeypatch.setattr(ChildRows, "_read_one", fail_at_the_second)
    async with client.get(f"{gateway.url}{API}/sessions/s") as reply:
        assert reply.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    await until_idle(gateway)


async def test_a_head_of_a_large_answer_has_no_body(gateway, client):
    async with client.head(f"{gateway.url}{API}/sessions/s") as reply:
        assert (reply.status, reply.content_type) == (200, "application/json")
        assert await reply.read() == b""
    await until_idle(gateway)
    async with client.get(f"{gateway.url}/healthz") as reply:
        assert reply.status == 200
