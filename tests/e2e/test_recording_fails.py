"""The database goes away: nothing unrecorded goes upstream, no client notices, nothing is lost."""

import asyncio
import sqlite3
from contextlib import contextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from aibridged.daemon import recording
from aibridged.daemon.gateway import CannotStartError
from aibridged.fake_provider import Script
from aibridged.records import open_database
from aibridged.records.database import make_engine
from aibridged.records.recorder import Recorder
from tests.waiting import until

MESSAGES = "/anthropic/v1/messages"
# With what ends a stream.
PATHS = {
    MESSAGES: b"event: message_stop",
    "/openai/v1/chat/completions": b"data: [DONE]",
    "/openai/v1/responses": b"event: response.completed",
}


def question(path, text="from cache use the tools", **options):
    """A streaming request to any of the three APIs, with a tool."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    conversation = [{"role": "user", "content": text}]
    body = {"model": "m" * 200, "stream": True, **options}
    if path == MESSAGES:
        tools = [{"name": "weather", "input_schema": schema}]
        return {**body, "max_tokens": 9, "messages": conversation, "tools": tools}
    function = {"name": "weather", "parameters": schema}
    if path.endswith("completions"):
        tools = [{"type": "function", "function": function}]
        return {**body, "messages": conversation, "tools": tools}
    return {**body, "input": conversation, "tools": [{"type": "function", **function}]}


@contextmanager
def locked(database):
    """Another process holds SQLite's write lock."""
    other = sqlite3.connect(database.state_dir / "aibridged.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


@contextmanager
def moved(database):
    """The file is taken away from under the daemon, and brought back."""
    path = database.state_dir / "aibridged.db"
    elsewhere = path.rename(path.with_name("elsewhere"))
    yield
    elsewhere.rename(path)


@contextmanager
def with_pragma(recorder, pragma):
    """The recorder's connection has the pragma, and each that it opens later."""

    def set_it(connection, _record):
        connection.execute(pragma)

    backend = recorder._writer._store._backend
    backend._connection.execute(pragma)
    sa.event.listen(backend._engine, "connect", set_it)
    yield
    sa.event.remove(backend._engine, "connect", set_it)


@pytest.fixture
def recorder(monkeypatch):
    """The recorder of the gateway that was started last; it tries to come back soon."""
    made = []

    def make(*args, **options):
        made.append(Recorder(*args, **options, retry_interval=0.05))
        return made[-1]

    monkeypatch.setattr(recording, "Recorder", make)
    monkeypatch.setattr(open_database, "make_engine", partial(make_engine, busy_timeout=0.05))
    return lambda: made[-1]


OUTAGES = ["locked", "moved", "read-only", "full", "restarted"]


@pytest.fixture(params=OUTAGES)
def outage(request, recorder):
    """A context in which the database is away."""

    @contextmanager
    def restarted():
        server = request.getfixturevalue("postgres_server")
        server.stop()
        try:
            yield
        finally:
            server.start()

    return {
        "locked": lambda: locked(request.getfixturevalue("database")),
        "moved": lambda: moved(request.getfixturevalue("database")),
        "read-only": lambda: with_pragma(recorder(), "PRAGMA query_only = ON"),
        # The file may not grow by a single page.
        "full": lambda: with_pragma(recorder(), "PRAGMA max_page_count = 1"),
        "restarted": restarted,
    }[request.param]


@pytest.fixture
def database(request):
    """The kind of database that the outage happens to."""
    callspec = getattr(request.node, "callspec", None)
    is_restarted = callspec is not None and callspec.params.get("outage") == "restarted"
    is_postgres = is_restarted or "postgres_server" in request.fixturenames
    return request.getfixturevalue("postgres_database" if is_postgres else "sqlite_database")


@pytest.fixture
def post(client, clock):
    """Posts a question; the status, the reason and the body of the answer."""

    async def post(gateway, path=MESSAGES, **options):
        clock.advance(1)
        body = question(path, **options)
        async with client.post(gateway.url + path, json=body) as response:
            reason = response.headers.get("X-Aibridge-Reason")
            return response.status, reason, await response.read()

    return post


def balances(fake, rows):
    """Whether requests seen upstream = start rows = end rows, and usage emitted = recorded.

    A start whose commit wasn't confirmed may have a row: it says that it was refused.
    """
    sent = [row for row in rows if row["interception"]["status_code"] != 503]
    assert len(sent) == fake.seen == len(fake.requests)
    assert {row["interception"]["outcome"] for row in rows if row not in sent} <= {"failed"}
    assert {row["interception"]["outcome"] for row in sent} == {"completed"}
    recorded = [
        (each["input_tokens"], each["output_tokens"], each["cache_read_input_tokens"])
        for row in sent
        for each in row["aibridge_token_usages"]
    ]
    emitted = [request.usage for request in fake.requests]
    assert sorted(recorded) == sorted(
        (usage.input, usage.output, usage.cache_read) for usage in emitted
    )
    assert all(len(row["aibridge_user_prompts"]) == 1 for row in sent)
    assert all(len(row["aibridge_tool_usages"]) == 2 for row in sent)
    return True


async def refused(gateway, post, fake):
    """Ask until a request is refused: on a disk that is full some may still find a place."""
    for _ in range(50):
        before = fake.seen
        status, reason, body = await post(gateway)
        if status != 200:
            assert fake.seen == before
            return status, reason, body
    return pytest.fail("none was refused")


async def test_what_cannot_be_recorded_is_refused_and_not_sent(
    recording, recorder, outage, post, fake, client
):
    gateway = await recording.start()
    assert (await post(gateway))[0] == 200
    with outage():
        status, reason, body = await refused(gateway, post, fake)
        assert (status, reason) == (503, "recording_failed")
        assert b"could not be recorded" in body
        seen = fake.seen
        for path in PATHS:  # and at once from now on
            assert (await post(gateway, path))[:2] == (503, "recording_failed")
        assert fake.seen == seen
        async with client.get(gateway.url + "/readyz") as ready:
            assert (ready.status, await ready.text()) == (503, "requests can't be recorded\n")
    await until(lambda: not recorder().stats.database_away)
    async with client.get(gateway.url + "/readyz") as ready:
        assert ready.status == 200
    for path in PATHS:
        assert (await post(gateway, path))[0] == 200
    assert balances(fake, await recording.rows())
    assert recorder().stats.records_lost == 0


@pytest.mark.parametrize("then", ["it-comes-back", "the-next-start-replays"])
async def test_a_stream_goes_on_and_is_recorded_later(
    recording, recorder, outage, post, fake, then
):
    gateway = await recording.start()
    gate = asyncio.Event()
    streams = len(PATHS) * 3
    fake.play(Script(before_write={4: gate}, times=streams))
    loop = asyncio.get_running_loop()
    asked = [
        loop.create_task(post(gateway, path, text="from cache use the tools " + "x" * 5000))
        for path in [*PATHS] * 3
    ]
    async with asyncio.timeout(10):
        await fake.received(streams)
    with outage():
        await refused(gateway, post, fake)
        gate.set()
        said = await asyncio.gather(*asked)
        assert [status for status, _, _ in said] == [200] * streams
        for path, (_, _, body) in zip([*PATHS] * 3, said, strict=True):
            assert PATHS[path] in body
        await until(lambda: recorder().stats.spool_bytes and recorder().queue_length == 0)
        if then == "the-next-start-replays":
            await recording.stop()
    if then == "it-comes-back":
        await until(lambda: not recorder().stats.database_away)
        assert recorder().stats.records_replayed == recorder().stats.records_spooled > 0
    else:
        gateway = await recording.start()
    assert (await post(gateway))[0] == 200
    assert balances(fake, await recording.rows())
    assert recorder().stats.records_lost == 0
    assert (recording.database.state_dir / "spool.jsonl").stat().st_size == 0


async def cannot_start(recording):
    with pytest.raises(CannotStartError) as caught:
        await recording.start()
    [line] = str(caught.value).splitlines()
    return line


async def test_without_its_file_the_gateway_does_not_start(recording, recorder, database):
    with locked(database):
        assert "locked" in await cannot_start(recording)
    path = database.state_dir / "aibridged.db"
    path.write_bytes(b"Somebody's notes. " * 1000)
    assert "not a database" in await cannot_start(recording)
    path.unlink()
    path.mkdir()
    assert str(path) in await cannot_start(recording)


async def test_with_a_linked_file_in_the_place_of_its_own_the_gateway_does_not_start(
    recording, database, tmp_path
):
    target = tmp_path / "target"
    target.write_text("precious")
    spool = database.state_dir / "spool.jsonl"
    spool.symlink_to(target)
    said = await cannot_start(recording)
    assert str(spool) in said
    assert "symbolic link" in said
    assert target.read_text() == "precious"


async def test_without_its_server_the_gateway_does_not_start(recording, postgres_server):
    postgres_server.stop()
    try:
        assert "connection" in await cannot_start(recording)
    finally:
        postgres_server.start()
    await recording.start()
