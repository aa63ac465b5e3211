"""Who gets in, through the whole gateway: tokens of its own, and those of a Coder deployment."""

import asyncio
import os
import pty
import re
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from uuid import uuid4

import anthropic
import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from loguru import logger

from aibridged.config.options import Settings
from aibridged.daemon import gatekeeper
from aibridged.identity.tokens import TokenStore
from aibridged.observe.logging import configure
from aibridged.records import schema

PATH = "/anthropic/v1/messages"
BODY = b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
TOKEN = re.compile(r"aib_[0-9a-z]{10}_[0-9A-Za-z]{43}")
DAY_S = 24 * 3600.0


@pytest.fixture
def store(database, clock):
    """The users and tokens, as the command line reaches them."""
    return TokenStore(database.engine, clock)


@pytest.fixture
def new_token(store):
    """Makes a token, of a new user if there is none of the name."""

    def new_token(username="ann", *, lifetime=None):
        if username not in {user.username for user in store.list_users()}:
            store.create_user(username)
        info, secret = store.create_token(username, name="laptop", lifetime=lifetime)
        return info.id, secret.reveal()

    return new_token


@pytest.fixture
def ask(connect_sdk):
    """Asks through both SDKs; the kinds of what they raise, or None for an answer."""

    async def ask(gateway, token):
        said = []
        for name in ("anthropic", "openai"):
            sdk = connect_sdk(name, gateway.url, api_key=token)
            question = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            try:
                if name == "anthropic":
                    await sdk.messages.create(max_tokens=9, **question)
                else:
                    await sdk.chat.completions.create(**question)
            except (anthropic.APIStatusError, openai.APIStatusError) as error:
                said.append((type(error), error.response.headers.get("X-Aibridge-Reason")))
            else:
                said.append(None)
        return said

    return ask


GRANTED = [None, None]


def refused_as(code):
    return [(anthropic.AuthenticationError, code), (openai.AuthenticationError, code)]


REFUSED = refused_as("unauthenticated")
UNAVAILABLE = [
    (anthropic.ServiceUnavailableError, "auth_unavailable"),
    (openai.InternalServerError, "auth_unavailable"),
]


@pytest.fixture
def post(client):
    """Posts with a token, or none; the status and the headers of the answer."""

    async def post(gateway, token=None, **headers):
        if token is not None:
            headers["X-Coder-Token"] = token
        async with client.post(gateway.url + PATH, data=BODY, headers=headers) as response:
            await response.read()
            return response.status, response.headers

    return post


async def test_a_good_token_passes_and_its_owner_is_recorded(
    recording, store, new_token, ask, clock
):
    gateway = await recording.start(auth="token")
    id, token = new_token()
    clock.advance(100)
    assert await ask(gateway, token) == GRANTED
    rows = [row["interception"] for row in await recording.rows()]
    [ann] = store.list_users()
    assert [(row["initiator_id"], row["username"], row["api_key_id"]) for row in rows] == [
        (ann.id, "ann", id)
    ] * 2
    assert store.list_tokens("ann")[0].last_used_at == clock.wall()


async def test_no_other_token_passes(recording, store, new_token, ask, post, clock, fake):
    gateway = await recording.start(auth="token")
    _, good = new_token("ann")
    _, expired = new_token("bob", lifetime=DAY_S)
    revoked_id, revoked = new_token("ann")
    _, suspended = new_token("eve")
    _, deleted = new_token("dan")
    store.revoke_token(revoked_id)
    store.suspend_user("eve")
    store.delete_user("dan")
    clock.advance(DAY_S)
    wrong_secret = good[:-1] + ("a" if good[-1] != "a" else "b")
    unknown = f"aib_0123456789_{'a' * 43}"
    bad = [wrong_secret, unknown, good[:-1], good + "a", f"{expired[:15]}{'a' * 43}"]
    for token in (*bad, "sk-ant-nonsense", "aib_"):
        assert await ask(gateway, token) == REFUSED, token
    for token, code in (
        (expired, "token_expired"),
        (revoked, "token_revoked"),
        (suspended, "user_suspended"),
        (deleted, "token_revoked"),
    ):
        assert await ask(gateway, token) == refused_as(code), code
    status, headers = await post(gateway)
    assert (status, headers["X-Aibridge-Reason"]) == (401, "unauthenticated")
    assert fake.seen == 0
    assert await recording.rows() == []


async def test_what_the_command_line_takes_back_is_worthless_within_a_minute(
    recording, store, new_token, ask, clock
):
    gateway = await recording.start(auth="token")
    first_id, first = new_token("ann")
    _, second = new_token("bob")
    assert await ask(gateway, first) == await ask(gateway, second) == GRANTED
    store.revoke_token(first_id)
    store.suspend_user("bob")
    clock.advance(Settings().auth_cache_ttl + 1)
    assert await ask(gateway, first) == refused_as("token_revoked")
    assert await ask(gateway, second) == refused_as("user_suspended")
    store.resume_user("bob")
    clock.advance(Settings().auth_cache_bad_ttl + 1)
    assert await ask(gateway, first) == refused_as("token_revoked")
    assert await ask(gateway, second) == GRANTED


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_who_is_refused_hears_why(recording, new_token, client):
    gateway = await recording.start(auth="token")
    _, token = new_token("ann")
    for headers, said in (
        ({}, "No gateway token came with the request"),
        ({"X-Api-Key": "sk-ant-api03-nonsense"}, "What came as the key is not a gateway token"),
        ({"Authorization": f'Bearer "{token}"'}, "The gateway token has quotes around it"),
        ({"X-Api-Key": f"aib_0123456789_{'a' * 43}"}, "The gateway token is not valid"),
    ):
        async with client.post(f"{gateway.url}/anthropic/v1/messages", headers=headers) as reply:
            assert reply.status == 401
            assert (await reply.json())["message"].startswith(said)


async def test_what_the_command_line_takes_back_is_soon_worthless(
    recording, store, new_token, post, monkeypatch
):
    at_once = partial(gatekeeper.keep_revoking, interval=0)
    monkeypatch.setattr(gatekeeper, "keep_revoking", at_once)
    gateway = await recording.start(auth="token")
    id, token = new_token("ann")
    assert (await post(gateway, token))[0] == 200
    store.revoke_token(id)
    async with asyncio.timeout(10):
        while (await post(gateway, token))[0] != 401:
            pass


@asynccontextmanager
async def flooded(gateway, connections=40):
    """Wrong tokens at full speed over so many connections; yields their statuses so far."""
    host, port = gateway.url.removeprefix("http://").split(":")
    said, number, flows = Counter(), count(), asyncio.Event()

    async def flood():
        reader, writer = await asyncio.open_connection(host, port)
        try:
            while True:
                guess = f"aib_{next(number):010}_{'a' * 43}"
                writer.write(
                    f"GET /anthropic/v1/models HTTP/1.1\r\nHost: {host}\r\n"
                    f"X-Coder-Token: {guess}\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                said[int(head.split()[1])] += 1
                await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
                if said.total() >= 2 * connections:
                    flows.set()
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(flood()) for _ in range(connections)]
    try:
        async with asyncio.timeout(10):
            await flows.wait()
        yield said
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_flood_of_wrong_tokens_locks_out_nobody_behind_the_same_address(
    recording, new_token, post
):
    gateway = await recording.start(auth="token")
    tokens = [new_token("ann")[1] for _ in range(40)]
    async with flooded(gateway) as said:
        for token in tokens:
            async with asyncio.timeout(5):
                assert (await post(gateway, token))[0] == 200
    assert set(said) == {401}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_nobody_gets_in_while_the_tokens_cannot_be_looked_up(
    recording, new_token, ask, fake, clock
):
    gateway = await recording.start(auth="token")
    _, known = new_token("ann")
    _, other = new_token("bob")
    assert await ask(gateway, known) == GRANTED
    with recording.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE aibridged_tokens RENAME TO elsewhere")
    seen = fake.seen
    assert await ask(gateway, other) == UNAVAILABLE
    assert fake.seen == seen
    assert await ask(gateway, known) == GRANTED  # who is remembered, is
    clock.advance(Settings().auth_cache_ttl + 1)
    assert await ask(gateway, known) == UNAVAILABLE


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_nobody_gets_in_while_the_database_is_away(
    recording, new_token, ask, fake, postgres_server
):
    gateway = await recording.start(auth="token")
    _, token = new_token("ann")
    postgres_server.stop()
    try:
        assert await ask(gateway, token) == UNAVAILABLE
    finally:
        postgres_server.start()
    assert fake.seen == 0


class FakeCoder:
    """Coder's `GET /api/v2/users/me`; users by their session token."""

    def __init__(self):
        self.users = {}
        self.asked = []

    def add(self, username, status="active"):
        user_id, token = str(uuid4()), f"{username:0<10}-{'S' * 22}"
        roles = [{"name": "member", "display_name": "Member"}]
        self.users[token] = {
            "id": user_id,
            "username": username,
            "status": status,
            "email": f"{username}@example.com",
            "roles": roles,
        }
        return user_id, token

    async def users_me(self, request):
        token = request.headers.get("Coder-Session-Token", "")
        self.asked.append(token)
        user = self.users.get(token)
        if user is None or user["status"] == "suspended":
            return web.json_response({"message": "API key is invalid."}, status=401)
        return web.json_response(user)


@asynccontextmanager
async def serving(coder):
    application = web.Application()
    application.router.add_get("/api/v2/users/me", coder.users_me)
    server = TestServer(application)
    await server.start_server()
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()


async def test_a_coder_deployment_says_who_gets_in(recording, ask, fake, clock):
    coder = FakeCoder()
    user_id, token = coder.add("ann")
    _, late = coder.add("bob")
    _, suspended = coder.add("eve", "suspended")
    async with serving(coder) as url:
        gateway = await recording.start(auth="coder", coder_url=url)
        assert await ask(gateway, token) == GRANTED
        assert coder.asked == [token]  # once for both
        for bad in (suspended, f"0123456789-{'S' * 22}", "sk-ant-for-somebody-else"):
            assert await ask(gateway, bad) == REFUSED
        assert "sk-ant-for-somebody-else" not in coder.asked
    assert fake.seen == 2
    # The deployment is gone now: who is remembered gets in, and nobody else, and not for long.
    assert await ask(gateway, late) == UNAVAILABLE
    assert await ask(gateway, token) == GRANTED
    clock.advance(Settings().auth_cache_ttl + 1)
    assert await ask(gateway, token) == UNAVAILABLE
    assert fake.seen == 4
    rows = [row["interception"] for row in await recording.rows()]
    assert {(row["initiator_id"], row["username"], row["api_key_id"]) for row in rows} == {
        (user_id, "ann", token.partition("-")[0])
    }


async def test_a_token_is_kept_nowhere(recording, new_token, ask, tmp_path, database):
    log = tmp_path / "log"
    configure(str(log), str(tmp_path / "log.json"), "", (), True)
    try:
        gateway = await recording.start(auth="token", structured_logging=True)
        tokens = [new_token()[1], f"aib_0123456789_{'A' * 43}", "canary-5f1c9a7e"]
        for token in tokens:
            await ask(gateway, token)
        await recording.stop()
    finally:
        logger.remove()
    assert "interception log" in log.read_text()
    told = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    with database.engine.connect() as connection:
        for table in (*schema.metadata.tables, "aibridged_users", "aibridged_tokens"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            told.append(repr([tuple(row) for row in rows]).encode())
    for token in tokens:
        secret = token.rpartition("_")[2].encode()
        assert not any(secret in text for text in told)


@asynccontextmanager
async def in_a_terminal(state, provider_url):
    """The daemon with a terminal; yields its process and what makes it speak until some text."""
    terminal, end = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODER_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aibridged",
        "serve",
        "--verbose",
        env={
            **kept,
            "CODER_HTTP_ADDRESS": "127.0.0.1:0",
            "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": provider_url,
            "CODER_AIBRIDGE_ANTHROPIC_KEY": "sk-ant",
            "CODER_AIBRIDGE_OPENAI_BASE_URL": f"{provider_url}/v1",
            "CODER_AIBRIDGE_OPENAI_KEY": "sk",
            "CODER_STATE_DIR": str(state),
            "CODER_LOGGING_JSON": str(state.parent / "log.json"),
        },
        stdin=end,
        stdout=end,
        stderr=end,
    )
    os.close(end)
    said = ""

    async def until(text):
        nonlocal said
        async with asyncio.timeout(15):
            while text not in said:
                with suppress(OSError):  # how a terminal tells that nobody is left
                    said += (await asyncio.to_thread(os.read, terminal, 1 << 16)).decode()
        return said

    try:
        yield process, until
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(terminal)


class Running:
    """Stands in for a gateway of this process: all that is asked of it is its URL."""

    def __init__(self, said):
        self.url = re.search(r"listens on (http://[\d.:]+)", said)[1]


async def test_the_first_start_in_a_terminal_shows_a_token_once(fake, ask, tmp_path):
    state = tmp_path / "state"
    async with in_a_terminal(state, fake.base_url) as (process, until):
        said = await until("aibridged tokens create --user")
        [token] = set(TOKEN.findall(said))
        url = Running(said).url
        for line in (
            f"export ANTHROPIC_BASE_URL={url}/anthropic",
            f"export ANTHROPIC_AUTH_TOKEN={token}",
            f'base_url = "{url}/openai/v1"',
            f"export AIBRIDGE_TOKEN={token}",
        ):
            assert line in said
        assert await ask(Running(said), token) == GRANTED
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    async with in_a_terminal(state, fake.base_url) as (process, until):
        said = await until("Records are stored in")
        assert await ask(Running(said), token) == GRANTED
        process.send_signal(signal.SIGTERM)
        assert "aib_" not in await until("Shutting down")
    for path in (*filter(Path.is_file, state.iterdir()), tmp_path / "log.json"):
        assert token.rpartition("_")[2] not in path.read_text(errors="replace")


async def test_without_a_terminal_nothing_secret_is_said(start_daemon, ask):
    daemon = await start_daemon("--verbose", CODER_AIBRIDGE_AUTH="token")
    await daemon.until("aibridged tokens create --user USERNAME")
    assert await ask(daemon, "aib_") == REFUSED
    assert "aib_" not in "".join(daemon.log)
