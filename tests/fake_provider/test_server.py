"""The fake through sockets: what it notes, and how it sends, stalls, cuts and closes."""

import asyncio
import base64
import gzip

import aiohttp
import pytest

from aibridged.fake_provider import FakeProvider, Received, Script

MESSAGE = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
STREAM = MESSAGE.replace(b'"m"', b'"m","stream":true')
PATH = "/v1/messages"


async def ask(
    http: aiohttp.ClientSession, path: str = PATH, body: bytes = MESSAGE, **headers: str
) -> tuple[int, bytes]:
    async with http.post(path, data=body, headers=headers) as response:
        return response.status, await response.read()


async def until_it_breaks(response: aiohttp.ClientResponse) -> bytes:
    got = b""
    try:
        while chunk := await response.content.readany():
            got += chunk
    except aiohttp.ClientError:
        return got
    return pytest.fail("the answer ended as if it were whole")


async def test_notes_what_came_over_the_wire(fake: FakeProvider, http: aiohttp.ClientSession):
    body = gzip.compress(MESSAGE)
    headers = {"Content-Encoding": "gzip", "X-Mixed_Case": "Ä"}
    status, answer = await ask(http, f"{PATH}?beta=true", body, **headers)
    assert status == 200
    received = await fake.received()
    assert fake.requests == [received]
    assert (received.method, received.raw_path) == ("POST", "/v1/messages?beta=true")
    assert received.body == body
    assert received.json()["model"] == "m"
    assert received.raw_headers[0][0] == b"Host"
    assert (b"X-Mixed_Case", "Ä".encode()) in received.raw_headers
    assert received.sent == len(answer)
    assert not received.disconnected.is_set()


async def test_connections_can_be_told_apart(fake: FakeProvider, http: aiohttp.ClientSession):
    await ask(http)
    await ask(http, Connection="close")
    await ask(http)
    first, second, third = [request.connection for request in fake.requests]
    assert first == second != third


async def test_remembers_a_bounded_number():
    fake = FakeProvider(keep=2)
    await fake.start()
    async with aiohttp.ClientSession(fake.base_url) as http:
        for number in range(3):
            await ask(http, f"/{number}")
    assert [request.raw_path for request in fake.requests] == ["/1", "/2"]
    assert fake.seen == 3
    await fake.stop()


async def test_a_callable_may_choose_the_script():
    def choose(received: Received) -> Script | None:
        return Script(status=429) if "secret" in received.raw_path else None

    fake = FakeProvider(choose=choose)
    await fake.start()
    async with aiohttp.ClientSession(fake.base_url) as http:
        assert (await ask(http, "/secret"))[0] == 429
        assert (await ask(http, "/public"))[0] == 401
        fake.play(Script(status=500))
        assert (await ask(http, "/secret"))[0] == 500
    await fake.stop()


async def test_waits_before_the_headers(fake: FakeProvider, http: aiohttp.ClientSession):
    go = asyncio.Event()
    fake.play(Script(body=b"a", before_headers=go))
    asked = asyncio.gather(ask(http))
    await fake.received()
    assert not asked.done()
    go.set()
    assert await asked == [(200, b"a")]


async def test_waits_before_writes(fake: FakeProvider, http: aiohttp.ClientSession):
    gates = {0: asyncio.Event(), 1: asyncio.Event()}
    fake.play(Script(stream=(b"a", b"b"), before_write=gates))
    async with http.post(PATH) as response:
        received = await fake.received()
        assert received.sent == 0
        gates[0].set()
        assert await response.content.readany() == b"a"
        assert received.sent == 1
        gates[1].set()
        assert await response.read() == b"b"


async def test_notes_that_the_peer_left_before_the_headers(
    fake: FakeProvider, http: aiohttp.ClientSession
):
    fake.play(Script(silent=True))
    asked = asyncio.gather(ask(http))
    received = await fake.received()
    asked.cancel()
    async with asyncio.timeout(5):
        await received.disconnected.wait()


async def test_notes_that_the_peer_left_in_mid_stream(
    fake: FakeProvider, http: aiohttp.ClientSession
):
    fake.play(Script(stall_after=1))
    async with http.post(PATH, data=STREAM) as response:
        assert (await response.content.readany()).startswith(b"event: message_start")
        received = await fake.received()
        assert not received.disconnected.is_set()
        response.close()
    async with asyncio.timeout(5):
        await received.disconnected.wait()


async def test_a_peer_that_does_not_read_holds_the_fake_up(fake: FakeProvider):
    fake.play(Script(stream=(b"x" * 65536,) * 512))
    reader, writer = await asyncio.open_connection(*fake.base_url[7:].split(":"), limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received = await fake.received()
    await reader.readline()
    before = -1
    while before != received.sent:  # until the buffers are full
        before = received.sent
        for _ in range(100):
            await asyncio.sleep(0)
    assert received.sent < 512 * 65536
    writer.transport.abort()
    async with asyncio.timeout(5):
        await received.disconnected.wait()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("length", [0, 1, 150])
async def test_cuts_a_stream_after_so_many_bytes(
    fake: FakeProvider, http: aiohttp.ClientSession, length: int, reset: bool
):
    fake.play(Script(cut_after=length, reset=reset))
    async with http.post(PATH, data=STREAM) as response:
        assert len(await until_it_breaks(response)) == length
    assert (await fake.received()).sent == length


async def test_a_cut_is_an_end_or_a_reset(fake: FakeProvider):
    fake.play(Script(cut_after=1), Script(cut_after=1, reset=True))
    ends = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*fake.base_url[7:].split(":"))
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(STREAM), STREAM))
        await reader.readuntil(b"1\r\ne\r\n")
        ends += await asyncio.gather(reader.read(), return_exceptions=True)
        writer.close()
    assert ends[0] == b""
    assert isinstance(ends[1], ConnectionResetError)


async def test_cuts_a_whole_answer(fake: FakeProvider, http: aiohttp.ClientSession):
    fake.play(Script(cut_after=10))
    async with http.post(PATH, data=MESSAGE) as response:
        assert len(await until_it_breaks(response)) == 10
        assert int(response.headers["content-length"]) > 10


async def test_closes_without_an_answer(fake: FakeProvider, http: aiohttp.ClientSession):
    fake.play(Script(close=True))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(http)


async def test_sends_in_chunks_of_the_given_sizes(fake: FakeProvider, http: aiohttp.ClientSession):
    fake.play(Script(chunks=(3, 5)))
    async with http.post(PATH, data=STREAM) as response:
        sizes = [len(chunk) async for chunk, ended in response.content.iter_chunks() if ended]
    assert set(sizes[:-1:2]) == {3}
    assert set(sizes[1:-1:2]) == {5}


async def test_compresses(fake: FakeProvider, http: aiohttp.ClientSession):
    fake.play(Script(gzip=True))
    async with http.post(PATH, data=STREAM) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert b"message_stop" in await response.read()


async def test_head_has_no_body(fake: FakeProvider, http: aiohttp.ClientSession):
    fake.play(Script(body=b"hello"))
    async with http.head("/v1/models") as response:
        assert (response.status, await response.read()) == (200, b"")
    assert (await ask(http))[0] == 200


async def test_pauses_between_events(fake: FakeProvider, http: aiohttp.ClientSession):
    fake.play(Script(stream=(b"a", b"b", b"c"), delay=0.01, delay_headers=0.02))
    loop = asyncio.get_running_loop()
    start = loop.time()
    await ask(http)
    assert loop.time() - start >= 0.04


async def test_is_scripted_over_http(fake: FakeProvider, http: aiohttp.ClientSession):
    queued = await ask(http, "/__fake/script", b'[{"status": 529, "times": 2}]')
    assert queued == (200, b'{"queued":1}')
    assert [(await ask(http))[0] for _ in range(3)] == [529, 529, 200]
    async with http.get("/__fake/requests") as response:
        shown = await response.json()
    assert shown["seen"] == 3
    assert base64.b64decode(shown["requests"][0]["body"]) == MESSAGE
    assert ["x-api-key", "sk-any"] in shown["requests"][0]["headers"]
    assert shown["requests"][2]["usage"]["input"] == 1
    await ask(http, "/__fake/script", b'{"status": 500}')
    await ask(http, "/__fake/reset")
    assert (await ask(http))[0] == 200
    assert fake.seen == 1


async def test_a_bad_script_is_refused_with_the_reason(http: aiohttp.ClientSession):
    status, reason = await ask(http, "/__fake/script", b'{"stauts": 500}')
    assert status == 400
    assert b"stauts" in reason
    assert (await ask(http, "/__fake/nothing"))[0] == 404


async def test_ids_differ_even_after_a_reset(fake: FakeProvider, http: aiohttp.ClientSession):
    first = await ask(http)
    fake.reset()
    assert await ask(http) != first


async def test_stops_at_once_whatever_runs():
    fake = FakeProvider()
    await fake.start()
    fake.play(Script(silent=True))
    async with aiohttp.ClientSession(fake.base_url) as http:
        asked = asyncio.gather(ask(http), return_exceptions=True)
        await fake.received()
        async with asyncio.timeout(5):
            await fake.stop()
        (broken,) = await asked
        assert isinstance(broken, aiohttp.ServerDisconnectedError)
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(http)
    await FakeProvider().stop()


async def test_a_strict_fake_looks_at_whole_conversations():
    fake = FakeProvider(strict=True)
    await fake.start()
    try:
        async with aiohttp.ClientSession(fake.base_url, headers={"x-api-key": "k"}) as session:
            hello = {"role": "user", "content": "hi"}
            for path, body, status in (
                ("/v1/messages", {"max_tokens": 1, "messages": [hello]}, 200),
                ("/v1/messages", {"max_tokens": 1, "messages": [hello], "made_up": 1}, 400),
                ("/v1/messages", {"max_tokens": 1, "messages": [hello], "tools": [{}]}, 400),
                ("/v1/chat/completions", {"messages": [hello]}, 200),
                ("/v1/chat/completions", {"messages": [hello], "made_up": 1}, 400),
                ("/v1/responses", {"input": [hello]}, 200),
                ("/v1/responses", {"input": [hello], "made_up": 1}, 400),
            ):
                headers = {"Authorization": "Bearer k"}
                sent = {"model": "m", **body}
                async with session.post(path, json=sent, headers=headers) as response:
                    assert response.status == status, await response.text()
            asked = {"model": "m", "input": "use the tool", "tools": [{"type": "function"}]}
            asked["tools"][0] |= {"name": "t", "parameters": {"type": "object", "properties": {}}}
            async with session.post("/v1/responses", json=asked, headers=headers) as response:
                name = (await response.json())["id"]
            asked = {"model": "m", "input": "hi", "previous_response_id": name}
            async with session.post("/v1/responses", json=asked, headers=headers) as response:
                assert "No tool output found" in await response.text()
    finally:
        await fake.stop()
