"""Why an interception failed: in the table, the API and the log, and without secrets."""

import asyncio
import json

import pytest
from loguru import logger

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Script

PATH = "/anthropic/v1/messages"
ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ORGANISATION, OWN, TOKEN = (f"sk-ant-{name}-0123456789" for name in ("organisation", "own", "me"))
ERROR = (
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"O!"}}\n\n'
)

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def why(row):
    """What the row says of why it failed, without the message; and the message."""
    found = row["interception"]
    names = ("outcome", "error_type", "error_source", "error_code")
    return tuple(found[name] for name in names), found["error_message"]


@pytest.fixture
def lines():
    said = []
    handler = logger.add(lambda line: said.append(line.record))
    yield said
    logger.remove(handler)


async def test_what_a_provider_quotes_of_a_secret_is_not_recorded(
    recording, fake, client, lines, clock
):
    provider = ProviderSettings("anthropic", "anthropic", Secret(ORGANISATION), fake.base_url)
    gateway = await recording.start(providers=(provider,))
    message = f"No such keys: {ORGANISATION}, {OWN}, {TOKEN}."
    error = {"type": "authentication_error", "message": message}
    body = json.dumps({"type": "error", "error": error}).encode()
    fake.play(*(Script(status=401, body=body) for _ in range(2)))
    for headers in ({}, {"Authorization": f"Bearer {OWN}"}):
        headers = {"X-Coder-Token": TOKEN, **headers}
        async with client.post(gateway.url + PATH, json=ASKED, headers=headers) as response:
            assert await response.read() == body  # the relay itself changes nothing
        clock.advance(1)
    rows = await recording.rows()
    told = ("failed", "unauthorized", "provider", "authentication_error")
    assert [why(row) for row in rows] == [
        (told, f"No such keys: [redacted], {OWN}, [redacted]."),
        (told, f"No such keys: {ORGANISATION}, [redacted], [redacted]."),
    ]
    [first, _] = [line["extra"] for line in lines if line["function"] == "request_finished"]
    assert (first["error_type"], first["error_source"]) == ("unauthorized", "provider")
    # A provider may quote a prompt, which no such line may hold.
    assert "No such keys" not in str(first)


async def test_a_client_that_leaves_at_the_error_has_been_told_of_it(recording, fake, client):
    gateway = await recording.start()
    fake.play(Script(stream=(ERROR,), stall_after=1))
    async with client.post(gateway.url + PATH, json={**ASKED, "stream": True}) as response:
        await response.content.readexactly(len(ERROR))
        response.close()
    await fake.requests[-1].disconnected.wait()
    [row] = await recording.rows()
    assert why(row) == (("failed", "overloaded", "provider", "overloaded_error"), "O!")


async def test_one_that_did_not_fail_has_no_reason(recording, fake, client, clock):
    gateway = await recording.start()
    async with client.post(gateway.url + PATH, json=ASKED) as response:
        await response.read()
    clock.advance(1)
    fake.play(Script(silent=True))
    asking = asyncio.get_running_loop().create_task(client.post(gateway.url + PATH, json=ASKED))
    upstream = await fake.received(2)
    asking.cancel()
    await upstream.disconnected.wait()
    rows = await recording.rows()
    assert [why(row) for row in rows] == [
        (("completed", None, None, None), None),
        (("client_closed", None, None, None), None),
    ]


async def test_a_stream_that_ends_early_and_an_answer_that_is_no_json(
    recording, fake, client, clock
):
    gateway = await recording.start()
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1"}}\n\n'
    page = (("content-type", "text/html"),)
    fake.play(Script(stream=(start,)), Script(status=502, body=b"<html>", headers=page))
    for _ in range(2):
        async with client.post(gateway.url + PATH, json={**ASKED, "stream": True}) as response:
            await response.read()
        clock.advance(1)
    assert [why(row) for row in await recording.rows()] == [
        (
            ("failed", "unknown", "provider", "response_incomplete"),
            "The response ended before it was complete.",
        ),
        (("failed", "server_error", "provider", None), "The provider responded with status 502."),
    ]


async def test_the_api_tells_it_of_the_interception_and_of_its_thread(
    recording, fake, client, clock
):
    gateway = await recording.start()
    headers = {"X-Claude-Code-Session-Id": "s", "User-Agent": "claude-cli/2.1.0 (external)"}
    fake.play(Script(close=True), Script())
    for _ in range(2):
        async with client.post(gateway.url + PATH, json=ASKED, headers=headers) as response:
            await response.read()
        clock.advance(1)
    base = f"{(await recording.start()).url}/api/v2/aibridge"

    async def get(path):
        async with client.get(f"{base}/{path}") as response:
            assert response.status == 200
            return await response.json()

    good, failed = (await get("interceptions"))["results"]
    message = (
        "The provider anthropic could not be reached: it closed the connection without a response. "
        f"({fake.base_url}/v1/messages)"
    )
    assert {name: failed[name] for name in failed if name.startswith("error_")} == {
        "error_type": "server_error",
        "error_source": "gateway",
        "error_code": "upstream_unreachable",
        "error_message": message,
    }
    assert good["error_type"] is None
    first, second = (await get("sessions/s"))["threads"]
    assert (first["error_type"], first["error_message"]) == ("server_error", message)
    assert (second["error_type"], second["error_message"]) == (None, None)
