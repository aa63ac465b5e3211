"""What the provider said is what the client gets, when it was said."""

import asyncio

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aibridged.fake_provider import Script

MESSAGES = "/anthropic/v1/messages"
REQUEST = {
    "model": "claude-test",
    "max_tokens": 16,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}
EVENT_STREAM = (("Content-Type", "text/event-stream"),)
STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":{}}}\n\n',
    b": a comment\r\n\r\n",
    b'event: content_block_delta\ndata: {"type":"content_block_delta","d":{"text":"\xc3\xa9"}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway()


async def read_all(response):
    """What came of the body, and whether its end came too."""
    got = bytearray()
    try:
        async for chunk in response.content.iter_any():
            got += chunk
    except aiohttp.ClientError:
        return bytes(got), False
    return bytes(got), True


async def test_a_chunk_is_relayed_before_the_next_one_comes(gateway, fake, client):
    gates = {number: asyncio.Event() for number in range(len(STREAM))}
    fake.play(Script(stream=STREAM, headers=EVENT_STREAM, before_write=gates))
    async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
        # The head is here although nothing of the body is.
        assert (response.status, response.content_type) == (200, "text/event-stream")
        for number, piece in enumerate(STREAM):
            gates[number].set()
            assert await response.content.readexactly(len(piece)) == piece
        assert await response.content.read() == b""


async def test_a_stream_cut_at_every_byte_arrives_as_far_as_it_came(gateway, fake, client):
    whole = b"".join(STREAM)
    for position in range(len(whole)):
        fake.play(Script(stream=STREAM, headers=EVENT_STREAM, cut_after=position))
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
            assert await read_all(response) == (whole[:position], False)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_blocking_answer_that_breaks_off_is_never_taken_for_whole(
    gateway, fake, client, reset
):
    fake.play(Script(body=b'{"id":"msg_1"}' * 50, cut_after=100, reset=reset))
    async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
        body, complete = await read_all(response)
    assert not complete
    assert (b'{"id":"msg_1"}' * 50).startswith(body)


@given(body=st.binary(min_size=1, max_size=3000), sizes=st.lists(st.integers(1, 700), min_size=1))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_body_of_any_chunking_arrives_byte_for_byte(gateway, fake, client, body, sizes):
    for script in (
        Script(stream=(body,), chunks=tuple(sizes), headers=EVENT_STREAM),
        Script(body=body, chunks=tuple(sizes)),
    ):
        fake.play(script)
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
            assert await response.read() == body


async def test_status_reason_and_unusual_bodies_pass(gateway, fake, client):
    for status in (200, 201, 206, 400, 401, 404, 413, 422, 429, 500, 502, 529):
        body = b"" if status == 201 else b"\x00\xff not json"
        fake.play(Script(status=status, body=body, headers=(("Content-Type", "x/y"),)))
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
            assert (response.status, await response.read()) == (status, body)
            assert response.headers["Content-Type"] == "x/y"
            assert response.headers["Content-Length"] == str(len(body))


async def test_a_redirect_is_relayed_and_not_followed(gateway, fake, client):
    fake.play(Script(status=307, body=b"", headers=(("Location", "http://evil.example/"),)))
    async with client.post(gateway.url + MESSAGES, json=REQUEST, allow_redirects=False) as response:
        assert response.status == 307
        assert response.headers["Location"] == "http://evil.example/"
    assert fake.seen == 1


async def test_a_body_that_comes_compressed_all_the_same_is_relayed_as_it_came(
    start_gateway, fake, client
):
    gateway = await start_gateway(circuit_breaker_enabled=True)
    fake.play(Script(stream=STREAM, gzip=True, headers=EVENT_STREAM))
    async with client.post(
        gateway.url + MESSAGES, json=REQUEST, headers={"Accept-Encoding": "gzip, zstd"}
    ) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert (await response.read()).startswith(b"\x1f\x8b")
    assert fake.requests[-1].all("Accept-Encoding") == ["identity"]


async def test_head_has_headers_and_no_body(gateway, fake, client):
    fake.play(Script(body=b"{}"))
    async with client.head(gateway.url + "/anthropic/v1/models") as response:
        assert response.status == 200
        assert await response.read() == b""
    assert fake.requests[-1].method == "HEAD"


async def test_a_stalled_client_slows_the_provider_down(start_gateway, fake):
    """Memory stays bounded: of 64 MiB only what the buffers hold leaves the provider."""
    gateway = await start_gateway()
    piece = b"x" * 65536
    fake.play(Script(stream=(piece,) * 1024, headers=EVENT_STREAM))
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1)
    body = b'{"model":"m"}'
    writer.write(
        b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    received = await fake.received()
    before = -1
    while received.sent != before:  # until the provider can send no more
        before = received.sent
        await asyncio.sleep(0.2)
    assert 0 < received.sent < 32 * 1024 * 1024
    got = 0
    while chunk := await reader.read(1 << 20):
        got += len(chunk)
        if got > 1024 * 65536:
            break
    assert got > 1024 * 65536  # and all of it arrives once the client reads on
    writer.close()
