"""What becomes of requests that run when their token is revoked: --aibridge-revocation-grace."""

import asyncio
from dataclasses import replace
from functools import partial
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from loguru import logger

from aibridged.daemon import gatekeeper
from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore

PATH, MODELS = "/anthropic/v1/messages", "/anthropic/v1/models"
BODY = b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
HOUR_S = 3600.0


@pytest.fixture
def store(database, clock):
    """The users and tokens, as another process reaches them."""
    return TokenStore(database.engine, clock)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """What another process changes is noticed without a pause."""
    for name in ("keep_revoking", "keep_rechecking"):
        monkeypatch.setattr(gatekeeper, name, partial(getattr(gatekeeper, name), interval=0.001))


@pytest.fixture
def log():
    lines = []
    sink = logger.add(lines.append, format="{message} {extra}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def new_token(store):
    def new_token(username, *, lifetime=None):
        store.create_user(username)
        info, secret = store.create_token(username, name="laptop", lifetime=lifetime)
        return info.id, secret.reveal()

    return new_token


@pytest.fixture
def open_stream(client, fake):
    """A stream that has begun, and goes on once `go_on` is set."""
    opened = []

    async def open_stream(gateway, token):
        go_on = asyncio.Event()
        fake.play(Script(before_write={3: go_on}))
        headers = {"X-Coder-Token": token}
        response = await client.post(gateway.url + PATH, data=BODY, headers=headers)
        assert response.status == 200
        await response.content.readany()
        opened.append((response, go_on))
        return response, go_on

    yield open_stream
    for response, go_on in opened:
        go_on.set()
        response.close()


@pytest.fixture
def is_refused(client):
    """Waits until a token lets nothing new in, which is when its revocation has been noticed."""

    async def is_refused(gateway, token):
        headers, status = {"X-Coder-Token": token}, 0
        async with asyncio.timeout(10):
            while status != 401:
                async with client.get(gateway.url + MODELS, headers=headers) as response:
                    status = response.status

    return is_refused


async def is_cut_off(stream):
    async with asyncio.timeout(10):
        with pytest.raises(aiohttp.ClientError):
            await stream.read()


async def outcomes(recording):
    """How each user's interception ended, by username."""
    rows = [row["interception"] for row in await recording.rows()]
    return {row["username"]: row["outcome"] for row in rows}


async def test_by_default_a_stream_goes_on_to_its_end(
    recording, store, new_token, open_stream, is_refused
):
    gateway = await recording.start(auth="token")
    id, token = new_token("ann")
    stream, go_on = await open_stream(gateway, token)
    store.revoke_token(id)
    await is_refused(gateway, token)
    go_on.set()
    assert b"message_stop" in await stream.read()
    assert await outcomes(recording) == {"ann": "completed"}


async def test_without_a_grace_what_runs_is_cut_off_at_once(
    recording, store, new_token, open_stream, log, clock
):
    gateway = await recording.start(auth="token", revocation_grace=0.0)
    streams = {}
    for name in ("revoked", "suspended", "deleted", "expired", "good"):
        id, token = new_token(name, lifetime=HOUR_S if name == "expired" else None)
        streams[name] = id, *await open_stream(gateway, token)
    store.revoke_token(streams["revoked"][0])
    store.suspend_user("suspended")
    store.delete_user("deleted")
    clock.advance(HOUR_S)  # nothing is remembered any more
    for name in ("revoked", "suspended", "deleted", "expired"):
        await is_cut_off(streams[name][1])
        [line] = [
            line for line in log if f"{streams[name][0]} of {name} is no longer valid" in line
        ]
        assert "cutting off 1 running request " in line
    _, stream, go_on = streams["good"]
    go_on.set()
    assert b"message_stop" in await stream.read()
    assert await outcomes(recording) == {
        "good": "completed",
        **dict.fromkeys(("revoked", "suspended", "deleted", "expired"), "interrupted"),
    }
    assert sum("'outcome': 'interrupted'" in line for line in log) == 4


async def test_what_waits_for_its_answer_is_cut_off_too(
    recording, store, new_token, client, fake, log
):
    """Also what is only forwarded, of which there is no record but the line in the log."""
    gateway = await recording.start(auth="token", revocation_grace=0.0)
    id, token = new_token("ann")
    fake.play(Script(silent=True, times=2))
    loop = asyncio.get_running_loop()
    headers = {"X-Coder-Token": token}
    asking = [
        loop.create_task(client.post(gateway.url + path, data=BODY, headers=headers))
        for path in (PATH, f"{PATH}/count_tokens")
    ]
    await fake.received(2)
    store.revoke_token(id)
    async with asyncio.timeout(10):
        for each in asking:
            with pytest.raises(aiohttp.ClientError):
                await each
    assert await outcomes(recording) == {"ann": "interrupted"}
    for path in (PATH, f"{PATH}/count_tokens"):
        assert any(f"POST {path} -" in each and "'outcome': 'interrupted'" in each for each in log)


async def test_a_grace_is_kept(recording, store, new_token, open_stream, is_refused, clock):
    gateway = await recording.start(auth="token", revocation_grace=60.0)
    id, token = new_token("ann")
    first, go_on = await open_stream(gateway, token)
    second, _ = await open_stream(gateway, token)
    store.revoke_token(id)
    await is_refused(gateway, token)
    clock.advance(59)
    go_on.set()
    assert b"message_stop" in await first.read()
    assert not second.content.at_eof()
    clock.advance(1)
    await is_cut_off(second)
    rows = [row["interception"] for row in await recording.rows()]
    assert {row["outcome"] for row in rows} == {"completed", "interrupted"}


async def test_a_reload_changes_the_grace_of_what_runs(
    recording, store, new_token, open_stream, is_refused
):
    gateway = await recording.start(auth="token")
    id, token = new_token("ann")
    stream, _ = await open_stream(gateway, token)
    store.revoke_token(id)
    await is_refused(gateway, token)
    gateway.reconfigure(replace(gateway.settings, revocation_grace=0.0))
    await is_cut_off(stream)
    assert await outcomes(recording) == {"ann": "interrupted"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_coder_deployment_is_asked_again_about_what_runs(
    recording, open_stream, clock, fake
):
    """Once in the time for which its answer is remembered."""
    asked, gone = [], set()

    async def users_me(request):
        asked.append(token := request.headers["Coder-Session-Token"])
        if token in gone:
            return web.json_response({"message": "API key is invalid."}, status=401)
        user = {"id": str(UUID(int=len(token))), "username": token[:3], "status": "active"}
        return web.json_response(user)

    application = web.Application()
    application.router.add_get("/api/v2/users/me", users_me)
    async with TestServer(application) as coder:
        gateway = await recording.start(
            auth="coder", coder_url=str(coder.make_url("")), revocation_grace=0.0
        )
        tokens = [f"{name:0<10}-{'S' * 22}" for name in ("ann", "bob")]
        streams = [await open_stream(gateway, token) for token in tokens]
        gone.add(tokens[0])
        clock.advance(gateway.settings.auth_cache_ttl)
        await is_cut_off(streams[0][0])
        streams[1][1].set()
        assert b"message_stop" in await streams[1][0].read()
    assert await outcomes(recording) == {"ann": "interrupted", "bob": "completed"}
    assert sorted(asked)[:2] == [tokens[0]] * 2
    assert len(asked) <= 4
