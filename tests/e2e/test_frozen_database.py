"""A PostgreSQL that doesn't answer: requests are refused, streams go on, SIGTERM is obeyed."""

import asyncio

import pytest

from aibridged.fake_provider import Script
from aibridged.records import schema

pytestmark = pytest.mark.drill

MESSAGES = "/anthropic/v1/messages"
REQUEST = {
    "model": "m",
    "max_tokens": 9,
    "stream": True,
    "messages": [{"role": "user", "content": "from cache"}],
}
WITHIN_S = 11.5
"""The deadline of a commit and what a busy machine adds."""
SHUTDOWN_S = 3


@pytest.fixture
def database(postgres_database):
    return postgres_database


@pytest.fixture
def variables(database):
    return {
        "CODER_STATE_DIR": str(database.state_dir),
        "CODER_PG_CONNECTION_URL": database.url.render_as_string(hide_password=False),
        "CODER_SHUTDOWN_TIMEOUT": f"{SHUTDOWN_S}s",
    }


async def post(client, daemon):
    async with client.post(daemon.url + MESSAGES, json=REQUEST) as response:
        body = await response.read()
        return response.status, response.headers.get("X-Aibridge-Reason"), body


async def test_a_frozen_server_hangs_nobody(
    daemon_in_front_of, client, fake, database, postgres_server, variables
):
    gate = asyncio.Event()
    fake.play(Script(), Script(before_write={4: gate}))
    async with daemon_in_front_of(fake.base_url, **variables) as daemon:
        assert (await post(client, daemon))[0] == 200
        streaming = asyncio.get_running_loop().create_task(post(client, daemon))
        await fake.received(2)
        with postgres_server.frozen():
            began = asyncio.get_running_loop().time()
            assert (await post(client, daemon))[:2] == (503, "recording_failed")
            assert asyncio.get_running_loop().time() - began < WITHIN_S
            began = asyncio.get_running_loop().time()
            assert (await post(client, daemon))[:2] == (503, "recording_failed")
            async with client.get(daemon.url + "/readyz") as ready:
                assert ready.status == 503
            async with client.get(daemon.url + "/healthz") as alive:
                assert alive.status == 200
            gate.set()
            status, _, body = await streaming
            assert (status, b"message_stop" in body) == (200, True)
            assert asyncio.get_running_loop().time() - began < 1
            assert fake.seen == 2
            daemon.process.terminate()
            began = asyncio.get_running_loop().time()
            assert await daemon.process.wait() == 0
            assert asyncio.get_running_loop().time() - began < SHUTDOWN_S + 2
    assert sum("Recording fails closed" in line for line in daemon.log) == 1
    async with daemon_in_front_of(fake.base_url, **variables) as daemon:
        assert (await post(client, daemon))[0] == 200
        daemon.process.terminate()
        assert await daemon.process.wait() == 0
    rows = database.rows(schema.interceptions)
    assert [row["outcome"] for row in rows if row["status_code"] != 503] == ["completed"] * 3
    recorded = [
        (usage["input_tokens"], usage["output_tokens"], usage["cache_read_input_tokens"])
        for usage in database.rows(schema.token_usages)
    ]
    assert recorded == [
        (request.usage.input, request.usage.output, request.usage.cache_read)
        for request in fake.requests
    ]
