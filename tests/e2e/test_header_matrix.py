"""Which headers arrive, in both directions: compared whole, as bytes."""

import asyncio
from itertools import product

import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret

BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
PATHS = {"anthropic": b"/anthropic/v1/messages", "openai": b"/openai/v1/chat/completions"}
ORGANISATION = {
    "anthropic": (b"x-api-key", b"sk-ant-organisation"),
    "openai": (b"authorization", b"Bearer sk-openai-organisation"),
}

TOKEN_HEADERS = (None, b"X-Coder-Token", b"X-Coder-AI-Governance-Token")
BEARER = (b"Authorization", b"Bearer from-authorization")
KEY = (b"X-Api-Key", b"from-api-key")
OWN_BEARER = (b"authorization", b"Bearer from-authorization")
OWN_KEY = (b"x-api-key", b"from-api-key")


def request(*headers, path=PATHS["anthropic"], method=b"POST", body=BODY):
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: localhost", b"Connection: close"]
    lines += [b"%b: %b" % header for header in headers]
    lines += [b"Content-Length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


def received(fake):
    """The headers that came upstream in the last request, but for those of every request."""
    headers = sorted((name.lower(), value) for name, value in fake.requests[-1].raw_headers)
    for always in (
        (b"host", fake.base_url.removeprefix("http://").encode()),
        (b"content-length", b"%d" % len(BODY)),
        (b"accept-encoding", b"identity"),
    ):
        headers.remove(always)
    return headers


def refused(reply, status, code):
    """Whether this is the one error shape, in full."""
    assert reply.status == status, reply
    assert reply.header("X-Aibridge-Reason") == code
    assert reply.header("Content-Type") == "application/json"
    assert reply.json()["type"] == "error"
    assert reply.json()["message"] == reply.json()["error"]["message"]
    assert reply.json()["error"]["code"] == code
    return True


@pytest.mark.parametrize("allow_byok", [True, False])
@pytest.mark.parametrize("provider", PATHS)
async def test_every_combination_of_auth_headers(start_gateway, fake, raw, provider, allow_byok):
    gateway = await start_gateway(allow_byok=allow_byok)
    both = OWN_KEY if provider == "anthropic" else OWN_BEARER
    own = {(True, False): OWN_BEARER, (False, True): OWN_KEY, (True, True): both}
    for name, bearer, key in product(TOKEN_HEADERS, (False, True), (False, True)):
        headers = [(name, b"gateway-token")] if name else []
        headers += [BEARER] if bearer else []
        headers += [KEY] if key else []
        seen = fake.seen
        reply = await raw(gateway.url, request(*headers, path=PATHS[provider]))
        if name and (bearer or key):
            if not allow_byok:
                assert refused(reply, 403, "byok_disabled")
                assert fake.seen == seen
                continue
            expected = own[bearer, key]
        else:
            expected = ORGANISATION[provider]
        assert reply.header("X-Aibridge-Reason") is None
        assert received(fake) == [expected], (name, bearer, key)


@pytest.mark.parametrize("provider", PATHS)
async def test_without_an_organisation_key_only_an_own_key_goes_up(
    start_gateway, fake, raw, provider
):
    url = fake.base_url if provider == "anthropic" else fake.openai_url
    gateway = await start_gateway(providers=(ProviderSettings(provider, provider, None, url),))
    path = PATHS[provider]
    await raw(gateway.url, request((b"Authorization", b"Bearer gateway-token"), path=path))
    assert received(fake) == []
    await raw(gateway.url, request((b"X-Coder-Token", b"t"), KEY, path=path))
    assert received(fake) == [OWN_KEY]


MALFORMED = [
    [BEARER, BEARER],
    [KEY, KEY],
    [(b"X-Coder-Token", b"t"), (b"x-coder-token", b"t")],
    [(b"X-Coder-Token", b"t"), (b"X-Coder-AI-Governance-Token", b"t")],
    [(b"X-Coder-Token", b"t"), BEARER, BEARER],
    [(b"X-Coder-Token", b"t"), KEY, KEY],
    [(b"Authorization", b"Basic dTpw")],
    [(b"Authorization", b"Bearer")],
    [(b"Authorization", b"Bearer ")],
    [(b"Authorization", b"Bearer a b")],
    [(b"Authorization", b"Bearer a, Bearer b")],
    [(b"Authorization", b"token-alone")],
    [(b"Authorization", b"")],
    [(b"Authorization", b"Bearer \xff\xfe")],
    [(b"Authorization", "Bearer clé".encode())],
    [(b"X-Api-Key", b"")],
    [(b"X-Api-Key", b"a b")],
    [(b"X-Api-Key", b"\xe9")],
    [(b"X-Coder-Token", b"a b")],
    [(b"X-Coder-Token", b"t"), (b"Authorization", b"")],
]


@pytest.mark.parametrize("headers", MALFORMED)
async def test_doubled_and_malformed_auth_headers(start_gateway, fake, raw, headers):
    gateway = await start_gateway()
    for path in PATHS.values():
        reply = await raw(gateway.url, request(*headers, path=path))
        assert refused(reply, 401, "unauthenticated")
    assert fake.seen == 0


@pytest.mark.parametrize("name", [b"X-Api-Key", b"Authorization"])
async def test_an_own_key_that_is_no_text_is_malformed_too(
    start_gateway, fake, raw, tmp_path, name
):
    """It becomes a circuit's key and a secret to blank, so what can't be encoded must not pass."""
    gateway = await start_gateway(circuit_breaker_enabled=True, dump_dir=tmp_path)
    for value in (b"Bearer \xff", "clé".encode()):
        reply = await raw(gateway.url, request((b"X-Coder-Token", b"t"), (name, value)))
        assert refused(reply, 401, "unauthenticated")
    assert fake.seen == 0


STAY_BEHIND = [
    b"Cookie",
    b"X-Coder-Session-Token",
    b"X-Coder-Something-New",
    b"Coder-Session-Token",
    b"X-AI-Bridge-Actor-ID",
    b"X-AI-Bridge-Actor-Metadata-Username",
    b"X-AI-Bridge-Actor-Metadata-Email",
    b"Proxy-Authorization",
    b"Proxy-Authenticate",
    b"Proxy-Connection",
    b"Keep-Alive",
    b"TE",
    b"Trailer",
    b"Upgrade",
]
UNDERSCORED = [
    b"X_Api_Key",
    b"X-Api_Key",
    b"X_Coder_Token",
    b"X_Coder_AI_Governance_Token",
    b"X_AI_Bridge_Actor_ID",
    b"Coder_Session_Token",
]


@pytest.mark.parametrize("spell", [bytes.lower, bytes.upper, bytes.title])
async def test_headers_that_never_go_upstream(start_gateway, fake, raw, spell):
    gateway = await start_gateway()
    headers = [(spell(name), b"secret") for name in STAY_BEHIND + UNDERSCORED]
    reply = await raw(gateway.url, request(*headers))
    assert reply.status == 200
    assert received(fake) == [ORGANISATION["anthropic"]]


async def test_an_underscored_spelling_is_no_credential(start_gateway, fake, raw):
    """Were it one here and not upstream, or the other way round, two would disagree on who asks."""
    gateway = await start_gateway(allow_byok=False)
    reply = await raw(
        gateway.url, request((b"X-Coder-Token", b"t"), *[(name, b"own") for name in UNDERSCORED])
    )
    assert reply.status == 200
    assert received(fake) == [ORGANISATION["anthropic"]]


@pytest.mark.parametrize("provider", PATHS)
async def test_actor_headers_are_the_gateways_own(start_gateway, fake, raw, provider):
    gateway = await start_gateway(send_actor_headers=True)
    forged = [
        (b"X-AI-Bridge-Actor-ID", b"root"),
        (b"x_ai_bridge_actor_metadata_username", b"root"),
        (b"X-AI-Bridge-Actor-Metadata-Email", b"root@example.com"),
    ]
    reply = await raw(gateway.url, request(*forged, path=PATHS[provider]))
    assert reply.status == 200
    assert received(fake) == sorted(
        [
            ORGANISATION[provider],
            (b"x-ai-bridge-actor-id", b"00000000-0000-0000-0000-000000000000"),
            (b"x-ai-bridge-actor-metadata-username", b"local"),
        ]
    )


END_TO_END = [
    (b"Accept", b"application/json"),
    (b"anthropic-beta", b"claude-code-20250219,  context-1m-2025-08-07"),
    (b"anthropic-beta", b"a-second-line"),
    (b"anthropic-dangerous-direct-browser-access", b"true"),
    (b"anthropic-version", b"2023-06-01"),
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"Idempotency-Key", b"stainless-python-retry-1"),
    (b"OpenAI-Organization", b"org-1"),
    (b"OpenAI-Project", b"proj-1"),
    (b"originator", b"codex_cli_rs"),
    (b"Origin", b"http://localhost"),
    (b"User-Agent", b"claude-cli/2.0 (external, cli)"),
    (b"x-claude-code-session-id", b"5c1f"),
    (b"X-Custom_Header", b"underscores as such are fine"),
    (b"X-Forwarded-For", b"192.0.2.1"),
    (b"X-Stainless-Lang", b"python"),
    (b"X-Unknown", b'\x21\x7e;="quoted, text"'),
]


@pytest.mark.parametrize("provider", PATHS)
async def test_end_to_end_headers_arrive_as_they_are(start_gateway, fake, raw, provider):
    gateway = await start_gateway()
    await raw(gateway.url, request(*END_TO_END, path=PATHS[provider]))
    arrived = fake.requests[-1].raw_headers
    # Spelled as they came, and in their order.
    assert [header for header in arrived if header in END_TO_END] == END_TO_END
    assert received(fake) == sorted(
        [(name.lower(), value) for name, value in END_TO_END] + [ORGANISATION[provider]]
    )


TRACE = [
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"TraceState", b"vendor=1"),
    (b"baggage", b"userId=ann"),
]


@pytest.mark.parametrize("provider", PATHS)
async def test_whose_trace_it_is_no_provider_learns(start_gateway, fake, raw, provider):
    gateway = await start_gateway()
    await raw(gateway.url, request(*TRACE, path=PATHS[provider]))
    assert received(fake) == [ORGANISATION[provider]]


@pytest.mark.parametrize("name", [b"Api-Key", b"X-Goog-Api-Key", b"Proxy-Token"])
async def test_a_gateway_token_under_a_name_of_no_meaning_goes_nowhere(
    start_gateway, fake, raw, name
):
    gateway = await start_gateway()
    token = b"aib_" + b"i" * 10 + b"_" + b"S" * 43
    await raw(gateway.url, request((name, token)))
    assert received(fake) == [ORGANISATION["anthropic"]]


NOT_ASCII = [b"caf\xc3\xa9 \xe2\x82\xac", b"caf\xe9", b"\xff\xfe\x80", b"tab\tinside"]


@pytest.mark.parametrize("value", NOT_ASCII)
async def test_a_header_value_of_any_bytes_arrives(start_gateway, fake, raw, value):
    gateway = await start_gateway()
    reply = await raw(gateway.url, request((b"X-Title", value)))
    assert reply.status == 200
    assert received(fake) == [ORGANISATION["anthropic"], (b"x-title", value)]


async def test_headers_that_connection_names_stay_behind(start_gateway, fake, raw):
    gateway = await start_gateway()
    named = [
        (b"Connection", b"X-Hop, x-other"),
        (b"X-Hop", b"1"),
        (b"X-Other", b"2"),
        (b"X-Kept", b"3"),
    ]
    await raw(gateway.url, request(*named))
    assert received(fake) == [ORGANISATION["anthropic"], (b"x-kept", b"3")]


async def test_a_credential_that_connection_names_is_replaced_all_the_same(
    start_gateway, fake, raw
):
    gateway = await start_gateway()
    await raw(gateway.url, request((b"Connection", b"X-Api-Key, Authorization"), KEY))
    assert received(fake) == [ORGANISATION["anthropic"]]


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_request_without_a_body_gets_no_content_type(start_gateway, fake, raw, method):
    gateway = await start_gateway()
    await raw(
        gateway.url,
        b"%b /anthropic/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        % method,
    )
    assert sorted(name.lower() for name, _ in fake.requests[-1].raw_headers) == [
        b"accept-encoding",
        b"host",
        b"x-api-key",
    ]


@pytest.fixture
async def verbatim_provider(start_gateway):
    """Starts a gateway in front of a provider that answers every request with these bytes."""
    servers = []

    async def start(answer):
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        provider = ProviderSettings(
            "anthropic", "anthropic", Secret("sk"), f"http://127.0.0.1:{port}"
        )
        return await start_gateway(providers=(provider,))

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


def answer(*headers, status=b"200 OK", body=b"{}"):
    lines = [b"HTTP/1.1 " + status, *[b"%b: %b" % header for header in headers]]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def came_back(reply):
    """The response headers as bytes, names in lower case, but for those of every response."""
    always = ("content-length", "connection")
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in reply.headers
        if name.lower() not in always
    ]


ANSWERED = [
    (b"content-type", b"application/json"),
    (b"request-id", b"req_1"),
    (b"x-request-id", b"req_2"),
    (b"anthropic-ratelimit-requests-remaining", b"49"),
    (b"anthropic-organization-id", b"org"),
    (b"x-ratelimit-limit-requests", b"60"),
    (b"retry-after", b"7"),
    (b"link", b"<a>; rel=next"),
    (b"link", b"<b>; rel=prev"),
    (b"x-other", b"between the twins"),
    (b"link", b"<c>; rel=last"),
    (b"vary", b"Origin"),
    (b"cf-ray", b"1"),
    (b"strict-transport-security", b"max-age=1"),
]


async def test_response_headers_arrive_as_they_are(verbatim_provider, raw):
    for status in (b"200 OK", b"429 Too Many Requests"):
        gateway = await verbatim_provider(answer(*ANSWERED, status=status))
        reply = await raw(gateway.url, request())
        assert came_back(reply) == ANSWERED
        assert reply.body == b"{}"


async def test_a_providers_server_and_date_pass_and_no_others_are_made_up(verbatim_provider, raw):
    gateway = await verbatim_provider(answer())
    assert came_back(await raw(gateway.url, request())) == []
    own = [(b"server", b"cloudflare"), (b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")]
    gateway = await verbatim_provider(answer(*own))
    assert came_back(await raw(gateway.url, request())) == own


async def test_response_headers_of_this_hop_and_cookies_stay_behind(verbatim_provider, raw):
    gateway = await verbatim_provider(
        answer(
            (b"Set-Cookie", b"__cf_bm=1; Path=/"),
            (b"set-cookie", b"b=2"),
            (b"Keep-Alive", b"timeout=5"),
            (b"Connection", b"X-Hop, keep-alive"),
            (b"X-Hop", b"1"),
            (b"Proxy-Authenticate", b"Basic"),
            (b"Trailer", b"X-T"),
            (b"X-Kept", b"1"),
        )
    )
    assert came_back(await raw(gateway.url, request())) == [(b"x-kept", b"1")]


@pytest.mark.parametrize("value", NOT_ASCII)
async def test_a_response_header_value_of_any_bytes_arrives(verbatim_provider, raw, value):
    gateway = await verbatim_provider(answer((b"X-Title", value)))
    assert came_back(await raw(gateway.url, request())) == [(b"x-title", value)]
