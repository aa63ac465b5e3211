"""The order of the stages: what is over two limits gets the answer of the first one."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from aibridged.fake_provider import Script

BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
MESSAGES = b"/anthropic/v1/messages"
MALFORMED = b"Authorization: Basic dTpw"
TOKEN = b"X-Api-Key: t"


def request(*headers, target=MESSAGES, body=BODY, method=b"POST", keep=False):
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: localhost", *headers]
    lines += [] if keep else [b"Connection: close"]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


@pytest.fixture
def ask(raw):
    """The reason why the gateway refuses a request, or None where it doesn't."""

    async def ask(gateway, *headers, **options):
        reply = await raw(gateway.url, request(*headers, **options))
        return reply.header("X-Aibridge-Reason")

    return ask


@asynccontextmanager
async def waiting(gateway, fake, ask, *headers):
    """While a request waits for its answer, and then gets it."""
    gate = asyncio.Event()
    fake.play(Script(before_headers=gate))
    seen = fake.seen
    async with asyncio.TaskGroup() as group:
        group.create_task(ask(gateway, *headers))
        await fake.received(seen + 1)
        yield
        gate.set()


async def test_a_shutdown_refuses_nothing_on_open_connections(start_gateway, fake, ask):
    """Each gets one answer more."""
    gateway = await start_gateway(shutdown_timeout=10.0)
    host, port = gateway.url.removeprefix("http://").split(":")
    asked, probed = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
    for reader, writer in (asked, probed):
        writer.write(request(target=b"/healthz", method=b"GET", keep=True))
        await reader.readuntil(b"ok\n")
    async with waiting(gateway, fake, ask):
        stopping = asyncio.get_running_loop().create_task(gateway.stop())
        await asyncio.sleep(0)
        asked[1].write(request(target=b"/not/served", keep=True))
        refusal = await asked[0].read()
        assert b"X-Aibridge-Reason: route_not_supported" in refusal
        assert b"Connection: close" in refusal
        probed[1].write(request(target=b"/healthz", method=b"GET", keep=True))
        assert b" 200 " in await probed[0].read()
    await stopping
    for _, writer in (asked, probed):
        writer.close()


async def test_the_route_comes_before_concurrency(start_gateway, fake, ask):
    gateway = await start_gateway(max_concurrency=1)
    async with waiting(gateway, fake, ask):
        assert await ask(gateway) == "at_capacity"
        assert await ask(gateway, target=b"/not/served") == "route_not_supported"
        assert await ask(gateway, target=b"/anthropic/../x") == "invalid_request"


async def test_concurrency_comes_before_the_rate_limit(start_gateway, fake, ask):
    gateway = await start_gateway(max_concurrency=1, rate_limit=1)
    async with waiting(gateway, fake, ask, TOKEN):
        assert await ask(gateway, TOKEN) == "at_capacity"
    assert await ask(gateway, TOKEN) == "rate_limited"


async def test_a_request_over_capacity_does_not_count_against_the_rate(start_gateway, fake, ask):
    gateway = await start_gateway(max_concurrency=1, rate_limit=2)
    async with waiting(gateway, fake, ask, TOKEN):
        for _ in range(5):
            assert await ask(gateway, TOKEN) == "at_capacity"
    assert await ask(gateway, TOKEN) is None


async def test_the_rate_limit_comes_before_authentication(start_gateway, ask):
    gateway = await start_gateway(rate_limit=1, allow_byok=False)
    assert await ask(gateway, MALFORMED) == "unauthenticated"
    assert await ask(gateway, MALFORMED) == "rate_limited"
    byok = (b"X-Coder-Token: t", b"X-Api-Key: own")
    assert await ask(gateway, *byok) == "byok_disabled"
    assert await ask(gateway, *byok) == "rate_limited"


async def test_authentication_comes_before_the_body(start_gateway, ask):
    gateway = await start_gateway(max_request_bytes=1000, allow_byok=False)
    for body, reason in (
        (b"x" * 1001, "request_too_large"),
        (b"no JSON", "invalid_request"),
        (b'{"model":1}', "invalid_request"),
    ):
        assert await ask(gateway, body=body) == reason
        assert await ask(gateway, MALFORMED, body=body) == "unauthenticated"
        byok = (b"X-Coder-Token: t", b"X-Api-Key: own")
        assert await ask(gateway, *byok, body=body) == "byok_disabled"


async def test_the_body_comes_before_the_breaker(start_gateway, fake, ask):
    gateway = await start_gateway(
        max_request_bytes=1000, circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1
    )
    fake.play(Script(status=529))
    assert await ask(gateway) is None
    assert await ask(gateway) == "circuit_open"
    assert await ask(gateway, body=BODY + b" " * 1000) == "request_too_large"
    assert await ask(gateway, body=BODY[:-1]) == "invalid_request"
    assert fake.seen == 1


async def test_the_breaker_comes_before_the_provider(start_gateway, fake, ask):
    gateway = await start_gateway(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
    fake.play(Script(close=True), Script(close=True))
    assert await ask(gateway) == "upstream_unreachable"
    assert await ask(gateway) == "circuit_open"


async def test_probes_pass_every_limit(start_gateway, fake, ask, raw):
    gateway = await start_gateway(max_concurrency=1, rate_limit=1)
    async with waiting(gateway, fake, ask):
        for path in (b"/healthz", b"/readyz"):
            for _ in range(3):
                for method in (b"GET", b"HEAD"):
                    probe = request(MALFORMED, target=path, method=method, body=b"")
                    reply = await raw(gateway.url, probe)
                    assert reply.status == 200
    assert fake.seen == 1
