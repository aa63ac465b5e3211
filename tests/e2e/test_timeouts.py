"""Slow and broken peers on either side hold nothing forever."""

import asyncio
import socket

import pytest

from aibridged.config.options import ProviderSettings
from aibridged.fake_provider import Script

BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
PATH = "/anthropic/v1/messages"
HEAD = b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(
    BODY
)


async def connect(gateway):
    host, port = gateway.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


def reason(response):
    return response.status, response.headers["X-Aibridge-Reason"]


async def test_a_head_that_never_ends_is_cut_off(start_gateway):
    gateway = await start_gateway(http_read_timeout=0.1)
    for start in (b"", b"POST /anthropic", HEAD):
        reader, writer = await connect(gateway)
        writer.write(start)
        assert await reader.read() == b""
        writer.close()


async def test_the_second_head_on_a_connection_must_end_too(start_gateway):
    gateway = await start_gateway(http_read_timeout=0.1)
    reader, writer = await connect(gateway)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"ok\n")
    writer.write(b"GET /healthz HT")
    assert await reader.read() == b""
    writer.close()


async def test_a_body_that_stops_coming_is_answered_408(start_gateway, fake):
    gateway = await start_gateway(http_read_timeout=0.1, max_concurrency=1)
    reader, writer = await connect(gateway)
    writer.write(HEAD + b"\r\n" + BODY[:10])
    answer = await reader.readuntil(b"}}")
    assert b" 408 " in answer
    assert b"request_timeout" in answer
    writer.close()
    assert fake.seen == 0


async def test_a_client_that_stops_reading_is_cut_off(start_gateway, fake):
    gateway = await start_gateway(http_write_timeout=0.1)
    fake.play(Script(stream=(b"x" * 65536,) * 512))
    _, writer = await connect(gateway)
    writer.write(HEAD + b"\r\n" + BODY)
    upstream = await fake.received()
    async with asyncio.timeout(5):
        await upstream.disconnected.wait()
    writer.close()


async def test_a_silent_provider_is_a_504(start_gateway, fake, client):
    gateway = await start_gateway(upstream_idle_timeout=0.1)
    fake.play(Script(silent=True))
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert reason(response) == (504, "upstream_timeout")
        assert "anthropic" in (await response.json())["message"]


async def test_a_provider_that_falls_silent_in_the_middle_is_broken_off(
    start_gateway, fake, client
):
    gateway = await start_gateway(upstream_idle_timeout=0.1)
    fake.play(Script(stall_after=1, stream=(b"half", b"whole")))
    async with client.post(gateway.url + PATH, data=BODY) as response:
        with pytest.raises(Exception, match="payload"):
            await response.read()


async def test_a_provider_that_hangs_up_is_a_502_and_is_asked_once(start_gateway, fake, client):
    gateway = await start_gateway()
    fake.play(Script(close=True))
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert reason(response) == (502, "upstream_unreachable")
    assert fake.seen == 1


async def test_a_stale_connection_is_not_asked_twice(start_gateway, fake, client):
    gateway = await start_gateway()
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 200
    fake.play(Script(close=True))
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 502
    assert fake.seen == 2


async def test_nobody_listening_is_a_502(start_gateway, client):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        gateway = await start_gateway(
            providers=(
                ProviderSettings("anthropic", "anthropic", None, f"http://127.0.0.1:{port}"),
            )
        )
        async with client.post(gateway.url + PATH, data=BODY) as response:
            assert reason(response) == (502, "upstream_unreachable")


async def test_an_expectation_is_met_only_after_the_first_three_stages(start_gateway, fake):
    gateway = await start_gateway()
    reader, writer = await connect(gateway)
    writer.write(HEAD + b"Expect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert fake.requests[-1].header("Expect") is None
    writer.close()

    reader, writer = await connect(gateway)
    writer.write(HEAD + b"Expect: 100-continue\r\nAuthorization: Basic eDp5\r\n\r\n")
    assert b" 401 " in (await reader.readuntil(b"\r\n\r\n")).splitlines()[0]
    writer.close()


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused_before_it_is_read_to_the_end(
    start_gateway, fake, declared
):
    gateway = await start_gateway(max_request_bytes=1000)
    reader, writer = await connect(gateway)
    framing = b"Content-Length: 100000000" if declared else b"Transfer-Encoding: chunked"
    writer.write(
        b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n"
    )
    if not declared:
        writer.write(b"3e9\r\n" + b"x" * 1001 + b"\r\n")
    answer = await reader.readuntil(b"}}")
    assert b" 413 " in answer
    assert b"request_too_large" in answer
    assert fake.seen == 0
    writer.close()
