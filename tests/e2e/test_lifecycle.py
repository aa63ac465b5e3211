"""Living and dying: the real process."""

import asyncio
import json
import signal
import socket
from contextlib import AsyncExitStack, ExitStack

import aiohttp
import pytest

from aibridged.fake_provider import Script

PATH = "/anthropic/v1/messages"
REQUEST = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


async def finished(daemon, seconds=10):
    async with asyncio.timeout(seconds):
        return await daemon.process.wait()


async def announced(daemon):
    """What it says of itself, and of keys that are missing, until it says what comes next."""
    await daemon.until("Records are stored in")
    [line] = [line for line in daemon.log if "aibridged " in line and "listens on" in line]
    return line, [line for line in daemon.log if "has no key" in line]


async def test_one_line_says_where_to_point_a_client(start_daemon):
    daemon = await start_daemon()
    line, missing = await announced(daemon)
    bases = f"{daemon.url}/anthropic, {daemon.url}/openai/v1"
    assert line.endswith(f" listens on {daemon.url}; point clients at {bases}\n")
    assert missing == []


async def test_a_missing_key_is_told_of_who_could_have_one(start_daemon):
    _, [line] = await announced(await start_daemon(CODER_AIBRIDGE_OPENAI_KEY=""))
    assert "Provider openai has no key" in line
    assert line.rstrip().endswith("Set --aibridge-openai-key")


async def test_no_client_is_pointed_at_a_provider_without_a_base_url_to_set(start_daemon):
    kinds = ("ANTHROPIC_BASE_URL", "ANTHROPIC_KEY", "OPENAI_BASE_URL", "OPENAI_KEY")
    unset = {f"CODER_AIBRIDGE_{each}": "" for each in kinds}
    daemon = await start_daemon(**unset, CODER_AIBRIDGE_PROVIDER_0_TYPE="copilot")
    line, missing = await announced(daemon)
    assert line.endswith(f" listens on {daemon.url}\n")
    assert missing == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stream_ends_in_peace_and_no_connection_is_taken(start_daemon, fake, number):
    daemon = await start_daemon()
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in range(3)]
        stream = await stack.enter_async_context(clients[0].post(daemon.url + PATH, json=REQUEST))
        await stream.content.readany()
        # Connections that are kept alive from before see that the gateway is leaving.
        for client in clients[1:]:
            async with client.get(f"{daemon.url}/readyz") as response:
                assert response.status == 200
        daemon.process.send_signal(number)
        await daemon.until("Shutting down")
        async with clients[1].get(f"{daemon.url}/readyz") as response:
            assert response.status == 503
        async with clients[2].post(daemon.url + PATH, json=REQUEST) as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
        with pytest.raises(aiohttp.ClientConnectorError):
            await clients[1].get(daemon.url)
        gate.set()
        assert b"message_stop" in await stream.content.read()
        assert await finished(daemon) == 0


async def test_who_is_queued_at_the_signal_is_served(start_gateway, fake):
    gateway = await start_gateway(shutdown_timeout=10.0)
    host, port = gateway.url.removeprefix("http://").split(":")
    body = json.dumps(REQUEST).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    with ExitStack() as stack:
        # Blocking: the loop accepts none of them before the shutdown begins.
        queued = [
            stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(5)
        ]
        for each in queued[1:]:
            each.sendall(head + body)
        stopping = asyncio.get_running_loop().create_task(gateway.stop())
        await asyncio.sleep(0)
        queued[0].sendall(head + body)  # was connected by then
        await stopping
        for each in queued:
            each.settimeout(5)
            assert each.recv(12) == b"HTTP/1.1 200"


async def test_an_idle_connection_is_closed_without_a_reset(start_daemon, fake):
    daemon = await start_daemon()
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    host, port = daemon.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with (
        aiohttp.ClientSession() as client,
        client.post(daemon.url + PATH, json=REQUEST) as stream,
    ):
        await stream.content.readany()
        daemon.process.terminate()
        assert await reader.read() == b""  # a moment later, and before the stream ends
        writer.close()
        gate.set()
        assert b"message_stop" in await stream.content.read()
    assert await finished(daemon) == 0


async def test_streams_are_cut_off_after_the_shutdown_timeout(start_daemon, fake):
    daemon = await start_daemon(CODER_SHUTDOWN_TIMEOUT="200ms")
    fake.play(Script(stall_after=2))
    async with (
        aiohttp.ClientSession() as client,
        client.post(daemon.url + PATH, json=REQUEST) as stream,
    ):
        await stream.content.readany()
        daemon.process.terminate()
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.content.read()
    assert await finished(daemon) == 0
    async with asyncio.timeout(10):
        await fake.requests[-1].disconnected.wait()


async def test_a_second_signal_ends_it_at_once(start_daemon, fake):
    daemon = await start_daemon()
    fake.play(Script(stall_after=2))
    async with (
        aiohttp.ClientSession() as client,
        client.post(daemon.url + PATH, json=REQUEST) as stream,
    ):
        await stream.content.readany()
        daemon.process.terminate()
        await daemon.until("Shutting down")
        daemon.process.terminate()
        assert await finished(daemon, 2) == -signal.SIGTERM


async def test_an_idle_daemon_leaves_at_once(start_daemon):
    daemon = await start_daemon()
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{daemon.url}/healthz") as response:
            assert response.status == 200
        daemon.process.terminate()
        assert await finished(daemon, 3) == 0


async def test_a_taken_port_is_one_clear_line(start_daemon):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError) as caught:
            await start_daemon(CODER_HTTP_ADDRESS=address)
    [line] = str(caught.value).splitlines()
    assert address in line
    assert "in use" in line
    assert "--http-address" in line


async def test_bad_settings_are_told_all_at_once_and_nothing_listens(start_daemon):
    with pytest.raises(AssertionError) as caught:
        await start_daemon(
            CODER_AIBRIDGE_RATE_LIMIT="many",
            CODER_AIBRIDGE_MAX_CONCURRENCY="-1",
            CODER_TLS_CERT_FILE="/nowhere",
        )
    said = str(caught.value)
    for name in ("RATE_LIMIT", "MAX_CONCURRENCY", "TLS_KEY_FILE"):
        assert name in said.upper().replace("-", "_")
