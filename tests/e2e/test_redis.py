"""Several gateways with one Redis: their limits are one, and what changes in one counts in all."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import pytest

from aibridged.config.kinds import Address
from aibridged.config.options import PolicySettings
from aibridged.config.secret import Secret
from aibridged.daemon.problems import find_problems
from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore
from tests.waiting import until

MESSAGES, MODELS, API = "/anthropic/v1/messages", "/anthropic/v1/models", "/api/v2/aibridge"
REQUEST = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def replica(patient, start_gateway, redis_server):
    """Starts one of two replicas, which has its link to Redis when this returns."""

    async def start(**changes):
        settings = {"redis_url": Secret(redis_server.url), "replicas": 2, **changes}
        gateway = await start_gateway(**settings)
        link = gateway._composition.resources.replicas
        await until(lambda: link.lane.is_up and link.news.is_listening)
        return gateway

    return start


@pytest.fixture
async def asked(client):
    async def asked(gateway, path=MODELS, token=None):
        headers = {} if token is None else {"X-Coder-Token": token}
        async with client.get(gateway.url + path, headers=headers) as answer:
            await answer.read()
            return answer.headers.get("X-Aibridge-Reason", answer.status)

    return asked


@pytest.fixture
def streaming(client, fake):
    """A stream that goes on for as long as the block."""

    @asynccontextmanager
    async def streaming(gateway, token=None):
        go_on = asyncio.Event()
        fake.play(Script(before_write={3: go_on}))
        headers = {} if token is None else {"X-Coder-Token": token}
        async with client.post(gateway.url + MESSAGES, json=REQUEST, headers=headers) as stream:
            assert stream.status == 200, await stream.text()
            await stream.content.readany()
            try:
                yield stream
            finally:
                go_on.set()
                await stream.read()

    return streaming


async def test_slots_are_those_of_all(replica, asked, streaming):
    one, other = [await replica(max_concurrency=1) for _ in range(2)]
    async with streaming(one):
        assert await asked(other) == "at_capacity"
    async with asyncio.timeout(5):
        while await asked(other) != 200:
            pass


async def test_a_token_has_one_rate_in_all(replica, asked):
    one, other = [await replica(rate_limit=3) for _ in range(2)]
    said = [await asked(each, token="token") for each in (one, other) * 4]
    assert said[:3] == [200] * 3
    assert "rate_limited" in said
    assert one._composition.resources.replicas.limits.local == 0


async def test_it_says_that_redis_is_away_and_goes_on(
    replica, asked, client, redis_server, streaming
):
    gateway = await replica(
        max_concurrency=3, prometheus_enable=True, prometheus_address=Address("127.0.0.1", 0)
    )
    status = (await gateway.status_service.read()).redis
    assert (status.location, status.answers, status.replicas) == (redis_server.url, True, 2)
    redis_server.kill()
    async with streaming(gateway):
        await until(lambda: not gateway.components.shared.lane.is_up)
        assert await asked(gateway) == "at_capacity"  # 3 // 2
    assert await asked(gateway) == 200
    status = (await gateway.status_service.read()).redis
    assert (status.answers, status.outages, bool(status.reason)) == (False, 1, True)
    found = await find_problems(gateway.components, gateway._composition.resources)
    (problem,) = found.problems
    assert (problem.kind, problem.is_severe, problem.subject) == ("redis_away", False, "redis")
    assert "share of the limits, 1/2" in problem.message
    async with client.get(
        gateway.metrics_urls[0], headers={"Accept-Encoding": "identity"}
    ) as answer:
        text = await answer.text()
    assert "aibridged_redis_up 0.0" in text
    assert "aibridged_redis_outages_total 1.0" in text
    redis_server.start()
    await until(lambda: gateway.components.shared.lane.is_up)
    assert await asked(gateway) == 200


async def test_no_redis_at_the_start_is_no_reason_not_to_start(start_gateway, asked):
    url = Secret("redis://:canary@127.0.0.1:1/0")
    gateway = await start_gateway(redis_url=url, replicas=2, max_concurrency=5)
    assert await asked(gateway) == 200
    status = (await gateway.status_service.read()).redis
    assert (status.location, status.answers) == ("redis://127.0.0.1:1", False)
    assert "canary" not in str(status)


async def test_a_person_has_their_limits_in_all(
    replica, postgres_database, clock, tmp_path, asked, streaming
):
    store = TokenStore(postgres_database.engine, clock)
    store.create_user("ann")
    tokens = [store.create_token("ann", name="", lifetime=None)[1].reveal() for _ in range(2)]
    one, other = await _pair(replica, postgres_database, tmp_path, policies=(_NARROW,))
    async with streaming(one, tokens[0]):
        # One token is unknown there, then it is known.
        assert await asked(other, token=tokens[1]) == "concurrency_limited"
        assert await asked(other, token=tokens[1]) == "concurrency_limited"
    said = [await asked(each, token=tokens[0]) for each in (one, other) * 4]
    assert "rate_limited" in said
    people = one.components.person_limits, other.components.person_limits
    assert [len(each) for each in people] == [0, 0]


@pytest.mark.parametrize("way", ["api", "command"])
async def test_a_revocation_counts_in_all_at_once(
    replica, postgres_database, clock, tmp_path, asked, client, redis_server, way
):
    store = TokenStore(postgres_database.engine, clock)
    store.create_user("root", is_admin=True)
    root = store.create_token("root", name="", lifetime=None)[1].reveal()
    store.create_user("ann")
    info, secret = store.create_token("ann", name="", lifetime=None)
    one, other = await _pair(replica, postgres_database, tmp_path)
    assert [await asked(each, token=secret.reveal()) for each in (one, other)] == [200, 200]
    if way == "api":
        url = f"{one.url}{API}/users/ann/suspend"
        async with client.post(url, headers={"X-Coder-Token": root}) as answer:
            assert answer.status == 200, await answer.text()
        refusal = "user_suspended"
    else:
        variables = {
            "CODER_PG_CONNECTION_URL": _url(postgres_database),
            "CODER_AIBRIDGE_REDIS_URL": redis_server.url,
        }
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aibridged", "tokens", "revoke", info.id),
            env={**os.environ, **variables},
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        _, said = await command.communicate()
        assert command.returncode == 0, said
        refusal = "token_revoked"

    async def is_refused(gateway):
        return await asked(gateway, token=secret.reveal()) == refusal

    async with asyncio.timeout(2):  # every few seconds it would be noticed anyway
        while not (await is_refused(one) and await is_refused(other)):
            pass


async def test_a_command_says_that_redis_is_away(postgres_database, clock):
    TokenStore(postgres_database.engine, clock).create_user("ann")
    variables = {
        "CODER_PG_CONNECTION_URL": _url(postgres_database),
        "CODER_AIBRIDGE_REDIS_URL": "redis://:canary@127.0.0.1:1",
    }
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aibridged", "users", "suspend", "ann"),
        env={**os.environ, **variables},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    _, said = await command.communicate()
    assert command.returncode == 0
    assert b"Redis is away at redis://127.0.0.1:1 (" in said
    assert b"canary" not in said


async def test_a_circuit_opens_in_all(replica, client, fake):
    breaker = {"circuit_breaker_enabled": True, "circuit_breaker_failure_threshold": 4}
    one, other = [await replica(**breaker) for _ in range(2)]
    fake.play(*[Script(status=529) for _ in range(4)])
    for gateway in (one, other) * 2:
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as answer:
            assert answer.status == 529
    await until(lambda: all("open" in _states(each) for each in (one, other)))
    for gateway in (one, other):
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as answer:
            assert answer.headers["X-Aibridge-Reason"] == "circuit_open"


_NARROW = PolicySettings(rate_limit=4, max_concurrency=1)


def _states(gateway):
    return [state.value for state in gateway.components.breakers.states().values()]


def _url(database):
    return database.url.render_as_string(hide_password=False)


async def _pair(replica, database, tmp_path, **changes):
    """Two replicas on one database."""
    made = []
    for name in ("one", "other"):
        state_dir = tmp_path / name
        state_dir.mkdir(mode=0o700)
        settings = {"postgres_url": Secret(_url(database)), "state_dir": state_dir, **changes}
        made.append(await replica(auth="token", **settings))
    return made
