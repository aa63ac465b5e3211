"""A gateway token never leaves: not upstream, nor into a log, a trace, a dump or an error."""

import asyncio
from ipaddress import ip_network
from itertools import product

import aiohttp
import pytest
from loguru import logger

from aibridged.config.kinds import Address
from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.fake_provider.answer import Answer, ToolCall
from aibridged.identity.anonymous import NoneAuthenticator
from aibridged.observe.log_outputs import finish
from aibridged.observe.logging import configure

CANARY = b"canary-5f1c9a7e"
BODY = b'{"model":"m","max_tokens":1,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
MESSAGES = b"POST /anthropic/v1/messages HTTP/1.1"
CHAT = b"POST /openai/v1/chat/completions HTTP/1.1"

BEARER = b"Authorization: Bearer " + CANARY
KEY = b"X-Api-Key: " + CANARY
TOKEN = b"X-Coder-Token: " + CANARY
OWN = b"Authorization: Bearer sk-own"


def request(*headers, first=MESSAGES, body=BODY):
    lines = [first, b"Host: localhost", b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


TAKEN = [
    request(BEARER),
    request(KEY),
    request(BEARER, KEY),
    request(TOKEN),
    request(b"X-Coder-AI-Governance-Token: " + CANARY),
    request(TOKEN, OWN),
    request(TOKEN, OWN, first=CHAT),
    request(KEY, first=CHAT),
    request(b"authorization: bearer   " + CANARY, first=CHAT),
    request(TOKEN, b"Cookie: coder_session_token=" + CANARY),
    request(b"Cookie: a=b", b"Cookie: " + CANARY),
    request(b"X-Coder-Session-Token: " + CANARY, b"Coder-Session-Token: " + CANARY),
    request(b"X_Api_Key: " + CANARY, b"X_Coder_Token: " + CANARY, b"x-api_key: " + CANARY),
    request(b"Proxy-Authorization: Basic " + CANARY),
    request(b"Connection: X-Api-Key", KEY),
    request(b"Connection: X-Secret", b"X-Secret: " + CANARY),
    request(BEARER, b"TE: trailers", b"Expect: 100-continue"),
    request(KEY, first=b"GET /anthropic/v1/models?limit=1000 HTTP/1.1", body=b""),
    request(TOKEN, first=b"GET /openai/v1/models HTTP/1.0", body=b""),
]

REFUSED = [
    request(b"Authorization : Bearer " + CANARY),
    request(b"Authorization: Bearer " + CANARY + b"\x00"),
    request(b"Authorization: Bearer a\r\n " + CANARY),
    request(b"Authorization Bearer " + CANARY),
    request(b"Author\xefzation: Bearer " + CANARY),
    request(b"X-Api-Key: " + CANARY * 4000),
    request(b"X-" + CANARY * 4000 + b": a"),
    request(b"Authorization: Basic " + CANARY),
    request(b"Authorization: " + CANARY),
    request(b"Authorization: Bearer " + CANARY + b" " + CANARY),
    request(b"X-Api-Key: caf\xe9" + CANARY),
    request(BEARER, BEARER),
    request(KEY, KEY),
    request(TOKEN, TOKEN),
    request(TOKEN, b"X-Coder-AI-Governance-Token: " + CANARY),
    request(TOKEN, KEY, KEY),
    request(KEY, first=b"GET http://user:" + CANARY + b"@evil.example/ HTTP/1.1"),
    request(KEY, first=CANARY + b" /anthropic HTTP/1.1"),
    request(KEY, first=b"GET /" + CANARY + b" HTTP/1.1"),
    request(KEY, first=b"GET /anthropic/v1/models/%zz" + CANARY + b" HTTP/1.1"),
    request(KEY, first=b"GET /anthropic/v1/models HTTP/" + CANARY),
    request(KEY, first=b"GET /anthropic/../" + CANARY + b" HTTP/1.1"),
    request(KEY, first=b"GET /anthropic/" + CANARY * 4000 + b" HTTP/1.1"),
    request(KEY, body=b'{"model": ' + CANARY),
    request(KEY, body=b'{"model": 1, "x": "%b"}' % CANARY),
    request(KEY, body=CANARY),
    request(KEY, b"Content-Encoding: zstd", body=CANARY * 10),
    request(KEY, b"Content-Encoding: gzip", body=CANARY * 10),
    request(KEY, b"Content-Encoding: " + CANARY),
    request(KEY, b"Transfer-Encoding: " + CANARY),
    request(KEY, body=CANARY * 10_000),
    b"%b\r\nHost: localhost\r\n%b\r\nContent-Length: %b\r\n\r\n" % (MESSAGES, KEY, CANARY),
    b"%b\r\nHost: localhost\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n"
    % (MESSAGES, KEY, CANARY),
    b"%b\r\nHost: localhost\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%b\r\n"
    % (MESSAGES, KEY, CANARY),
    b"\x16\x03\x01" + CANARY + b"\r\n\r\n",
    request(
        KEY,
        b"Upgrade: websocket",
        b"Sec-WebSocket-Protocol: openai-insecure-api-key." + CANARY,
        first=b"GET /openai/v1/responses HTTP/1.1",
    ),
]

FAILING = [
    Script(status=400),
    Script(status=401),
    Script(status=429),
    Script(status=500),
    Script(status=529),
    Script(error="overloaded_error"),
    Script(error="api_error", error_after=2),
    Script(close=True),
    Script(close=True, reset=True),
    Script(silent=True),
    Script(cut_after=100),
    Script(cut_after=100, reset=True),
    Script(stall_after=2),
    Script(stream=(b"data: {broken\n\n",)),
]

ECHOING = [
    Script(body=b'{"you":"sent %b"}' % CANARY),
    Script(status=401, body=b'{"error":{"message":"Incorrect API key: %b"}}' % CANARY),
    Script(stream=(b"data: " + CANARY[:7], CANARY[7:] + b"\n\n")),
    Script(headers=(("X-Echo", CANARY.decode()), ("Set-Cookie", CANARY.decode()))),
    Script(body=CANARY * 3000, cut_after=5000),
]


OWN_KEYS = [b"X-Api-Key: ", b"Authorization: Bearer ", b"authorization: bearer  "]


@pytest.fixture
async def listening_daemon(start_daemon, tmp_path, received_spans):
    """A daemon that tells all that it can, and a look at all that it told and wrote."""
    daemon = await start_daemon(
        "--verbose",
        "--trace",
        "--trace-logs",
        CODER_LOGGING_JSON=str(tmp_path / "log.json"),
        CODER_LOGGING_STACKDRIVER=str(tmp_path / "log.stackdriver"),
        CODER_AIBRIDGE_DUMP_DIR=str(tmp_path / "dumps"),
        CODER_AIBRIDGE_UPSTREAM_IDLE_TIMEOUT="200ms",
        CODER_HTTP_READ_TIMEOUT="2s",
        CODER_AIBRIDGE_MAX_REQUEST_BYTES="100000",
        CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED="true",
        CODER_AIBRIDGE_CIRCUIT_BREAKER_FAILURE_THRESHOLD="3",
    )

    async def told():
        daemon.process.terminate()
        await daemon.process.wait()
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert any(path.suffix == ".json" and text for path, text in files.items())
        assert sum("dumps" in path.parts for path in files)
        assert b"CachedBridgePool.Acquire" in received_spans
        log = "".join(daemon.log).encode()
        assert b"POST /anthropic/v1/messages" in log
        return {"stderr": log, "traces": bytes(received_spans), **files}

    return daemon, told


def upstream(fake):
    return b"\n".join(
        b"\n".join([each.raw_path.encode(), *map(b": ".join, each.raw_headers), each.body])
        for each in fake.requests
    )


async def test_in_good_and_in_bad_requests(listening_daemon, fake, raw):
    daemon, told = listening_daemon
    for each in TAKEN:
        reply = await raw(daemon.url, each)
        assert reply.header("X-Aibridge-Reason") is None
        assert CANARY not in repr(reply).encode()
    assert fake.seen == len(TAKEN)
    for each in REFUSED:
        reply = await raw(daemon.url, each)
        assert 400 <= reply.status < 500, each[:100]
        assert reply.json()["type"] == "error"
        assert CANARY not in repr(reply).encode(), each[:100]
    assert fake.seen == len(TAKEN)
    assert CANARY not in upstream(fake)
    for where, text in (await told()).items():
        assert CANARY not in text, where
        assert b"sk-own" not in text, where


def of_model(number, *headers):
    """A request for a model of its own, so that it has a circuit of its own."""
    return request(*headers, body=BODY.replace(b'"m"', b'"m%d"' % number))


async def test_when_the_provider_fails(listening_daemon, fake, raw):
    daemon, told = listening_daemon
    cases = list(product(FAILING, (BEARER, KEY, TOKEN)))
    for number, (script, header) in enumerate(cases):
        fake.play(script)
        reply = await raw(daemon.url, of_model(number, header))
        assert CANARY not in repr(reply).encode(), script
    assert fake.seen == len(cases)
    assert CANARY not in upstream(fake)
    for where, text in (await told()).items():
        assert CANARY not in text, where


async def test_when_the_provider_says_it(listening_daemon, fake, raw):
    """The caller hears what the provider said; neither logs nor dumps do."""
    daemon, told = listening_daemon
    own = [(b"X-Coder-Token: gateway", start + CANARY) for start in OWN_KEYS]
    cases = list(product(ECHOING, [(BEARER,), (KEY,), (TOKEN,), *own]))
    for number, (script, headers) in enumerate(cases):
        fake.play(script)
        await raw(daemon.url, of_model(number, *headers))
    assert fake.seen == len(cases)
    for where, text in (await told()).items():
        assert CANARY not in text, where
        assert b"sk-ant-organisation" not in text, where


@pytest.fixture
def log(tmp_path):
    """Everything that is logged in this process, as people and as machines read it."""
    human, lines = tmp_path / "log", tmp_path / "log.json"
    configure(str(human), str(lines), "", (), True)

    def told():
        finish(10)  # those that were gathered, too
        return human.read_bytes() + lines.read_bytes()

    yield told
    logger.remove()


async def test_when_the_gateway_itself_fails(start_gateway, fake, raw, log, monkeypatch):
    def fail(self, token, key):
        raise RuntimeError("a bug")

    monkeypatch.setattr(NoneAuthenticator, "known", fail)
    gateway = await start_gateway()
    for header in (BEARER, KEY, TOKEN):
        reply = await raw(gateway.url, request(header))
        assert (reply.status, reply.header("X-Aibridge-Reason")) == (500, "internal_error")
        assert CANARY not in repr(reply).encode()
    assert b"RuntimeError: a bug" in log()
    assert CANARY not in log()
    assert fake.seen == 0


HEADS_THAT_ARE_NONE = [
    b"HTTP/1.1 200 OK\r\nX-Echo : %b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n%b\r\n\r\n",
    b"HTTP/1.1 %b\r\n\r\n",
    b"%b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + CANARY * 6000 + b"%b\r\n\r\n",
]


@pytest.mark.parametrize("head", HEADS_THAT_ARE_NONE)
async def test_when_a_provider_quotes_it_in_what_is_not_http(start_gateway, raw, log, head):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head % CANARY)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        provider = ProviderSettings("anthropic", "anthropic", Secret("sk"), url)
        gateway = await start_gateway(providers=(provider,))
        reply = await raw(gateway.url, request(KEY))
    assert reply.status in (0, 200, 502)
    assert CANARY not in repr(reply).encode()
    assert b"Provider anthropic" in log()
    assert CANARY not in log()


async def test_when_a_provider_quotes_it_in_the_middle_of_an_answer(start_gateway, client, log):
    head_is_there = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await head_is_there.wait()
        writer.write(b"%b\r\n%b\r\n" % (CANARY, CANARY))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        provider = ProviderSettings("anthropic", "anthropic", Secret("sk"), url)
        gateway = await start_gateway(providers=(provider,))
        headers = {"X-Api-Key": CANARY.decode()}
        async with client.post(
            f"{gateway.url}/anthropic/v1/messages", data=BODY, headers=headers
        ) as response:
            head_is_there.set()
            async with asyncio.timeout(5):
                with pytest.raises(aiohttp.ClientError):
                    await response.read()
    assert b"aborted its response" in log()
    assert CANARY not in log()


SECRET = b"S3creT" * 7 + b"x"
PASTED = b"aib_0123456789_" + SECRET

# What is sent of each to the provider is the body, as it came.
WITH_A_PASTED_TOKEN = [
    request(BEARER, b"User-Agent: " + PASTED),
    request(BEARER, b"User-Agent: " + b"x" * 230 + PASTED),  # cut in the middle of it
    request(
        BEARER,
        b"User-Agent: claude-cli/2 (" + PASTED + b")",
        b"X-Claude-Code-Session-Id: " + PASTED,
    ),
    request(
        BEARER,
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"tracestate: vendor=" + PASTED,
        b"baggage: a=" + PASTED,
    ),
    request(BEARER, b"X-Request-Id: " + PASTED, b"X-Custom: " + PASTED),
    request(BEARER, body=BODY.replace(b'"m"', b'"%b"' % PASTED)),
    request(BEARER, body=BODY.replace(b'"m"', b'"%b%b"' % (b"m" * 230, PASTED))),
    request(BEARER, body=BODY.replace(b'"hi"', b'"my token is %b, is it?"' % PASTED)),
    request(
        BEARER,
        b"User-Agent: claude-cli/2.1",
        body=BODY.replace(b'"m"', b'"m","metadata":{"user_id":"user_x_session_%b"}' % PASTED),
    ),
    request(
        BEARER,
        body=BODY.replace(
            b'"hi"', b'[{"type":"tool_result","tool_use_id":"%b","content":"x"}]' % PASTED
        ),
    ),
    request(
        BEARER,
        first=CHAT,
        body=b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % PASTED,
    ),
]
QUOTED = Answer(
    text=PASTED.decode(),
    thinking=f"I think of {PASTED.decode()}",
    calls=(ToolCall(PASTED.decode(), f'{{"token": "{PASTED.decode()}"}}'),),
)
WITH_A_TOKEN_IN_THE_TARGET = [
    request(BEARER, b"X-Request-Id: " + PASTED, first=b"GET /%b HTTP/1.1" % target, body=b"")
    for target in (
        b"anthropic/v1/models?key=" + PASTED,
        b"anthropic/v1/models?key=" + PASTED.replace(b"_", b"%5f"),
        b"anthropic/v1/models/" + PASTED,
        PASTED + b"/v1/models",
        b"api/v2/aibridge/interceptions?q=" + PASTED,
        b"healthz?" + PASTED,
    )
]


@pytest.fixture
def everything_told(tmp_path, received_spans):
    """A look at all logs, of all kinds, at traces and at the record, once the gateway is gone."""
    places = [str(tmp_path / f"log.{kind}") for kind in ("human", "json", "stackdriver")]
    configure(*places, (), True, trace_logs=True)

    def told():
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert b"interception log" in files[tmp_path / "log.json"]
        assert b"Intercept.RecordPromptUsage" in received_spans
        assert any(path.name.startswith("aibridged.db") for path in files)
        return {"traces": bytes(received_spans), **files}

    yield told
    logger.remove()


async def test_when_a_person_pastes_it_somewhere(
    start_gateway, fake, raw, client, tmp_path, everything_told
):
    """In its own shape it is blanked wherever the gateway keeps, shows or counts text."""
    gateway = await start_gateway(
        state_dir=tmp_path / "state",
        structured_logging=True,
        trace=True,
        prometheus_enable=True,
        prometheus_address=Address("127.0.0.1", 0),
        proxy_trusted_origins=(ip_network("127.0.0.1"),),
    )
    for each in WITH_A_PASTED_TOKEN:
        fake.play(Script(answer=QUOTED))
        reply = await raw(gateway.url, each)
        assert reply.status == 200
        assert SECRET not in repr(reply.headers).encode()
        assert PASTED in reply.body  # what the provider said is the caller's
        received = fake.requests[-1]
        assert SECRET not in repr([received.raw_path, received.raw_headers]).encode()
        assert received.body.endswith(each.partition(b"\r\n\r\n")[2][-20:])
    fake.play(Script(error="api_error", error_after=2))
    await raw(gateway.url, request(BEARER, b"User-Agent: " + PASTED))
    fake.play(Script(status=400, body=b'{"type":"error","error":{"type":"%b"}}' % PASTED))
    await raw(gateway.url, request(BEARER, body=BODY.replace(b"true", b"false")))
    seen = fake.seen
    for each in WITH_A_TOKEN_IN_THE_TARGET:
        reply = await raw(gateway.url, each)
        assert (reply.status, reply.header("X-Aibridge-Reason")) == (400, "invalid_request")
        assert "header" in reply.json()["error"]["message"]
        assert SECRET not in repr(reply).encode()
    assert fake.seen == seen
    plain = {"Accept-Encoding": "identity"}
    async with client.get(gateway.metrics_urls[0], headers=plain) as response:
        metrics = await response.read()
    await gateway.stop()
    told = {"metrics": metrics, **everything_told()}
    for where, text in told.items():
        assert SECRET[:10] not in text, where
    for where in ("metrics", "traces", tmp_path / "log.human", tmp_path / "log.json"):
        assert b"aib_0123456789_***" in told[where], where
    assert any(b"is aib_0123456789_***, is it?" in text for text in told.values())
