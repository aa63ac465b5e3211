"""The gateway's key for a provider that refuses it, and a provider that it has no key for."""

import json

import pytest
import sqlalchemy as sa
from loguru import logger

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.observe.logging import configure
from aibridged.records import schema

MESSAGES = "/anthropic/v1/messages"
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
KEY = "sk-organisation-0123456789-abcdef"
OWN = {"X-Coder-Token": "t", "X-Api-Key": "sk-own-0123456789"}


@pytest.fixture
def warnings(tmp_path):
    """The messages so far that speak of a key."""
    path = tmp_path / "log.json"
    configure("", str(path), "", (), False)

    def warnings():
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        assert KEY not in path.read_text()
        told = [each for each in entries if "gateway's key" in each["msg"]]
        assert {each["level"] for each in told} <= {"WARNING"}
        return [each["msg"] for each in told]

    yield warnings
    logger.remove()


@pytest.fixture
def start(start_gateway, fake):
    """Starts a gateway with this key for the provider."""

    async def start(key=None):
        provider = ProviderSettings(
            "anthropic",
            "anthropic",
            Secret(key) if key else None,
            fake.base_url,
            key_setting="--aibridge-anthropic-key",
        )
        return await start_gateway(providers=(provider,), shutdown_timeout=5.0)

    return start


async def post(client, gateway, path=MESSAGES, **headers):
    async with client.post(gateway.url + path, json=BODY, headers=headers) as response:
        return response, await response.json(content_type=None)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_the_provider_refuses_is_warned_of_once_a_minute(
    start, client, fake, clock, warnings, status
):
    gateway = await start(KEY)
    fake.play(*[Script(status=status)] * 3)
    for seconds in (10, 51, 0):
        response, _ = await post(client, gateway)
        # It is relayed: the caller has the provider's own words.
        assert (response.status, response.headers.get("X-Aibridge-Reason")) == (status, None)
        clock.advance(seconds)
    warning = (
        f"Provider anthropic refuses the gateway's key sk-o…cdef with status {status}: check "
        "--aibridge-anthropic-key and what it may do"
    )
    assert warnings() == [warning, warning]


async def test_a_callers_own_key_is_no_affair_of_the_operators(start, client, fake, warnings):
    gateway = await start(KEY)
    fake.play(Script(status=401))
    response, _ = await post(client, gateway, **OWN)
    assert (response.status, response.headers.get("X-Aibridge-Reason")) == (401, None)
    assert warnings() == []


async def test_a_key_that_is_missing_is_told_with_its_setting(start, client, fake):
    gateway = await start()
    fake.play(Script(status=401))
    response, body = await post(client, gateway)
    assert response.status == 401
    assert response.headers["X-Aibridge-Reason"] == body["error"]["code"] == "provider_key_missing"
    assert body["error"]["message"].startswith(
        "The gateway has no key for the provider anthropic, which refuses requests without one: "
        "the operator has to set --aibridge-anthropic-key."
    )
    await gateway.stop()
    engine = sa.create_engine(f"sqlite:///{gateway.settings.state_dir}/aibridged.db")
    with engine.connect() as connection:
        [row] = connection.execute(schema.interceptions.select()).mappings()
    engine.dispose()
    assert (row["error_code"], row["status_code"]) == ("provider_key_missing", 401)


async def test_without_a_key_a_server_that_needs_none_goes_on(start, client, fake):
    gateway = await start()
    fake.play(Script(body=b"{}"))
    response, _ = await post(client, gateway)
    assert response.status == 200
    fake.play(Script(status=400))
    response, _ = await post(client, gateway)
    assert (response.status, response.headers.get("X-Aibridge-Reason")) == (400, None)
    # Telemetry never gets a key, whatever there is.
    fake.play(Script(status=401))
    response, _ = await post(client, gateway, "/anthropic/api/event_logging/batch")
    assert (response.status, response.headers.get("X-Aibridge-Reason")) == (401, None)
