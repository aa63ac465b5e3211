"""The breaker through sockets: what opens it, what half-opens it, and whom it leaves alone."""

import asyncio
import json
import socket

import aiohttp
import pytest
from loguru import logger

from aibridged.config.options import ProviderSettings
from aibridged.fake_provider import Script

PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}
EVENT_STREAM = (("Content-Type", "text/event-stream"),)
OK, OPEN = None, "circuit_open"


def body(api="messages", *, model="m", stream=False):
    conversation = [{"role": "user", "content": "hi"}]
    asked = {"input": "hi"} if api == "responses" else {"messages": conversation, "max_tokens": 1}
    return {"model": model, "stream": stream, **asked}


@pytest.fixture
async def client():
    """As many connections as it takes."""
    async with aiohttp.ClientSession(
        auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        yield session


@pytest.fixture
def start(start_gateway):
    async def start(**changes):
        return await start_gateway(
            circuit_breaker_enabled=True,
            **{
                "circuit_breaker_failure_threshold": 2,
                "circuit_breaker_interval": 10.0,
                "circuit_breaker_timeout": 30.0,
                "circuit_breaker_max_requests": 3,
                **changes,
            },
        )

    return start


@pytest.fixture
def ask(client):
    """Asks, reads the answer to its end if it has one, and returns the gateway's reason, if any."""

    async def ask(gateway, api="messages", *, headers=None, **changes):
        async with client.post(
            gateway.url + PATHS[api], json=body(api, **changes), headers=headers
        ) as response:
            try:
                await response.read()
            except aiohttp.ClientPayloadError:
                return "broken off"
            return response.headers.get("X-Aibridge-Reason")

    return ask


async def open_circuit(gateway, fake, ask, **options):
    fake.play(Script(status=529, times=2))
    for _ in range(2):
        assert await ask(gateway, **options) == OK
    assert await ask(gateway, **options) == OPEN


FAILURES = {
    "429": Script(status=429),
    "503": Script(status=503),
    "504": Script(status=504),
    "529": Script(status=529),
    "hung up": Script(close=True),
    "reset": Script(close=True, reset=True),
    "silent": Script(silent=True),
}
SAID = {
    "hung up": "upstream_unreachable",
    "reset": "upstream_unreachable",
    "silent": "upstream_timeout",
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("api", PATHS)
async def test_what_opens_it(start, fake, ask, api, failure):
    gateway = await start(upstream_idle_timeout=0.05)
    for _ in range(2):
        fake.play(FAILURES[failure])
        assert await ask(gateway, api, stream=True) == SAID.get(failure)
    assert await ask(gateway, api) == OPEN
    assert fake.seen == 2


@pytest.mark.parametrize(
    ("api", "error"),
    [
        ("messages", "overloaded_error"),
        ("messages", "rate_limit_error"),
        ("chat", "overloaded_error"),
        ("chat", "rate_limit_error"),
        ("responses", "rate_limit_error"),
    ],
)
async def test_an_answer_of_200_that_begins_with_the_refusal_opens_it(start, fake, ask, api, error):
    gateway = await start()
    for _ in range(2):
        fake.play(Script(error=error))
        assert await ask(gateway, api, stream=True) == OK
    assert await ask(gateway, api) == OPEN


async def test_nobody_listening_opens_it(start, ask):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        gateway = await start(providers=(ProviderSettings("anthropic", "anthropic", None, url),))
        assert await ask(gateway) == "upstream_unreachable"
        assert await ask(gateway) == "upstream_unreachable"
        assert await ask(gateway) == OPEN


LEAVES_CLOSED = [
    Script(status=400),
    Script(status=401),
    Script(status=403),
    Script(status=404),
    Script(status=413),
    Script(status=500),
    Script(status=502),
    Script(error="api_error"),
    Script(error="overloaded_error", error_after=2),
    Script(cut_after=300),
    Script(stream=(b": nothing but a comment\n\n",)),
    Script(stream=()),
    Script(body=b'{"error":{"type":"overloaded_error"}}'),
]


@pytest.mark.parametrize("script", LEAVES_CLOSED)
async def test_what_leaves_it_closed(start, fake, ask, script):
    gateway = await start()
    for _ in range(4):
        fake.play(script)
        assert await ask(gateway, stream=True) != OPEN
    assert await ask(gateway) == OK


async def test_refusals_of_the_gateway_leave_it_closed(start, client, ask):
    gateway = await start(max_request_bytes=1000)
    for content in (b"no JSON", b'{"model":"m"', b'{"model":"m"}' + b" " * 1000):
        for _ in range(3):
            async with client.post(gateway.url + PATHS["messages"], data=content) as response:
                assert response.status in (400, 413)
    assert await ask(gateway) == OK


async def test_failures_count_in_a_row_and_within_an_interval(start, fake, clock, ask):
    gateway = await start()
    for healing in (lambda: fake.play(Script()), lambda: clock.advance(10)):
        for _ in range(3):
            fake.play(Script(status=529))
            assert await ask(gateway) == OK
            healing()
            if clock.monotonic() == 1000.0:
                assert await ask(gateway) == OK
    await open_circuit(gateway, fake, ask)


async def test_a_rejection_says_when_to_come_back(start, fake, clock, client, ask):
    gateway = await start()
    await open_circuit(gateway, fake, ask)
    for waited, left in ((0, "30"), (10, "20"), (19.5, "1"), (0.4, "1")):
        clock.advance(waited)
        async with client.post(gateway.url + PATHS["messages"], json=body()) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == left
            assert (await response.json())["error"]["type"] == "overloaded_error"
    assert fake.seen == 2
    clock.advance(0.1)
    assert await ask(gateway) == OK


@pytest.mark.parametrize("max_requests", [1, 3])
async def test_of_500_at_half_open_exactly_max_requests_go_upstream(
    start, fake, clock, client, ask, max_requests
):
    gateway = await start(circuit_breaker_max_requests=max_requests)
    await open_circuit(gateway, fake, ask)
    clock.advance(30)
    gate = asyncio.Event()
    fake.play(Script(before_headers=gate, times=max_requests))
    reasons = []

    async def probe():
        reasons.append(await ask(gateway))
        if len(reasons) == 500 - max_requests:
            gate.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(500):
            group.create_task(probe())
    assert reasons == [OPEN] * (500 - max_requests) + [OK] * max_requests
    assert fake.seen == 2 + max_requests
    # That many successes have closed it.
    assert [await ask(gateway) for _ in range(5)] == [OK] * 5


async def test_a_failing_probe_opens_it_again(start, fake, clock, ask):
    gateway = await start()
    await open_circuit(gateway, fake, ask)
    clock.advance(30)
    assert await ask(gateway) == OK
    fake.play(Script(status=503))
    assert await ask(gateway) == OK
    assert await ask(gateway) == OPEN
    clock.advance(29)
    assert await ask(gateway) == OPEN
    clock.advance(1)
    assert [await ask(gateway) for _ in range(5)] == [OK] * 5


@pytest.mark.parametrize(
    "script", [Script(silent=True), Script(before_write={0: asyncio.Event()}, headers=EVENT_STREAM)]
)
async def test_a_probe_whose_client_leaves_gives_its_place_back(
    start, fake, clock, client, ask, script
):
    gateway = await start(circuit_breaker_max_requests=1)
    await open_circuit(gateway, fake, ask)
    clock.advance(30)
    fake.play(script)
    probe = asyncio.get_running_loop().create_task(ask(gateway, stream=True))
    upstream = await fake.received(3)
    assert await ask(gateway) == OPEN
    probe.cancel()
    async with asyncio.timeout(10):
        await upstream.disconnected.wait()
    # Half-open as before: a failure opens it at once.
    fake.play(Script(status=529))
    assert await ask(gateway) == OK
    assert await ask(gateway) == OPEN


@pytest.mark.parametrize("api", PATHS)
async def test_a_long_stream_does_not_keep_a_probe_waiting(start, fake, clock, client, ask, api):
    gateway = await start(circuit_breaker_max_requests=1)
    await open_circuit(gateway, fake, ask, api=api)
    clock.advance(30)
    gate = asyncio.Event()
    fake.play(Script(before_write={4: gate}, deltas=10))
    async with client.post(gateway.url + PATHS[api], json=body(api, stream=True)) as stream:
        await stream.content.readany()
        async with asyncio.timeout(5):
            while await ask(gateway, api) == OPEN:  # until the first words have come
                pass
        gate.set()
        assert len(await stream.read()) > 100


async def test_a_stream_that_cannot_be_read_is_judged_by_its_head(start, fake, clock, client, ask):
    gateway = await start(circuit_breaker_max_requests=1)
    await open_circuit(gateway, fake, ask)
    clock.advance(30)
    gate = asyncio.Event()
    coded = (*EVENT_STREAM, ("Content-Encoding", "br"))
    fake.play(Script(stream=(b"\x8b", b"\x80"), headers=coded, before_write={1: gate}))
    async with client.post(gateway.url + PATHS["messages"], json=body(stream=True)) as stream:
        assert stream.status == 200
        assert await ask(gateway) == OK
        gate.set()


async def test_a_late_result_is_ignored(start, fake, clock, ask):
    """What was admitted before the circuit opened says nothing about it afterwards."""
    gateway = await start()
    gate = asyncio.Event()
    fake.play(Script(before_headers=gate), Script(before_headers=gate, status=529))
    asking = [asyncio.get_running_loop().create_task(ask(gateway)) for _ in range(2)]
    await fake.received(2)
    await open_circuit(gateway, fake, ask)
    clock.advance(30)
    assert await ask(gateway) == OK  # half-open, and one success
    gate.set()
    await asyncio.gather(*asking)
    assert await ask(gateway) == OK
    assert await ask(gateway) == OK


async def test_every_model_endpoint_and_provider_has_its_own(start, fake, ask):
    gateway = await start()
    await open_circuit(gateway, fake, ask, api="chat", model="a")
    assert await ask(gateway, "chat", model="b") == OK
    assert await ask(gateway, "responses", model="a") == OK
    assert await ask(gateway, "messages", model="a") == OK
    assert await ask(gateway, "chat", model="a") == OPEN


async def test_callers_of_the_organisations_key_share_one(start, fake, ask):
    gateway = await start()
    await open_circuit(gateway, fake, ask, headers={"X-Api-Key": "one"})
    for headers in (
        {"X-Api-Key": "two"},
        {"Authorization": "Bearer three"},
        {"X-Coder-Token": "four"},
        {},
    ):
        assert await ask(gateway, headers=headers) == OPEN


async def test_a_key_of_ones_own_opens_only_its_own(start, fake, ask):
    gateway = await start()
    own = {"X-Coder-Token": "t", "X-Api-Key": "own"}
    await open_circuit(gateway, fake, ask, headers=own)
    assert await ask(gateway, headers={**own, "X-Coder-Token": "another-caller"}) == OPEN
    assert await ask(gateway, headers={**own, "X-Api-Key": "another key"}) == OK
    assert await ask(gateway, headers={"X-Coder-Token": "t"}) == OK
    assert await ask(gateway) == OK
    await open_circuit(gateway, fake, ask)  # nor does the organisation's open theirs
    assert await ask(gateway, headers={**own, "X-Api-Key": "another key"}) == OK


async def test_passthrough_routes_have_none(start, fake, client, ask):
    gateway = await start()
    fake.play(Script(status=529, times=4))
    for _ in range(4):
        async with client.get(gateway.url + "/anthropic/v1/models") as response:
            assert response.status == 529
    assert await ask(gateway) == OK
    await open_circuit(gateway, fake, ask)
    async with client.get(gateway.url + "/anthropic/v1/models") as response:
        assert response.status == 200


async def test_switched_off_it_never_opens(start_gateway, fake, ask):
    gateway = await start_gateway(circuit_breaker_enabled=False)
    fake.play(Script(status=529, times=10))
    assert [await ask(gateway) for _ in range(11)] == [OK] * 11


async def test_changes_of_state_are_logged(start, fake, clock, ask):
    lines = []
    sink = logger.add(lambda line: lines.append(json.loads(line)), serialize=True)
    gateway = await start(circuit_breaker_max_requests=1)
    await open_circuit(gateway, fake, ask)
    clock.advance(30)
    assert await ask(gateway) == OK
    logger.remove(sink)
    changes = [line["record"] for line in lines if "Circuit" in line["text"]]
    assert [change["message"] for change in changes] == [
        "Circuit breaker: closed -> open",
        "Circuit breaker: open -> half-open",
        "Circuit breaker: half-open -> closed",
    ]
    for change in changes:
        assert change["extra"] == {
            "provider": "anthropic",
            "endpoint": "/v1/messages",
            "model": "m",
        }
