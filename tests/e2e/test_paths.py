"""Request lines of every kind over raw sockets: none reaches a foreign host or unlisted route."""

import pytest

from aibridged.fake_provider import FakeProvider

BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
MESSAGES = b"/anthropic/v1/messages"


def request(target, *headers, method=b"POST", version=b"HTTP/1.1", host=b"localhost"):
    lines = [b"%b %b %b" % (method, target, version), b"Host: " + host, b"Connection: close"]
    lines += [*headers, b"Content-Length: %d" % len(BODY), b"", BODY]
    return b"\r\n".join(lines)


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway()


@pytest.fixture
async def foreign():
    """A host that nothing may ever be sent to."""
    provider = FakeProvider()
    await provider.start()
    yield provider.base_url.removeprefix("http://").encode()
    assert provider.seen == 0
    await provider.stop()


def refused(reply, status, code):
    assert reply.status == status
    assert reply.header("X-Aibridge-Reason") == code
    assert reply.json()["error"]["code"] == code
    return True


AMBIGUOUS = [
    b"/anthropic/../openai/v1/files",
    b"/anthropic/v1/models/../../v1/files",
    b"/anthropic/v1/models/..",
    b"/anthropic/./v1/messages",
    b"/anthropic/%2e%2e/v1/files",
    b"/anthropic/v1/models/%2e%2e",
    b"/anthropic/v1/models/%2E./x",
    b"/anthropic/v1/models/.%2e/organizations",
    b"/anthropic/v1/models/..;/organizations",
    b"/anthropic/v1/models/..;a=b/organizations",
    b"/anthropic/v1/models/%2e%2e%3bx/organizations",
    b"/anthropic/v1/models/%c0%ae%c0%ae/organizations",
    b"/anthropic/v1/models/%e0%80%ae%e0%80%ae/organizations",
    b"/anthropic/v1/models/..%c0%af..%c0%aforganizations",
    b"/anthropic/v1/models/%ff",
    b"/anthropic/v1/models/..%20/organizations",
    b"/anthropic/v1/models/%20../organizations",
    b"/anthropic/v1/models/..%09/organizations",
    b"/anthropic/v1/models/.../organizations",
    b"/anthropic/v1/models/..%00/organizations",
    b"/anthropic/v1/models/%ef%bc%8e%ef%bc%8e/organizations",
    b"/anthropic/v1/models/..%ef%bc%8forganizations",
    b"/anthropic/v1/models/x;y",
    b"/anthropic/v1/models/x;a=b/organizations",
    b"/anthropic/v1/models/x%3by",
    b"/anthropic/v1/models/x%23y",
    b"/anthropic/v1/models/x%3fy",
    b"/anthropic/v1/models/x%20",
    b"/anthropic/v1/models/%20",
    b"/anthropic/v1/messages;x=y",
    b"/v1/messages;x=y",
    b"/v1/models/..%2Forganizations",
    b"/v1/../v1/messages",
    b"/anthropic/api/event_logging/..%20/batch",
    b"/openai/v1/conversations/c;x/items",
    b"/openai/v1/responses/%c0%ae%c0%ae/files",
    b"/openai/v1/responses/r%23/cancel",
    b"/anthropic/v1/models/%252e%252e/organizations",
    b"/anthropic/v1/models/..%2Forganizations",
    b"/anthropic/v1/models/a%2F..%2F..%2Ffiles",
    b"/anthropic/v1/models/..%5corganizations",
    b"/anthropic/v1/models/..\\organizations",
    b"/anthropic%2Fv1%2Fmessages",
    b"/anthropic/v1/models/a%00",
    b"/anthropic/v1/models/a%0d%0aX-Api-Key:%20b",
    b"/anthropic/v1/models/%",
    b"/anthropic/v1/models/%zz",
    b"/anthropic//v1/messages",
    b"//anthropic/v1/messages",
    b"/anthropic/v1//messages",
    b"/openai/v1/responses/resp_1/../../files",
    b"/openai/v1/conversations/%2e%2e/files",
    b"/api/v2/aibridge/../../../anthropic/v1/messages",
    b"/api/v2/aibridge//evil.example/v1/messages",
    b"/anthropic/v1/models/http://evil.example/",
    b"/\\evil.example/v1/messages",
    b"anthropic/v1/messages",
    b"*",
]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_ambiguous_paths(gateway, fake, raw, method):
    for target in AMBIGUOUS:
        reply = await raw(gateway.url, request(target, method=method))
        assert refused(reply, 400, "invalid_request"), target
    assert fake.seen == 0


UNLISTED = [
    (b"POST", b"/"),
    (b"POST", b"/v1"),
    (b"POST", b"/v1/messages/"),
    (b"POST", b"/v1/messages/batches"),
    (b"POST", b"/v1/v1/messages"),
    (b"GET", b"/v1/files"),
    (b"POST", b"/unknown/v1/messages"),
    (b"POST", b"/Anthropic/v1/messages"),
    (b"POST", b"/%61nthropic/v1/messages"),
    (b"POST", b"/anthropic@evil.example/v1/messages"),
    (b"POST", b"/anthropic"),
    (b"DELETE", b"/anthropic/"),
    (b"POST", b"/anthropic/v1"),
    (b"POST", b"/anthropic/v1/messages/"),
    (b"POST", b"/anthropic/v1/%6dessages"),
    (b"POST", b"/anthropic/v1/Messages"),
    (b"POST", b"/anthropic/v1/messages/batches"),
    (b"GET", b"/anthropic/v1/messages/batches"),
    (b"GET", b"/anthropic/v1/models/"),
    (b"GET", b"/anthropic/v1/files"),
    (b"GET", b"/anthropic/v1/organizations/api_keys"),
    (b"POST", b"/anthropic/chat/completions"),
    (b"POST", b"/openai/chat/completions"),
    (b"POST", b"/openai/responses"),
    (b"POST", b"/openai/v1/messages"),
    (b"POST", b"/openai/v1/v1/responses"),
    (b"GET", b"/openai/v1/files"),
    (b"POST", b"/openai/v1/files"),
    (b"POST", b"/openai/v1/images/generations"),
    (b"POST", b"/openai/v1/fine_tuning/jobs"),
    (b"GET", b"/openai/v1/organization/admin_api_keys"),
    (b"GET", b"/openai/v1/organization/users"),
    (b"POST", b"/api/v2/aibridge/api/v2/aibridge/anthropic/v1/messages"),
    (b"POST", b"/api/v2/aibridgeX/anthropic/v1/messages"),
    (b"POST", b"/api/v2/aibridge"),
    (b"POST", b"/api/v2/anthropic/v1/messages"),
    (b"POST", b"/healthz"),
    (b"GET", b"/healthz/"),
    (b"GET", b"/healthz?x"),
    (b"GET", b"/api/v2/aibridge/healthz"),
    (b"GET", b"/__fake/requests"),
]


async def test_routes_that_are_not_listed(gateway, fake, raw):
    for method, target in UNLISTED:
        reply = await raw(gateway.url, request(target, method=method))
        if target.endswith(b"/messages"):
            assert refused(reply, 400, "wrong_base_url"), (method, target)
        else:
            assert refused(reply, 404, "route_not_supported"), (method, target)
    assert fake.seen == 0


WRONG_METHODS = [
    (b"GET", b"/v1/messages"),
    (b"PROPFIND", b"/chat/completions"),
    (b"GET", b"/anthropic/v1/messages"),
    (b"PUT", b"/anthropic/v1/messages"),
    (b"GET", b"/anthropic/v1/messages/count_tokens"),
    (b"POST", b"/anthropic/v1/models"),
    (b"DELETE", b"/anthropic/v1/models/claude"),
    (b"GET", b"/anthropic/api/event_logging/batch"),
    (b"GET", b"/openai/v1/chat/completions"),
    (b"GET", b"/openai/v1/responses"),
    (b"PATCH", b"/openai/v1/responses/resp_1"),
    (b"DELETE", b"/openai/v1/models/ft:mine"),
    (b"OPTIONS", MESSAGES),
    (b"TRACE", MESSAGES),
    (b"PROPFIND", MESSAGES),
]


async def test_methods_that_are_not_listed(gateway, fake, raw):
    for method, target in WRONG_METHODS:
        reply = await raw(gateway.url, request(target, method=method))
        assert refused(reply, 405, "method_not_allowed"), (method, target)
        assert reply.header("Allow"), (method, target)
    assert fake.seen == 0


async def test_a_browser_is_told_what_this_is(gateway, fake, raw):
    for target in (b"/", b"/api/v2/aibridge", b"/api/v2/aibridge/"):
        reply = await raw(gateway.url, request(target, method=b"GET"))
        assert (reply.status, reply.body.count(b"\n")) == (200, 1)
        assert b"aibridged, an AI gateway" in reply.body
        assert b"/anthropic and /openai/v1" in reply.body
        assert b"docs/clients.md" in reply.body
    reply = await raw(gateway.url, request(b"/", method=b"HEAD"))
    assert (reply.status, reply.body) == (200, b"")
    reply = await raw(gateway.url, request(b"/favicon.ico", method=b"GET"))
    assert (reply.status, reply.body) == (204, b"")
    assert fake.seen == 0


@pytest.mark.parametrize("scheme", [b"http", b"https", b"HTTP", b"ws", b"file", b"gopher"])
async def test_an_absolute_target_reaches_nothing(gateway, fake, raw, foreign, scheme):
    own = gateway.url.removeprefix("http://").encode()
    for authority in (foreign, b"user:pass@" + foreign, own, b""):
        for path in (MESSAGES, b"/v1/messages", b"/healthz", b""):
            target = scheme + b"://" + authority + path
            reply = await raw(gateway.url, request(target, host=foreign))
            assert refused(reply, 400, "invalid_request"), target
    assert fake.seen == 0


async def test_an_authority_as_target_reaches_nothing(gateway, fake, raw, foreign):
    for method in (b"CONNECT", b"GET", b"POST", b"OPTIONS"):
        for target in (foreign, b"//" + foreign + MESSAGES, b"evil.example:443"):
            reply = await raw(gateway.url, request(target, method=method, host=foreign))
            assert reply.status == 400, (method, target)
            assert reply.json()["type"] == "error"
    reply = await raw(gateway.url, request(b"*", method=b"OPTIONS"))
    assert refused(reply, 400, "invalid_request")
    assert fake.seen == 0


async def test_a_spoofed_host_changes_nothing(start_gateway, fake, raw, foreign):
    gateway = await start_gateway(auth="token")  # without authentication it is refused
    tokens = gateway._composition.resources.tokens
    tokens.create_user("ann")
    token = (
        b"X-Coder-Token: " + tokens.create_token("ann", name="", lifetime=None)[1].reveal().encode()
    )
    for headers in (
        [],
        [b"X-Forwarded-Host: " + foreign, b"Forwarded: host=" + foreign],
        [b"X-Original-URL: /v1/files", b"X-Rewrite-URL: /v1/files"],
        [b"X-HTTP-Method-Override: DELETE"],
    ):
        reply = await raw(gateway.url, request(MESSAGES, token, *headers, host=foreign))
        assert reply.status == 200
        received = fake.requests[-1]
        assert (received.method, received.raw_path) == ("POST", "/v1/messages")
        assert received.all("Host") == [fake.base_url.removeprefix("http://")]


async def test_two_hosts_are_refused(gateway, fake, raw, foreign):
    reply = await raw(gateway.url, request(MESSAGES, b"Host: " + foreign))
    assert reply.status in (400, 403)
    assert fake.seen == 0


ODD_VERSIONS = [
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/3.0",
    b"HTTP/1.2",
    b"HTTP/1",
    b"http/1.1",
    b"X/1.1",
]


@pytest.mark.parametrize("version", ODD_VERSIONS)
async def test_other_versions_of_http_are_refused(gateway, fake, raw, version):
    reply = await raw(gateway.url, request(MESSAGES, version=version))
    assert refused(reply, 400, "invalid_request")
    assert fake.seen == 0


@pytest.mark.parametrize(
    "text",
    [
        b"GET /anthropic/v1/models\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
        b"POST /anthropic/v1/messages HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST\t/anthropic/v1/messages\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"post /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /anthropic/v1/mess ages HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /anthropic/v1/models/caf\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /anthropic/v1/models/caf\xc3\xa9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /anthropic/v1/models#a HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
        b"GET /anthropic/v1/models?a#b HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
        b"GET /anthropic/v1/models?a=\xc3\xa9 HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
    ],
)
async def test_request_lines_that_are_none(gateway, fake, raw, text):
    reply = await raw(gateway.url, text)
    assert refused(reply, 400, "invalid_request")
    assert fake.seen == 0


SMUGGLED = b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5, 6",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 0x5",
        b"Content-Length : 5",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:\x0bchunked",
        b"X: 1\r\n folded: 2",
        b"X: a\x00b",
        b"X\x00Y: a",
        b"X: a\rTransfer-Encoding: chunked",
        b": no name",
        b"no colon",
    ],
)
async def test_two_ways_to_read_a_request_are_one_too_many(gateway, fake, raw, headers):
    """What frames a request doubly could smuggle a second one in: 400, and the connection ends."""
    head = b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\n" + headers
    reply = await raw(gateway.url, head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    assert refused(reply, 400, "invalid_request")
    assert fake.seen == 0


EXACT = [
    (b"/openai/v1/models/ft:gpt-4o:org%3Aname", "/v1/models/ft:gpt-4o:org%3Aname"),
    (b"/openai/v1/models/gpt-4.1", "/v1/models/gpt-4.1"),
    (b"/openai/v1/models/.hidden", "/v1/models/.hidden"),
    (b"/openai/v1/models/meta~llama!$&'()*+,=", "/v1/models/meta~llama!$&'()*+,="),
    (b"/openai/v1/models/%e4%b8%ad", "/v1/models/%e4%b8%ad"),
    (b"/openai/v1/models/my%20model", "/v1/models/my%20model"),
    (b"/openai/v1/models/@evil.example:80", "/v1/models/@evil.example:80"),
    (b"/openai/v1/conversations/c/items/i", "/v1/conversations/c/items/i"),
    (b"/openai/v1/models?a=%2F..&b=?/c&&d=+%20&a=1", "/v1/models?a=%2F..&b=?/c&&d=+%20&a=1"),
    (b"/openai/v1/models?x=%zz&y=\"<>\\^`{|}'", "/v1/models?x=%zz&y=\"<>\\^`{|}'"),
    (b"/openai/v1/models?url=http://evil.example/", "/v1/models?url=http://evil.example/"),
    (b"/v1/models/gpt%2D4.1?a=%2F", "/v1/models/gpt%2D4.1?a=%2F"),
    (b"/responses/resp_1?x=/..", "/v1/responses/resp_1?x=/.."),
    (b"/api/v2/aibridge/v1/models?limit=1", "/v1/models?limit=1"),
    (b"/api/v2/aibridge/openai/v1/models?limit=1", "/v1/models?limit=1"),
    (b"/api/v2/ai-gateway/openai/v1/models?limit=1", "/v1/models?limit=1"),
]


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_paths_and_queries_arrive_exactly(gateway, fake, raw, version):
    for target, arrives in EXACT:
        await raw(gateway.url, request(target, method=b"GET", version=version))
        assert fake.requests[-1].raw_path == arrives
    assert fake.seen == len(EXACT)


async def test_a_base_url_with_a_path_is_never_left(start_gateway, fake, raw):
    for target in (b"/openai/v1/../models", b"/openai/v1/models/../../x", b"/openai//v1/models"):
        gateway = await start_gateway()
        assert (await raw(gateway.url, request(target, method=b"GET"))).status == 400
    assert fake.seen == 0


@pytest.mark.parametrize(
    "target", [b"/anthropic", b"/anthropic/", b"/openai/v1", b"/api/v2/aibridge/openai/"]
)
async def test_the_base_url_itself_says_hello(gateway, fake, raw, target):
    reply = await raw(gateway.url, request(target, method=b"GET"))
    assert reply.status == 200
    assert reply.body.startswith(b"aibridged: provider ")
    reply = await raw(gateway.url, request(target, method=b"HEAD"))
    assert (reply.status, reply.body) == (200, b"")
    assert fake.seen == 0
