"""Who may use the AI Proxy, and what it makes of what is no CONNECT."""

import asyncio
import gc
import json
import socket
import ssl
import weakref
from base64 import b64encode
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from aibridged.config.kinds import Address
from aibridged.config.options import Settings
from aibridged.core.fair_queue import Bounds, FairQueue
from aibridged.daemon.gateway import CannotStartError, Gateway
from aibridged.identity.base import AuthUnavailableError
from aibridged.proxy import client
from aibridged.proxy.authority import make_authority
from aibridged.transport.head_reader import MAX_HEAD_BYTES
from aibridged.transport.listeners import CannotListenError

CREDENTIALS = (
    None,
    "Basic",
    "Basic !!!",
    "Bearer {token}",
    "{token}",
    "Basic dG9rZW46",  # token:
    "Basic dG9rZW46bm9ib2R5",  # token:nobody
    "Basic {encoded_without_colon}",
)


def _basic(text):
    return f"Basic {b64encode(text.encode()).decode()}"


async def test_who_shows_no_good_token_is_challenged(proxied, log):
    plain = b64encode(proxied.token.encode()).decode()
    for credentials in CREDENTIALS:
        authorization = credentials and credentials.format(
            token=proxied.token, encoded_without_colon=plain
        )
        connect = await proxied.connect("api.anthropic.com:443", authorization=authorization)
        assert (credentials, connect.status) == (credentials, 407)
        assert connect.header("Proxy-Authenticate").startswith('Basic realm="')
        assert connect.header("X-Aibridge-Reason") == "proxy_unauthenticated"
        assert connect.header("Connection") == "close"
        assert proxied.token not in connect.head + connect.body.decode() + "".join(log)


async def test_a_token_that_was_revoked_is_told_so_and_challenged(proxied, log):
    id = proxied.token.split("_")[1]
    proxied.gateway._composition.resources.tokens.revoke_token(id)
    connect = await proxied.connect("api.anthropic.com:443")
    assert connect.status == 407
    assert connect.header("Proxy-Authenticate").startswith('Basic realm="')
    assert connect.header("X-Aibridge-Reason") == "token_revoked"
    assert f"Its id is {id}." in connect.body.decode()
    [line] = [each for each in log if "CONNECT refused: token_revoked" in each]
    assert (id in line, "alice" in line) == (True, True)
    assert proxied.token not in connect.head + connect.body.decode() + "".join(log)


async def test_a_doubled_header_is_no_credential(proxied):
    connect = await proxied.connect(
        "api.anthropic.com:443", f"Proxy-Authorization: {proxied.authorization}"
    )
    assert connect.status == 407


async def test_the_user_name_means_nothing(proxied):
    for user in ("", "anything", "üser"):
        encoded = b64encode(f"{user}:{proxied.token}".encode()).decode()
        connect = await proxied.connect("api.anthropic.com:443", authorization=f"Basic {encoded}")
        assert connect.status == 200


async def test_without_authentication_nobody_is_challenged(start_proxied):
    proxied = await start_proxied(auth="none")
    connect = await proxied.connect("api.anthropic.com:443", authorization=None)
    assert connect.status == 200


def unknown_token(number):
    return f"aib_{number:010}_{'a' * 43}"


async def test_wrong_tokens_lock_nobody_out(proxied):
    for number in range(100):
        wrong = _basic(f"token:{unknown_token(number)}")
        assert (await proxied.connect("a.example:443", authorization=wrong)).status == 407
    assert (await proxied.connect("api.anthropic.com:443")).status == 200


async def test_look_ups_wait_with_those_at_the_gateway(proxied, client, monkeypatch):
    asked, go_on = asyncio.Queue(), asyncio.Event()

    async def authenticate(token):
        asked.put_nowait(token)
        await go_on.wait()

    gatekeeper = proxied.gateway._composition.resources.gatekeeper
    monkeypatch.setattr(gatekeeper, "authenticate", authenticate)
    waits = asyncio.Event()

    class OnePlace(FairQueue):
        def wait(self, address, waiter):
            waits.set()
            super().wait(address, waiter)

    places = proxied.gateway.components.gate._lookups._places
    monkeypatch.setattr(places, "_queue", OnePlace(Bounds(1, 1, 1)))
    headers = {"X-Coder-Token": unknown_token(0)}
    loop = asyncio.get_running_loop()
    url = f"{proxied.gateway.url}/anthropic/v1/models"
    first = loop.create_task(client.get(url, headers=headers))
    assert await asked.get() == unknown_token(0)
    wrong = _basic(f"token:{unknown_token(1)}")
    second = loop.create_task(proxied.connect("a.example:443", authorization=wrong))
    await waits.wait()
    third = await proxied.connect("a.example:443", authorization=wrong)
    assert (third.status, third.header("Retry-After")) == (429, "2")
    go_on.set()
    async with await first as response:
        assert response.status == 401
    assert (await second).status == 407


async def test_while_tokens_cannot_be_checked_nobody_gets_in(proxied, monkeypatch):
    async def authenticate(token):
        raise AuthUnavailableError("the database is away")

    gatekeeper = proxied.gateway._composition.resources.gatekeeper
    monkeypatch.setattr(gatekeeper, "authenticate", authenticate)
    connect = await proxied.connect("api.anthropic.com:443")
    assert (connect.status, connect.header("X-Aibridge-Reason")) == (503, "auth_unavailable")


async def test_a_token_is_no_host(proxied, log, resolve_to):
    asked = resolve_to()
    for host in (proxied.token, f"{proxied.token}.evil.example".replace("_", "%5f")):
        connect = await proxied.connect(f"{host}:443", authorization=None)
        assert (connect.status, connect.header("X-Aibridge-Reason")) == (400, "invalid_request")
    secret = proxied.token.split("_")[2]
    assert not any(secret in each for each in [*asked, *log])


async def test_a_target_that_is_none(proxied):
    for target in (
        "api.anthropic.com",
        "api.anthropic.com:",
        "[::1",
        "a b:443",
        "user@a.example:443",
        "/",
        "*",
    ):
        connect = await proxied.connect(target)
        assert (target, connect.status) == (target, 400)
        assert connect.header("X-Aibridge-Reason") == "invalid_request"


MALFORMED = (
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS, to a proxy that speaks plain HTTP",
    b"CONNECT a.example:443 HTTP/1.1\r\n\r\n",  # no Host
    b"CONNECT a.example:443 HTTP/9.9\r\nHost: a\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
)
TOO_LARGE = (
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
    b"CONNECT " + b"a" * 2 * MAX_HEAD_BYTES,
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000,
)


async def test_what_is_malformed_or_too_large_is_refused(proxied, log):
    expected = {
        **dict.fromkeys(MALFORMED, (400, "invalid_request")),
        **dict.fromkeys(TOO_LARGE, (431, "header_too_large")),
    }
    for malformed, (status, code) in expected.items():
        connect = await proxied.send(malformed)
        assert (malformed[:60], connect.status) == (malformed[:60], status)
        assert json.loads(connect.body)["error"]["code"] == code
        assert b"a.example" not in connect.body
    assert "a.example" not in "".join(log)


async def test_data_before_the_answer_is_refused(proxied):
    for more in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        head = (
            "CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: a\r\n"
            f"Proxy-Authorization: {proxied.authorization}\r\n\r\n"
        )
        connect = await proxied.send(head.encode() + more)
        assert connect.status == 400
        assert b"before the response to CONNECT" in connect.body


@pytest.mark.parametrize("sent", [b"", b"CONNECT a.exam", b"CONNECT a.example:443 HTTP/1.1\r\nHo"])
async def test_who_is_slow_is_cut_off(start_proxied, sent):
    proxied = await start_proxied(http_read_timeout=0.05)
    reader, writer = await asyncio.open_connection(*proxied.address)
    writer.write(sent)
    assert await reader.read() == b""
    writer.close()


async def test_a_head_may_come_byte_by_byte(proxied):
    reader, writer = await asyncio.open_connection(*proxied.address)
    request = (
        "CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: a\r\n"
        f"Proxy-Authorization: {proxied.authorization}\r\n\r\n"
    )
    for byte in request.encode():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_plain_http_is_refused_with_a_sentence(proxied, fake):
    for method in ("GET", "POST", "OPTIONS"):
        for host in ("api.anthropic.com", "example.com"):
            request = (
                f"{method} http://{host}/v1/messages HTTP/1.1\r\nHost: {host}\r\n"
                f"Proxy-Authorization: {proxied.authorization}\r\nContent-Length: 4\r\n\r\nbody"
            )
            connect = await proxied.send(request.encode())
            assert connect.status == 400
            assert "HTTPS_PROXY, not HTTP_PROXY" in json.loads(connect.body)["message"]
    assert fake.seen == 0


async def test_the_gateway_is_not_behind_the_proxys_address(proxied):
    for path in ("/", "/anthropic/v1/messages", "/healthz"):
        connect = await proxied.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert connect.status == 404
        assert "set HTTPS_PROXY to this address" in json.loads(connect.body)["message"]


@pytest.mark.parametrize("prefix", ["/api/v2/aibridge", "/api/v2/ai-gateway"])
async def test_the_certificate_is_for_everybody_and_its_key_for_nobody(
    start_proxied, ca, client, tmp_path, prefix
):
    # A file with both is what some programs want; here it would give the key away.
    both = tmp_path / "both.pem"
    both.write_bytes(ca[0].read_bytes() + ca[1].read_bytes())
    proxied = await start_proxied(proxy_cert_file=both, proxy_key_file=both)
    path = f"{prefix}/proxy/ca-cert.pem"
    async with client.get(f"{proxied.gateway.url}{path}") as response:
        assert response.content_type == "application/x-pem-file"
        assert await response.read() == ca[0].read_bytes()
    connect = await proxied.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert (connect.status, connect.body) == (200, ca[0].read_bytes())


async def test_without_the_proxy_there_is_no_certificate(start_gateway, client):
    gateway = await start_gateway()
    async with client.get(f"{gateway.url}/api/v2/aibridge/proxy/ca-cert.pem") as response:
        assert response.status == 404


async def test_a_target_is_for_the_proxy_alone(start_proxied):
    with pytest.raises(
        CannotStartError, match="--aibridge-proxy-target is only for the standalone AI Proxy"
    ):
        await start_proxied(proxy_target="http://127.0.0.1:1")


async def test_an_address_that_is_taken_is_a_sentence(start_proxied, proxied):
    with pytest.raises(CannotStartError, match="--aibridge-proxy-listen-addr"):
        await start_proxied(proxy_listen_addr=Address(*proxied.address))


async def test_a_ca_that_is_gone_since_the_check_is_a_sentence(start_proxied, tmp_path):
    with pytest.raises(CannotStartError, match="No such file"):
        await start_proxied(proxy_key_file=tmp_path / "absent")


async def test_a_ca_that_expires_while_the_daemon_runs(proxied, clock, log):
    clock.advance(366 * 24 * 3600)
    connect = await proxied.connect("api.anthropic.com:443")
    assert connect.status == 500
    assert any("CA certificate has expired" in line for line in log)


@pytest.mark.parametrize(
    ("auth", "host", "refused"),
    [
        ("token", "0.0.0.0", False),
        ("none", "127.0.0.1", False),
        ("none", "0.0.0.0", True),
    ],
)
async def test_a_socket_that_is_passed(start_gateway, ca, clock, tmp_path, auth, host, refused):
    passed = socket.create_server((host, 0))
    settings = replace(
        Settings(),
        auth=auth,
        http_address=Address("127.0.0.1", 0),
        state_dir=tmp_path,
        proxy_enabled=True,
        proxy_cert_file=ca[0],
        proxy_key_file=ca[1],
        shutdown_timeout=0.0,
    )
    gateway = Gateway(settings, clock, {"proxy": [passed]})
    with (
        pytest.raises(CannotStartError, match="authentication is disabled")
        if refused
        else nullcontext()
    ):
        await gateway.start()
        shown, port = urlsplit(gateway.proxy.url).hostname, passed.getsockname()[1]
        assert gateway.proxy.url == f"http://{shown}:{port}"
        assert (shown == host) == (host != "0.0.0.0")  # no client can connect to that one
        await gateway.stop()
    passed.close()


async def test_the_proxy_may_have_tls_of_its_own(start_proxied, own_pair):
    proxied = await start_proxied(
        proxy_tls_cert_file=own_pair[0],
        proxy_tls_key_file=own_pair[1],
        proxy_listen_addr=Address("127.0.0.1", 0),
    )
    assert proxied.url.startswith("https://")
    reader, writer = await asyncio.open_connection(*proxied.address)
    writer.write(b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_a_reload_reads_the_proxys_certificate_again_and_both_or_neither_are_renewed(
    start_proxied, clock, tmp_path
):
    own, gateways = tmp_path / "own", tmp_path / "gateway"
    for folder in (own, gateways):
        folder.mkdir()
        renew(folder, clock)
    proxied = await start_proxied(
        proxy_tls_cert_file=own / "cert.pem",
        proxy_tls_key_file=own / "key.pem",
        tls_cert_file=gateways / "cert.pem",
        tls_key_file=gateways / "key.pem",
    )
    gateway = proxied.gateway
    addresses = (proxied.address, gateway.url.removeprefix("https://").split(":"))
    before = [await shown(*address) for address in addresses]
    for folder in (own, gateways):
        renew(folder, clock)
    (own / "key.pem").write_bytes((gateways / "key.pem").read_bytes())
    with pytest.raises(CannotListenError, match="--aibridge-proxy-tls-cert-file"):
        gateway.reconfigure(gateway.settings)
    assert [await shown(*address) for address in addresses] == before
    renew(own, clock)
    gateway.reconfigure(gateway.settings)
    after = [await shown(*address) for address in addresses]
    assert after == [
        ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text()) for folder in (own, gateways)
    ]


def renew(folder, clock):
    """Write another certificate and its key."""
    pair = make_authority("localhost", clock.wall(), timedelta(days=1), [])
    for name, content in zip(("cert.pem", "key.pem"), pair, strict=True):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)


async def shown(host, port):
    """The certificate that a new connection is shown."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    certificate = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return certificate


async def test_whoever_says_nothing_leaves_when_too_many_do(start_proxied, monkeypatch):
    monkeypatch.setattr(client, "GRACE_S", 0.2)
    proxied = await start_proxied(max_idle_connections_per_address=2)
    silent = [await asyncio.open_connection(*proxied.address) for _ in range(3)]
    async with asyncio.timeout(10):
        assert await silent[0][0].read() == b""
    for reader, writer in silent[1:]:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 404 " in await reader.readline()
    for _, writer in silent:
        writer.close()


async def test_an_intercepted_connection_is_idle_between_requests_and_gives_its_place_back(
    start_proxied,
):
    proxied = await start_proxied()
    connection_limiter = proxied.gateway.components.connection_limiter
    connect = await proxied.intercepted("api.anthropic.com")
    connect.writer.write(b"GET /v1/models HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n")
    assert b" 200 OK" in await connect.reader.readline()
    assert (connection_limiter.taken, len(connection_limiter.idle)) == (1, 1)
    connection_limiter.limit_idle(1, 1)
    left = asyncio.Event()
    connection_limiter.wait(left.set)
    _, writer = await asyncio.open_connection(*proxied.address)
    async with asyncio.timeout(10):
        await connect.reader.read()  # to the end: of the two it is the elder
        await left.wait()
    assert (connection_limiter.taken, len(connection_limiter.idle)) == (1, 1)
    writer.close()


async def test_without_a_place_a_connect_is_refused(start_proxied):
    proxied = await start_proxied()
    connection_limiter = proxied.gateway.components.connection_limiter
    connection_limiter.places, connection_limiter.surplus = 0, 1
    connect = await proxied.connect("api.anthropic.com:443")
    assert connect.status == 503
    assert "X-Aibridge-Reason: at_capacity" in connect.head
    assert "Retry-After: 1" in connect.head


async def test_a_reload_leaves_nothing_behind_with_the_settings_from_before(start_proxied):
    """What keeps a `Settings` would go by it for good, and be found only where it is tried."""
    gateway = (await start_proxied()).gateway
    before = weakref.ref(gateway.settings)
    gateway.reconfigure(replace(gateway.settings, rate_limit=5))
    gc.collect()
    assert before() is None
