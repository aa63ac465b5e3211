"""Without authentication: what web pages can have a browser do, and what they can't."""

import asyncio
import socket

import pytest

from aibridged.config.kinds import Address

BODY = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
RECORD = b"GET /api/v2/aibridge/interceptions HTTP/1.1"
MESSAGES = b"POST /anthropic/v1/messages HTTP/1.1"


def request(*headers, first=MESSAGES, host=b"localhost:4001"):
    body = BODY if first == MESSAGES else b""
    lines = [first, *([b"Host: " + host] if host else []), b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


FORBIDDEN = [
    request(b"Origin: https://evil.example", b"Content-Type: text/plain"),
    request(b"Origin: null"),
    request(b"Origin: http://localhost:3000", b"Sec-Fetch-Site: same-site"),
    request(b"Origin: http://localhost:3000"),
    request(b"Sec-Fetch-Site: cross-site"),
    request(b"Sec-Fetch-Site: same-site"),
    request(host=b"evil.example:4001"),
    request(
        b"Origin: http://evil.example:4001",
        b"Sec-Fetch-Site: same-origin",
        host=b"evil.example:4001",
    ),
    request(first=RECORD, host=b"evil.example:4001"),
    request(b"Sec-Fetch-Site: same-origin", first=RECORD, host=b"evil.example"),
    request(b"Sec-Fetch-Site: cross-site", first=RECORD),
    request(b"Sec-Fetch-Site: cross-site", first=b"GET /anthropic/v1/models HTTP/1.1"),
]
ALLOWED = [
    request(),
    request(host=b"127.0.0.1:4001"),
    request(host=b"[::1]:4001"),
    request(host=b"gateway.localhost"),
    request(b"Sec-Fetch-Mode: cors"),  # as Node's fetch sends it
    request(b"Origin: http://localhost:4001", b"Sec-Fetch-Site: same-origin"),
    request(b"Sec-Fetch-Site: none", first=RECORD),
    request(first=RECORD),
    request(first=b"GET /anthropic/v1/models HTTP/1.0", host=b""),
]


async def test_what_a_web_page_has_a_browser_send_is_refused(start_gateway, fake, raw):
    gateway = await start_gateway()
    for each in FORBIDDEN:
        reply = await raw(gateway.url, each)
        assert (reply.status, reply.header("X-Aibridge-Reason")) == (403, "origin_refused"), each
        sentence = reply.json()["error"]["message"]
        assert "--aibridge-auth" in sentence
        assert "evil" not in sentence
    assert fake.seen == 0
    for each in ALLOWED:
        assert (await raw(gateway.url, each)).status == 200, each


async def test_probes_are_for_everybody(start_gateway, raw):
    gateway = await start_gateway()
    for path in (b"/healthz", b"/readyz"):
        first = b"GET %b HTTP/1.1" % path
        assert (await raw(gateway.url, request(first=first, host=b"evil.example"))).status == 200


async def test_who_shows_a_token_may_call_it_by_any_name(start_gateway, raw):
    """No browser sends a token by itself, and a load balancer's name is no loopback name."""
    gateway = await start_gateway(auth="token")
    tokens = gateway._composition.lasting.tokens
    tokens.create_user("ann")
    _, token = tokens.create_token("ann", name="", lifetime=None)
    header = b"X-Api-Key: " + token.reveal().encode()
    for each in (
        request(header, host=b"gateway.example"),
        request(header, b"Origin: https://app.example", b"Sec-Fetch-Site: cross-site"),
    ):
        assert (await raw(gateway.url, each)).status == 200


async def test_over_a_unix_socket_the_host_says_nothing(start_daemon, tmp_path):
    path = str(tmp_path / "gateway.sock")
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(path)
        unix.listen()
        await start_daemon(passed=[four, unix])

        async def ask(*headers):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(request(*headers, host=b"anything.example"))
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return int(head.split()[1])

        assert await ask() == 200
        assert await ask(b"Origin: https://evil.example") == 403


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1", b"evil.example:2112", 403),
        ("127.0.0.1", b"localhost:2112", 200),
        ("127.0.0.1", b"127.0.0.1:2112", 200),
        ("0.0.0.0", b"metrics.example:2112", 200),  # every interface: the name may be any
    ],
)
async def test_the_metrics_are_served_by_the_names_of_where_they_listen(
    start_gateway, raw, address, host, status
):
    gateway = await start_gateway(
        auth="token", prometheus_enable=True, prometheus_address=Address(address, 0)
    )
    port = gateway.metrics_urls[-1].removesuffix("/metrics").rpartition(":")[2]
    first = b"GET /metrics HTTP/1.1"
    reply = await raw(f"http://127.0.0.1:{port}", request(first=first, host=host))
    assert reply.status == status
    assert (b"aibridged_build_info" in reply.body) is (status == 200)
