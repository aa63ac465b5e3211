"""The requests of intercepted connections: to the gateway, or on to the provider's host."""

import asyncio
import json
import ssl
from contextlib import suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_network

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer

from aibridged.config.kinds import Address
from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.daemon import gatekeeper
from aibridged.fake_provider import Script
from aibridged.observe.logging import configure
from aibridged.records import schema
from aibridged.records.database import database_url, make_engine

MESSAGE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ANTHROPIC, OPENAI = "api.anthropic.com", "api.openai.com"
ORGANISATION = {"sk-ant-organisation", "Bearer sk-openai-organisation"}


def request(method, target, host, *headers, body=b"", length=True):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body and length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(target, host, *headers, **fields):
    return request("POST", target, host, *headers, body=json.dumps({**MESSAGE, **fields}).encode())


OWN = "X-Api-Key: sk-ant-own"


async def test_an_own_key_goes_on_and_the_gateway_token_nowhere(proxied, fake, log):
    connect = await proxied.intercepted(ANTHROPIC)
    status, answer = await connect.ask(
        post("/v1/messages", ANTHROPIC, OWN, "Anthropic-Beta: x", "X-Stainless-Lang: js")
    )
    assert status == 200
    received = fake.requests[-1]
    assert received.raw_path == "/v1/messages"
    assert received.header("X-Api-Key") == "sk-ant-own"
    assert received.header("Anthropic-Beta") == "x"
    assert received.header("X-Stainless-Lang") == "js"
    everything = b"".join(name + value for name, value in received.raw_headers) + received.body
    assert proxied.token.encode() not in everything + answer
    assert not any(proxied.token in line or "sk-ant-own" in line for line in log)


async def test_who_asked_is_recorded(proxied):
    connect = await proxied.intercepted(OPENAI)
    await connect.ask(
        post("/v1/chat/completions", OPENAI, "Authorization: Bearer sk-own", "User-Agent: codex/1")
    )
    connect = await proxied.intercepted(ANTHROPIC)
    await connect.ask(post("/v1/messages", ANTHROPIC, stream=True))
    gateway = proxied.gateway
    users = {user.id: user.username for user in gateway._composition.resources.tokens.list_users()}
    await gateway.stop()
    rows = _rows(gateway)
    assert [users[row["initiator_id"]] for row in rows] == ["alice", "alice"]
    kinds = {row["provider_name"]: row["credential_kind"] for row in rows}
    assert kinds == {"openai": "byok", "anthropic": "centralized"}


def _rows(gateway):
    engine = make_engine(database_url(gateway.settings.state_dir), busy_timeout=1)
    with engine.begin() as connection:
        found = connection.execute(sa.select(schema.interceptions)).mappings().all()
    engine.dispose()
    return [dict(row) for row in found]


@pytest.mark.parametrize(
    ("host", "target", "header", "value"),
    [
        (ANTHROPIC, "/v1/messages", "X-Api-Key", "sk-ant-organisation"),
        (OPENAI, "/v1/chat/completions", "Authorization", "Bearer sk-openai-organisation"),
    ],
)
async def test_without_an_own_key_the_organisations_is_used(
    proxied, fake, host, target, header, value
):
    """So it is with a tool that insists on a key, and is given the gateway token."""
    for headers in (
        (),
        (f"Authorization: Bearer {proxied.token}",),
        (f"X-Api-Key: {proxied.token}",),
    ):
        connect = await proxied.intercepted(host)
        assert (await connect.ask(post(target, host, *headers)))[0] == 200
        received = fake.requests[-1]
        assert received.header(header) == value
        assert not any(proxied.token.encode() in each for _, each in received.raw_headers)


@pytest.mark.parametrize("target", ["/api/event_logging/batch", "/api/event_logging/v2/batch"])
async def test_telemetry_goes_on_without_the_organisations_key(proxied, fake, target):
    for headers, arrives in (((), None), ((OWN,), "sk-ant-own")):
        connect = await proxied.intercepted(ANTHROPIC)
        assert (await connect.ask(post(target, ANTHROPIC, *headers)))[0] == 200
        received = fake.requests[-1]
        assert received.raw_path == target
        assert received.header("X-Api-Key") == arrives
        assert received.header("Authorization") is None


async def test_own_keys_may_be_forbidden(start_proxied, fake):
    proxied = await start_proxied(allow_byok=False)
    connect = await proxied.intercepted(ANTHROPIC)
    status, answer = await connect.ask(post("/v1/messages", ANTHROPIC, OWN))
    assert status == 403
    assert b"byok_disabled" in answer
    assert fake.seen == 0


FROM_A_PAGE = [
    ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Content-Type: text/plain"),
    ("Origin: https://evil.example",),
    ("Sec-Fetch-Site: same-site",),
]


@pytest.mark.parametrize("auth", ["token", "none"])
async def test_a_web_page_is_not_given_the_organisations_key(start_proxied, fake, auth):
    """A browser that uses the proxy would show it the token for any page."""
    proxied = await start_proxied(auth=auth)
    for headers in FROM_A_PAGE:
        connect = await proxied.intercepted(ANTHROPIC)
        status, answer = await connect.ask(post("/v1/messages", ANTHROPIC, *headers))
        assert status == 403
        assert b"X-Aibridge-Reason: origin_refused" in answer
    assert fake.seen == 0
    for headers in (
        (*FROM_A_PAGE[0], OWN),
        (f"Origin: https://{ANTHROPIC}", "Sec-Fetch-Site: same-origin"),
        ("Sec-Fetch-Site: none",),
        (),
    ):
        connect = await proxied.intercepted(ANTHROPIC)
        assert (await connect.ask(post("/v1/messages", ANTHROPIC, *headers)))[0] == 200


async def test_without_authentication_an_own_key_goes_on_as_well(start_proxied, fake):
    proxied = await start_proxied(auth="none")
    connect = await proxied.connect(f"{ANTHROPIC}:443", authorization=None)
    await connect.tls(ANTHROPIC, proxied.ca)
    assert (await connect.ask(post("/v1/messages", ANTHROPIC, OWN)))[0] == 200
    assert fake.requests[-1].header("X-Api-Key") == "sk-ant-own"


@pytest.mark.parametrize(
    "header",
    [
        "X-Coder-Token: {other}",
        "X-Coder-AI-Governance-Token: {other}",
        "X_Coder_Token: {other}",
        "Coder-Session-Token: {other}",
        "X-AI-Bridge-Actor-ID: eve",
        "X-Forwarded-For: 192.0.2.1",
    ],
)
async def test_a_client_cannot_say_who_it_is(start_proxied, fake, header):
    proxied = await start_proxied(
        proxy_trusted_headers=("X-Forwarded-For",),
        proxy_trusted_origins=(ip_network("127.0.0.0/8"),),
        send_actor_headers=True,
    )
    tokens = proxied.gateway._composition.resources.tokens
    tokens.create_user("bob")
    other = tokens.create_token("bob", name="x", lifetime=None)[1].reveal()
    connect = await proxied.intercepted(ANTHROPIC)
    status, _ = await connect.ask(post("/v1/messages", ANTHROPIC, header.format(other=other)))
    assert status == 200
    received = fake.requests[-1]
    assert received.all("X-AI-Bridge-Actor-Metadata-Username") == ["alice"]
    assert received.all("X-Forwarded-For") == []


async def test_whose_address_it_is_was_said_with_the_connect(start_proxied, log):
    proxied = await start_proxied(
        proxy_trusted_headers=("X-Forwarded-For",),
        proxy_trusted_origins=(ip_network("127.0.0.0/8"),),
        allow_byok=False,
    )
    connect = await proxied.connect(f"{ANTHROPIC}:443", "X-Forwarded-For: 198.51.100.7")
    await connect.tls(ANTHROPIC, proxied.ca)
    status, _ = await connect.ask(
        post("/v1/messages", ANTHROPIC, OWN, "X-Forwarded-For: 192.0.2.1")
    )
    assert status == 403
    [refused] = [line for line in log if "byok_disabled" in line]
    assert "198.51.100.7" in refused


async def test_a_revoked_token_ends_a_connection_that_is_open(proxied, fake, clock):
    connect = await proxied.intercepted(ANTHROPIC)
    keep = post("/v1/messages", ANTHROPIC).replace(b"Connection: close\r\n", b"")
    connect.writer.write(keep)
    assert (await connect.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await connect.reader.readuntil(b"}}")
    proxied.gateway._composition.resources.tokens.revoke_token(proxied.token.split("_")[1])
    clock.advance(61)
    status, _ = await connect.ask(post("/v1/messages", ANTHROPIC))
    assert status == 401
    assert fake.seen == 1


HOSTS = (
    (ANTHROPIC, 200),
    (f"{ANTHROPIC}:443", 200),
    ("API.anthropic.com", 200),
    (f"{ANTHROPIC}.", 200),
    (OPENAI, 421),
    (f"{ANTHROPIC}:8443", 421),
    ("127.0.0.1", 421),
    ("", 421),
    (f"{ANTHROPIC}\r\nHost: {ANTHROPIC}", 400),
    (f"{ANTHROPIC}\r\nHost: {OPENAI}", 400),
)


async def test_the_host_header_is_that_of_the_connect(proxied, fake):
    for host, status in HOSTS:
        seen = fake.seen
        connect = await proxied.intercepted(ANTHROPIC)
        got, _ = await connect.ask(post("/v1/messages", host))
        assert (host, got) == (host, status)
        assert (host, fake.seen - seen) == (host, status == 200)


async def test_a_name_in_tls_that_is_not_that_of_the_connect_is_refused(proxied):
    connect = await proxied.connect(f"{ANTHROPIC}:443")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect.tls(OPENAI, proxied.ca, check_hostname=False)


async def test_who_does_not_trust_the_ca_is_told_of_in_the_log(proxied, own_pair, log):
    connect = await proxied.connect(f"{ANTHROPIC}:443")
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect.tls(ANTHROPIC, own_pair[0])
    connect.writer.close()
    await proxied.gateway.stop()
    assert any("Does it trust the CA?" in line for line in log)


async def test_silence_in_the_handshake_is_cut_off(start_proxied):
    proxied = await start_proxied(http_read_timeout=0.1)
    connect = await proxied.connect(f"{ANTHROPIC}:443")
    assert await connect.reader.read() == b""


async def test_websockets_are_refused_so_that_clients_fall_back(proxied):
    connect = await proxied.intercepted(OPENAI)
    upgrade = request(
        "GET",
        "/v1/responses",
        OPENAI,
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    connect.writer.write(upgrade.replace(b"Connection: close", b"Connection: Upgrade"))
    head = await connect.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 ")
    assert b"upgrade_not_supported" in head


@pytest.fixture
async def anthropic_itself(resolve_to, server_tls, monkeypatch, ca):
    """Anthropic's own host, as the proxy finds it; the requests that it got."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca[0]))
    got: list[tuple[web.BaseRequest, bytes]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        got.append((request, await request.read()))
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "https://10.0.0.1/secret"})
        if request.path == "/broken":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            request.transport.abort()
            return response
        if request.path == "/stalls":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            await asyncio.Event().wait()
        return web.Response(
            status=207,
            body=b"pong",
            headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Own", "yes")],
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server(ssl=server_tls(ANTHROPIC))
    resolve_to(api_anthropic_com=[("127.0.0.1", server.port)])
    yield got
    await server.close()


async def test_what_the_gateway_does_not_serve_goes_on_as_it_is(
    anthropic_itself, proxied, fake, log
):
    connect = await proxied.intercepted(ANTHROPIC)
    _, answer = await connect.ask(
        request(
            "PUT",
            "/api/oauth/token?code=a%2Fb&x=",
            ANTHROPIC,
            "Authorization: Bearer own-session",
            "X-Api-Key: own-key",
            "Cookie: session=1",
            "Accept-Encoding: gzip, br",
            "User-Agent: claude-cli/2",
            "X-Coder-Token: smuggled",
            "Expect: 100-continue",
            body=b"the body",
        )
    )
    assert b"HTTP/1.1 207 " in answer
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert answer.endswith(b"pong")
    assert answer.count(b"Set-Cookie: ") == 2
    [(got, body)] = anthropic_itself
    assert (got.method, got.raw_path, body) == (
        "PUT",
        "/api/oauth/token?code=a%2Fb&x=",
        b"the body",
    )
    headers = {name: value for name, value in got.headers.items() if name != "Content-Length"}
    assert headers == {
        "Host": ANTHROPIC,
        "Authorization": "Bearer own-session",
        "X-Api-Key": "own-key",
        "Cookie": "session=1",
        "Accept-Encoding": "gzip, br",
        "User-Agent": "claude-cli/2",
    }
    assert fake.seen == 0
    assert any("PUT a path of api.anthropic.com:443's own: 207" in line for line in log)
    assert not any("own-session" in line or "oauth" in line for line in log)


async def test_a_body_without_a_length_goes_on_in_chunks(anthropic_itself, proxied):
    connect = await proxied.intercepted(ANTHROPIC)
    await connect.ask(
        request(
            "POST",
            "/api/upload",
            ANTHROPIC,
            "Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
            length=False,
        )
    )
    [(got, body)] = anthropic_itself
    assert (body, got.headers.get("Transfer-Encoding")) == (b"abcdefg", "chunked")


async def test_a_body_that_stops_coming_is_not_waited_for(anthropic_itself, proxied):
    connect = await proxied.intercepted(ANTHROPIC)
    proxied.gateway.reconfigure(replace(proxied.gateway.settings, http_read_timeout=0.05))
    upload = post("/api/upload", ANTHROPIC).replace(b"Content-Length: ", b"Content-Length: 1")
    connect.writer.write(upload)
    head = await connect.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"X-Aibridge-Reason: request_timeout" in head
    assert anthropic_itself == []


async def test_there_the_organisations_key_is_never_used_nor_the_gateway_token_sent(
    anthropic_itself, proxied
):
    for headers in (
        (),
        (f"X-Api-Key: {proxied.token}",),
        (f"Authorization: bearer {proxied.token}",),
        (f"Api-Key: {proxied.token}", f"X_Api_Key: Bearer {proxied.token}"),
        (f"X-Api-Key: {proxied.token[:-4]}old0",),
    ):
        connect = await proxied.intercepted(ANTHROPIC)
        await connect.ask(request("GET", "/v1/organizations", ANTHROPIC, *headers))
        got, _ = anthropic_itself[-1]
        assert {name for name in got.headers if name != "Host"} == set()


async def test_there_too_a_token_must_be_good_when_the_request_comes(
    anthropic_itself, proxied, clock
):
    connect = await proxied.intercepted(ANTHROPIC)
    proxied.gateway._composition.resources.tokens.revoke_token(proxied.token.split("_")[1])
    clock.advance(61)
    status, _ = await connect.ask(request("GET", "/api/hello", ANTHROPIC))
    assert (status, anthropic_itself) == (401, [])


async def test_a_head_keeps_the_length_that_it_tells_of(anthropic_itself, proxied):
    connect = await proxied.intercepted(ANTHROPIC)
    status, answer = await connect.ask(request("HEAD", "/api/hello", ANTHROPIC))
    assert status == 207
    assert b"Content-Length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_a_redirect_is_the_clients_to_follow(anthropic_itself, proxied):
    connect = await proxied.intercepted(ANTHROPIC)
    status, answer = await connect.ask(request("GET", "/moved", ANTHROPIC))
    assert (status, len(anthropic_itself)) == (302, 1)
    assert b"Location: https://10.0.0.1/secret" in answer


async def test_half_an_answer_is_never_taken_for_a_whole(anthropic_itself, proxied):
    connect = await proxied.intercepted(ANTHROPIC)
    connect.writer.write(request("GET", "/broken", ANTHROPIC))
    got = bytearray()
    with suppress(ConnectionError, ssl.SSLError):
        while chunk := await connect.reader.read(1000):
            got += chunk
    assert got
    assert not got.endswith(b"0\r\n\r\n")


@pytest.fixture
async def serve_raw(resolve_to, listen, server_tls, monkeypatch, ca):
    """Anthropic's own host, which says these bytes to each request, and then nothing.

    What is returned gets those that were taken.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(ca[0]))

    async def serve(*pieces: bytes) -> list[bytes]:
        taken: list[bytes] = []

        async def handle(reader, writer):
            with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    taken.append(piece)
                await reader.read()
            writer.close()

        resolve_to(api_anthropic_com=[await listen(handle, server_tls(ANTHROPIC))])
        return taken

    return serve


async def test_the_hosts_head_goes_on_byte_for_byte(serve_raw, proxied):
    head = b"HTTP/1.1 299 So  it is\r\nx-oWn: caf\xe9\r\nset-cookie: a=1\r\nContent-Length: 4\r\n"
    await serve_raw(head + b"Keep-Alive: timeout=5\r\nX-Hop: 1\r\nConnection: x-hop\r\n\r\npong")
    connect = await proxied.intercepted(ANTHROPIC)
    _, answer = await connect.ask(request("GET", "/api/hello", ANTHROPIC))
    assert answer == head + b"Connection: close\r\n\r\npong"


async def test_a_head_without_end_is_no_answer(serve_raw, proxied):
    await serve_raw(b"HTTP/1.1 200 OK\r\n", *[b"X-More: %b\r\n" % (b"x" * 1000)] * 1000)
    connect = await proxied.intercepted(ANTHROPIC)
    async with asyncio.timeout(10):
        status, answer = await connect.ask(request("GET", "/api/hello", ANTHROPIC))
    assert status == 502
    assert b"upstream_invalid" in answer


async def test_a_host_that_falls_silent_is_not_waited_for(serve_raw, start_proxied):
    await serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    proxied = await start_proxied(upstream_idle_timeout=0.2)
    connect = await proxied.intercepted(ANTHROPIC)
    connect.writer.write(request("GET", "/api/hello", ANTHROPIC))
    got = b""
    async with asyncio.timeout(10):
        with suppress(ConnectionError, ssl.SSLError):
            got = await connect.reader.readuntil(b"half")
            got += await connect.reader.read()
    assert got.endswith(b"half")


async def test_a_host_that_never_answers_is_not_waited_for(serve_raw, proxied):
    await serve_raw()
    proxied.gateway.reconfigure(replace(proxied.gateway.settings, upstream_idle_timeout=0.2))
    connect = await proxied.intercepted(ANTHROPIC)
    async with asyncio.timeout(10):
        status, answer = await connect.ask(post("/api/upload", ANTHROPIC))
    assert status == 504
    assert b"upstream_timeout" in answer


async def test_a_client_that_does_not_read_stops_the_host_and_is_cut_off(serve_raw, start_proxied):
    size, pieces = 64 << 20, [bytes(1 << 20)] * 64
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    taken = await serve_raw(head, *pieces)
    proxied = await start_proxied(http_write_timeout=0.3)
    connect = await proxied.intercepted(ANTHROPIC)
    connect.writer.write(request("GET", "/api/large", ANTHROPIC))
    await connect.reader.readuntil(b"\r\n\r\n")
    connect.writer.transport.pause_reading()
    async with asyncio.timeout(10):
        await proxied.gateway._server.empty()
    assert len(taken) < len(pieces)


async def test_a_body_that_is_not_http_is_refused(anthropic_itself, proxied):
    for target in ("/api/upload", "/v1/messages"):
        connect = await proxied.intercepted(ANTHROPIC)
        coding = "Transfer-Encoding: chunked"
        status, answer = await connect.ask(
            request("POST", target, ANTHROPIC, coding, body=b"zz\r\nabc", length=False)
        )
        assert (target, status) == (target, 400)
        assert b"invalid_request" in answer
    assert anthropic_itself == []


@pytest.mark.parametrize("path", ["/stalls", "/v1/messages"])
async def test_without_a_grace_a_revoked_token_cuts_off_what_runs(
    anthropic_itself, start_proxied, fake, monkeypatch, path, log
):
    at_once = partial(gatekeeper.keep_revoking, interval=0.001)
    monkeypatch.setattr(gatekeeper, "keep_revoking", at_once)
    proxied = await start_proxied(revocation_grace=0.0)
    fake.play(Script(stall_after=2))
    connect = await proxied.intercepted(ANTHROPIC)
    connect.writer.write(post(path, ANTHROPIC, stream=True))
    got = await connect.reader.readuntil(b"half" if path == "/stalls" else b"message_start")
    proxied.gateway._composition.resources.tokens.revoke_token(proxied.token.split("_")[1])
    async with asyncio.timeout(10):
        with suppress(ConnectionError, ssl.SSLError):
            got += await connect.reader.read()
    assert not got.endswith(b"0\r\n\r\n")
    assert any("cutting off 1 running request " in line for line in log)


async def test_a_host_that_is_away_is_said_to_be_so(proxied, resolve_to):
    resolve_to()
    connect = await proxied.intercepted(ANTHROPIC)
    status, answer = await connect.ask(request("GET", "/api/hello", ANTHROPIC))
    assert status == 502
    assert b"upstream_unreachable" in answer


SPELLINGS = (
    (ANTHROPIC, "/v1/messages/", 404),
    (ANTHROPIC, "/V1/Messages", 404),
    (ANTHROPIC, "/v1/%6Dessages", 404),
    (ANTHROPIC, "/v1/%EF%BD%8Dessages", 404),
    (ANTHROPIC, "/v1/messages;x", 400),
    (ANTHROPIC, "/v1/messages%20", 400),
    (ANTHROPIC, "/v1/messages%23", 400),
    (ANTHROPIC, "/v1/messages%3fbeta=true", 400),
    (ANTHROPIC, "/v1%EF%BC%8Fmessages", 400),
    (ANTHROPIC, "/v1/x/%c0%ae%c0%ae/messages", 400),
    (ANTHROPIC, "/v1/x/..%20/messages", 400),
    (ANTHROPIC, "/v1//messages", 400),
    (ANTHROPIC, "//v1/messages", 400),
    (ANTHROPIC, "/v1/x/../messages", 400),
    (ANTHROPIC, "/v1/%2e%2e/v1/messages", 400),
    (ANTHROPIC, "/v1%2Fmessages", 400),
    (ANTHROPIC, "https://api.anthropic.com/v1/messages", 400),
    (OPENAI, "/v1/Responses", 404),
    (OPENAI, "/v1/chat/completions/", 404),
)


async def test_no_spelling_gets_past_the_record(proxied, fake, resolve_to):
    asked = resolve_to()
    for host, target, status in SPELLINGS:
        connect = await proxied.intercepted(host)
        got, _ = await connect.ask(post(target, host, OWN))
        assert (target, got) == (target, status)
        assert (target, fake.seen, asked) == (target, 0, [])


async def test_the_hosts_of_configured_providers_are_opened_and_follow_a_reload(
    start_proxied, fake, resolve_to
):
    def providers(host):
        return (
            ProviderSettings("anthropic", "anthropic", Secret("k"), fake.base_url),
            ProviderSettings("openai", "local", Secret("k"), f"https://{host}:8443/llm/v1"),
        )

    resolve_to(llm_example=["10.0.0.1"], new_example=["10.0.0.1"])
    proxied = await start_proxied(providers=providers("llm.example"))
    connect = await proxied.connect("llm.example:8443")
    assert connect.status == 200
    await connect.tls("llm.example", proxied.ca)
    # The gateway's own upstream isn't there; that it was asked is what counts.
    status, answer = await connect.ask(post("/llm/v1/responses", "llm.example:8443", input="hi"))
    assert status in (502, 504)
    assert b"The provider local" in answer
    settings = replace(proxied.gateway.settings, providers=providers("new.example"))
    proxied.gateway.reconfigure(settings)
    assert (await proxied.connect("new.example:8443")).status == 200
    assert (await proxied.connect("llm.example:8443")).status == 403


async def test_a_connection_that_is_open_follows_a_reload(start_proxied, fake, resolve_to):
    def providers(*names):
        return tuple(
            ProviderSettings("openai", name, Secret("k"), f"https://llm.example/{name}/v1")
            for name in names
        )

    asked = resolve_to(llm_example=["10.0.0.1"])
    proxied = await start_proxied(providers=providers("a"))
    added, removed = [await proxied.intercepted("llm.example") for _ in range(2)]
    proxied.gateway.reconfigure(replace(proxied.gateway.settings, providers=providers("a", "b")))
    _, answer = await added.ask(post("/b/v1/responses", "llm.example", input="hi"))
    assert b"The provider b" in answer
    proxied.gateway.reconfigure(replace(proxied.gateway.settings, providers=()))
    # It doesn't ask for the connection to be closed, but no request can be served on it.
    hello = request("GET", "/hello", "llm.example").replace(b"Connection: close\r\n", b"")
    status, answer = await removed.ask(hello)
    assert status == 421
    assert b"reconnect" in answer
    assert asked == []


async def test_within_a_connect_there_is_none(anthropic_itself, proxied):
    for target in ("/api/hello", f"{ANTHROPIC}:443"):
        connect = await proxied.intercepted(ANTHROPIC)
        status, _ = await connect.ask(request("CONNECT", target, ANTHROPIC))
        assert (target, status, anthropic_itself) == (target, 400, [])


async def test_a_provider_may_be_an_address(start_proxied, fake):
    address = ProviderSettings("anthropic", "anthropic", Secret("k"), "https://[::1]:9443")
    proxied = await start_proxied(providers=(address,))
    connect = await proxied.connect("[0:0::1]:9443")
    await connect.tls("::1", proxied.ca)
    certificate = connect.writer.get_extra_info("peercert")
    assert certificate["subjectAltName"] == (("IP Address", "0:0:0:0:0:0:0:1"),)


async def test_sessions_requests_and_answers_are_counted(start_proxied, anthropic_itself):
    proxied = await start_proxied(
        prometheus_enable=True, prometheus_address=Address("127.0.0.1", 0)
    )
    for _ in range(2):
        connect = await proxied.intercepted(ANTHROPIC)
        await connect.ask(post("/v1/messages", ANTHROPIC))
    connect = await proxied.intercepted(ANTHROPIC)
    await connect.ask(request("GET", "/api/hello", ANTHROPIC))
    await proxied.connect("10.0.0.1:443")
    [url] = proxied.gateway.metrics_urls
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        lines = (await response.text()).splitlines()
    name = "coder_ai_gateway_proxy"
    for line in (
        f'{name}_connect_sessions_total{{type="mitm"}} 3.0',
        f'{name}_mitm_requests_total{{provider="anthropic"}} 3.0',
        f'{name}_inflight_mitm_requests{{provider="anthropic"}} 0.0',
        f'{name}_mitm_responses_total{{code="200",provider="anthropic"}} 2.0',
        f'{name}_mitm_responses_total{{code="207",provider="anthropic"}} 1.0',
    ):
        assert line in lines
    assert not any('type="tunneled"' in line for line in lines)


async def test_the_lines_of_proxy_and_gateway_share_an_id(proxied, tmp_path):
    place = tmp_path / "log.json"
    configure("", str(place), "", (), False)
    connect = await proxied.intercepted(ANTHROPIC)
    await connect.ask(post("/v1/messages", ANTHROPIC))
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    [opened] = [line["fields"] for line in lines if "intercepted" in line["msg"]]
    [finished] = [line["fields"] for line in lines if line["msg"].startswith("POST ")]
    assert (opened["username"], finished["username"]) == ("alice", "alice")
    assert finished["request_id"] == f"{opened['connection']}-1"


async def test_no_dump_record_or_line_holds_a_token_or_a_key(
    start_proxied, anthropic_itself, ca, tmp_path, log
):
    dumps = tmp_path / "dumps"
    proxied = await start_proxied(dump_dir=dumps)
    key = ca[1].read_text().splitlines()[1]
    for message in (
        post("/v1/messages", ANTHROPIC, "X-Api-Key: sk-ant-own-canary"),
        post("/v1/messages", ANTHROPIC, f"Authorization: Bearer {proxied.token}"),
        request("GET", "/api/hello", ANTHROPIC, "X-Api-Key: sk-ant-own-canary"),
        b"nonsense sk-ant-own-canary\r\n\r\n",
    ):
        connect = await proxied.intercepted(ANTHROPIC)
        await connect.ask(message)
    await proxied.connect(f"{ANTHROPIC}:443", authorization="Basic sk-ant-own-canary")
    await proxied.gateway.stop()
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path not in ca]
    assert any(path.is_relative_to(dumps) for path in kept)
    texts = [path.read_bytes().decode("latin-1") for path in kept] + log
    for secret in (proxied.token, "own-canary", "sk-ant-organisation", key):
        assert not any(secret in text for text in texts), secret
