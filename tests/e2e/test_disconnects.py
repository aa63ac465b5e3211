"""A client that leaves takes its upstream request with it, and nothing else."""

import asyncio

import pytest

from aibridged.fake_provider import Script

BODY = b'{"model":"m","stream":true,"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
REQUEST = (
    b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
EVENT_STREAM = (("Content-Type", "text/event-stream"),)


async def connect(gateway):
    host, port = gateway.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def leave(writer, abruptly):
    if abruptly:
        writer.transport.abort()
    else:
        writer.close()


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway(
        max_concurrency=1, circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1
    )


async def sent_all_it_can(upstream):
    """Returns once the buffers on the way to a client that doesn't read are full."""
    before = -1
    while upstream.sent != before:
        before = upstream.sent
        await asyncio.sleep(0.1)


async def serves_again(gateway, fake, client):
    """The slot is free and the breaker hasn't moved."""
    async with asyncio.timeout(10):
        while True:
            async with client.post(gateway.url + "/anthropic/v1/messages", data=BODY) as response:
                await response.read()
                if response.headers.get("X-Aibridge-Reason") != "at_capacity":
                    assert response.status == 200
                    return


@pytest.mark.parametrize("abruptly", [False, True])
async def test_in_the_middle_of_the_request_head(gateway, fake, client, abruptly):
    _, writer = await connect(gateway)
    writer.write(REQUEST[:30])
    await writer.drain()
    await leave(writer, abruptly)
    await serves_again(gateway, fake, client)
    assert fake.seen == 1


@pytest.mark.parametrize("abruptly", [False, True])
async def test_in_the_middle_of_the_request_body(gateway, fake, client, abruptly):
    _, writer = await connect(gateway)
    writer.write(REQUEST[:-5])
    await writer.drain()
    await leave(writer, abruptly)
    await serves_again(gateway, fake, client)
    assert fake.seen == 1


@pytest.mark.parametrize("abruptly", [False, True])
async def test_before_the_providers_head(gateway, fake, client, abruptly):
    fake.play(Script(silent=True))
    _, writer = await connect(gateway)
    writer.write(REQUEST)
    upstream = await fake.received()
    await leave(writer, abruptly)
    async with asyncio.timeout(10):
        await upstream.disconnected.wait()
    await serves_again(gateway, fake, client)


@pytest.mark.parametrize("abruptly", [False, True])
async def test_between_the_head_and_the_first_event(gateway, fake, client, abruptly):
    fake.play(Script(headers=EVENT_STREAM, before_write={0: asyncio.Event()}))
    reader, writer = await connect(gateway)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    upstream = await fake.received()
    await leave(writer, abruptly)
    async with asyncio.timeout(10):
        await upstream.disconnected.wait()
    await serves_again(gateway, fake, client)


@pytest.mark.parametrize("abruptly", [False, True])
async def test_in_the_middle_of_a_stream(gateway, fake, client, abruptly):
    fake.play(Script(stall_after=2))
    reader, writer = await connect(gateway)
    writer.write(REQUEST)
    await reader.readuntil(b"message_start")
    upstream = await fake.received()
    await leave(writer, abruptly)
    async with asyncio.timeout(10):
        await upstream.disconnected.wait()
    await serves_again(gateway, fake, client)


async def test_while_the_provider_waits_for_a_stalled_client(gateway, fake, client):
    fake.play(Script(stream=(b"x" * 65536,) * 512, headers=EVENT_STREAM))
    _, writer = await connect(gateway)
    writer.write(REQUEST)
    upstream = await fake.received()
    await sent_all_it_can(upstream)
    writer.transport.abort()
    async with asyncio.timeout(10):
        await upstream.disconnected.wait()
    await serves_again(gateway, fake, client)


async def test_an_upstream_that_leaves_breaks_the_clients_connection_off(gateway, fake):
    fake.play(Script(cut_after=200))
    reader, writer = await connect(gateway)
    writer.write(REQUEST)
    everything = await reader.read(1 << 20)
    while chunk := await reader.read(1 << 20):
        everything += chunk
    assert b"message_start" in everything
    assert not everything.endswith(b"0\r\n\r\n")
    writer.close()


UNSTREAMED = REQUEST.replace(b'"stream":true', b'"top_k" :   5')


@pytest.mark.parametrize(
    ("request_", "last"),
    [(REQUEST, b"message_stop"), (UNSTREAMED, b"end_turn")],
    ids=["stream", "body"],
)
async def test_a_half_closed_client_is_answered_where_the_setting_says_so(
    start_gateway, fake, client, request_, last
):
    gateway = await start_gateway(http_allow_half_close=True)
    seen = asyncio.Event()
    fake.play(Script(before_headers=seen))
    reader, writer = await connect(gateway)
    writer.write(request_)
    await fake.received()
    writer.write_eof()
    async with client.get(gateway.url + "/healthz") as response:
        assert response.status == 200  # by now the gateway has seen the other's end
    seen.set()
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert last in answer
    writer.close()


async def test_a_client_that_half_closes_at_once_is_answered_too(start_gateway, fake):
    gateway = await start_gateway(http_allow_half_close=True)
    reader, writer = await connect(gateway)
    writer.write(REQUEST)
    writer.write_eof()
    async with asyncio.timeout(10):
        assert b"message_stop" in await reader.read()
    writer.close()


async def test_one_that_left_is_noticed_on_writing_then(start_gateway, fake):
    gateway = await start_gateway(http_allow_half_close=True)
    fake.play(Script(stream=(b"data: x\n\n",) * 10_000, headers=EVENT_STREAM, delay=0.01))
    reader, writer = await connect(gateway)
    writer.write(REQUEST)
    await reader.readuntil(b"data: x")
    upstream = await fake.received()
    writer.close()
    async with asyncio.timeout(10):
        await upstream.disconnected.wait()


async def test_half_a_request_is_none_however(start_gateway, fake, client):
    gateway = await start_gateway(http_allow_half_close=True, max_concurrency=1)
    reader, writer = await connect(gateway)
    writer.write(REQUEST[:-5])
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await serves_again(gateway, fake, client)
    assert fake.seen == 1
