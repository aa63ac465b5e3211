"""What Claude Code and Codex count on, clause by clause.

Claude Code's clauses are those of Anthropic's "Gateway protocol reference" (code.claude.com,
llm-gateway-protocol). Codex's are what its HTTP client sends and how it takes a refusal.
"""

import asyncio
import json

import pytest
import zstandard

from aibridged.fake_provider import Script

PREFIXES = ("", "/api/v2/aibridge", "/api/v2/ai-gateway")

# Legal JSON that no encoder would write like this: any decoding and encoding would show.
CLAUDE_BODY = (
    '{ "model":"claude-fake-large",\n\t"max_tokens" : 32000,"temperature":1e0,  "stream":true,'
    '"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.181.abc; '
    'cc_entrypoint=cli;"},{"type":"text","text":"You are \\u0043laude Code, caf\\u00e9 / café '
    '\\/ \\ud83d\\ude00 😀","cache_control":{"ttl":"1h","type":"ephemeral"}}],'
    '"thinking":{"type":"adaptive"},"context_management":{"edits":[]},'
    '"output_config":{"effort":"xhigh","task_budget":{}},"brand_new_field":[1.0,1e0,-0,'
    "12345678901234567890123],"
    '"tools":[{"name":"Read","input_schema":{"type":"object"},"strict":true,"defer_loading":true},'
    '{"name":"Bash","input_schema":{"type":"object"}}],'
    '"metadata":{"user_id":"user_1_account__session_5c1f"},'
    '"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}] }\r\n'
).encode()

CLAUDE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,oauth-2025-04-20, not-yet-invented-2030-01-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-not-yet-invented": "kept",
    "anthropic-workspace-id": "wrkspc_1",
    "x-claude-code-session-id": "5c1f0000-0000-4000-8000-000000000000",
    "x-claude-code-agent-id": "agent-1",
    "x-claude-code-parent-agent-id": "agent-0",
    "x-claude-code-not-yet-invented": "kept",
    "x-app": "cli",
    "User-Agent": "claude-cli/2.1.181 (external, cli)",
    "Content-Type": "application/json",
    "X-Custom-From-The-Developer": "ANTHROPIC_CUSTOM_HEADERS",
}

CODEX_BODY = (
    '{"model": "gpt-fake-large","instructions":"Be Codex.","input":[{"type":"message",'
    '"role":"user","content":[{"type":"input_text","text":"hi \\u00e9 é"}]}],"tools":[],'
    '"tool_choice":"auto","parallel_tool_calls":false,"store":false,"stream":true,'
    '"include":["reasoning.encrypted_content"],"prompt_cache_key":"5c1f","brand_new":1.0}'
).encode()

CODEX_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream",
    "OpenAI-Beta": "responses=experimental",
    "originator": "codex_cli_rs",
    "session_id": "5c1f",
    "conversation_id": "5c1f",
    "version": "0.153.4",
    "User-Agent": "codex_cli_rs/0.153.4 (Linux; x86_64)",
    "x-codex-not-yet-invented": "kept",
}

MESSAGES = "/anthropic/v1/messages?beta=true"
RESPONSES = "/openai/v1/responses"


@pytest.fixture
async def gateway(start_gateway, tmp_path):
    """With everything on that looks at requests: none of it may change what goes through."""
    return await start_gateway(
        circuit_breaker_enabled=True,
        circuit_breaker_failure_threshold=1,
        send_actor_headers=True,
        rate_limit=1000,
        max_concurrency=100,
        dump_dir=tmp_path,
    )


def arrived(fake, headers):
    """Whether these headers came upstream, each once and as it was."""
    received = fake.requests[-1]
    assert {name: received.all(name) for name in headers} == {
        name: [value] for name, value in headers.items()
    }
    return True


class TestClaudeCode:
    @pytest.mark.parametrize("prefix", PREFIXES)
    @pytest.mark.parametrize("slash", ["", "/"])
    async def test_the_connectivity_probe_is_answered(self, gateway, client, prefix, slash):
        async with client.head(f"{gateway.url}{prefix}/anthropic{slash}") as response:
            assert response.status == 200

    @pytest.mark.parametrize("prefix", PREFIXES)
    async def test_inference_keeps_query_headers_and_body(self, gateway, fake, client, prefix):
        async with client.post(
            gateway.url + prefix + MESSAGES,
            data=CLAUDE_BODY,
            headers={**CLAUDE_HEADERS, "X-Api-Key": "gateway-token"},
        ) as response:
            assert response.status == 200
            assert (await response.read()).startswith(b"event: message_start\n")
        assert fake.requests[-1].raw_path == "/v1/messages?beta=true"
        assert fake.requests[-1].body == CLAUDE_BODY
        assert arrived(fake, CLAUDE_HEADERS)

    @pytest.mark.parametrize(
        "credential",
        [
            {"Authorization": "Bearer gateway-token"},
            {"X-Api-Key": "gateway-token"},
            {"Authorization": "Bearer gateway-token", "X-Api-Key": "gateway-token"},
        ],
    )
    async def test_the_credential_comes_in_one_or_both_headers(
        self, gateway, fake, client, credential
    ):
        async with client.post(
            gateway.url + MESSAGES, data=CLAUDE_BODY, headers={**CLAUDE_HEADERS, **credential}
        ) as response:
            assert response.status == 200
        assert arrived(fake, {"X-Api-Key": "sk-ant-organisation"})
        assert fake.requests[-1].all("Authorization") == []

    async def test_a_login_of_ones_own_passes_with_its_beta(self, gateway, fake, client):
        login = {"Authorization": "Bearer sk-ant-oat01-own"}
        async with client.post(
            gateway.url + MESSAGES,
            data=CLAUDE_BODY,
            headers={**CLAUDE_HEADERS, **login, "X-Coder-Token": "gateway-token"},
        ) as response:
            assert response.status == 200
        assert arrived(fake, {**CLAUDE_HEADERS, **login})
        assert fake.requests[-1].all("X-Api-Key") == []

    async def test_tokens_can_be_counted(self, gateway, fake, client):
        async with client.post(
            gateway.url + "/anthropic/v1/messages/count_tokens?beta=true",
            data=CLAUDE_BODY,
            headers=CLAUDE_HEADERS,
        ) as response:
            assert response.status == 200
            assert (await response.json())["input_tokens"] > 0
        assert fake.requests[-1].raw_path == "/v1/messages/count_tokens?beta=true"
        assert fake.requests[-1].body == CLAUDE_BODY
        assert arrived(fake, CLAUDE_HEADERS)

    async def test_events_are_not_held_back(self, gateway, fake, client):
        gate = asyncio.Event()
        fake.play(Script(before_write={1: gate}))
        async with client.post(gateway.url + MESSAGES, data=CLAUDE_BODY) as response:
            assert b"message_start" in await response.content.readany()
            gate.set()
            assert b"message_stop" in await response.content.read()

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529])
    async def test_error_bodies_are_forwarded_unmodified(self, gateway, fake, client, status):
        """Retries match on the wording, and on the headers that say whether to."""
        body = (
            b'{"type":"error",  "error":{"message":"thinking: Extra inputs are not permitted"}}\n'
        )
        said = {"x-should-retry": "true", "retry-after": "3", "request-id": "req_1"}
        fake.play(Script(status=status, body=body, headers=tuple(said.items())))
        async with client.post(gateway.url + MESSAGES, data=CLAUDE_BODY) as response:
            assert (response.status, await response.read()) == (status, body)
            assert {name: response.headers.getall(name) for name in said} == {
                name: [value] for name, value in said.items()
            }

    @pytest.mark.parametrize(
        "credential", [{"Authorization": "Bearer t"}, {"X-Api-Key": "t"}], ids=str
    )
    async def test_models_are_discovered(self, gateway, fake, client, credential):
        async with client.get(
            gateway.url + "/anthropic/v1/models?limit=1000",
            headers={**credential, "anthropic-version": "2023-06-01", "X-Custom": "kept"},
            allow_redirects=False,
        ) as response:
            assert response.status == 200
            names = [model["id"] for model in (await response.json())["data"]]
        assert names == ["claude-fake-large", "claude-fake-small"]
        assert fake.requests[-1].raw_path == "/v1/models?limit=1000"
        assert arrived(fake, {"X-Api-Key": "sk-ant-organisation", "X-Custom": "kept"})

    @pytest.mark.parametrize(
        ("headers", "arrives"),
        [
            ({}, []),
            ({"Authorization": "Bearer gateway-token"}, []),
            ({"X-Api-Key": "gateway-token"}, []),
            ({"X-Coder-Token": "gateway-token", "X-Api-Key": "sk-own"}, ["sk-own"]),
        ],
    )
    async def test_events_of_its_own_can_be_logged(self, gateway, fake, client, headers, arrives):
        """In no one's name but the caller's: telemetry needs no key."""
        async with client.post(
            gateway.url + "/anthropic/api/event_logging/batch",
            data=b'{"events": [ ]}',
            headers=headers,
        ) as response:
            assert response.status == 200
        received = fake.requests[-1]
        assert received.body == b'{"events": [ ]}'
        assert received.all("X-Api-Key") == arrives
        assert received.all("Authorization") == []


def zstd(body):
    return zstandard.ZstdCompressor().compress(body)


CODED = {
    "zstd": ("zstd", zstd(CODEX_BODY)),
    "zstd without its size": (
        "zstd",
        zstandard.ZstdCompressor(write_content_size=False).compress(CODEX_BODY),
    ),
    "zstd in two frames": ("zstd", zstd(CODEX_BODY[:40]) + zstd(CODEX_BODY[40:])),
    "spelled otherwise": ("ZSTD", zstd(CODEX_BODY)),
}
BOMB = zstd(b'{"model":"m","x":"' + b"0" * 64 * 1024 * 1024 + b'"}')
MALFORMED = (400, "invalid_request")
UNSUPPORTED = (415, "unsupported_coding")
NOT_CODED = {
    "a bomb": ("zstd", BOMB, 413, "request_too_large"),
    "a bomb in a bomb": ("zstd, zstd", zstd(BOMB), *UNSUPPORTED),
    "not compressed": ("zstd", CODEX_BODY, *MALFORMED),
    "cut off": ("zstd", zstd(CODEX_BODY)[:-3], *MALFORMED),
    "with a tail": ("zstd", zstd(CODEX_BODY) + b"x", *MALFORMED),
    "empty": ("zstd", b"", *MALFORMED),
    "no JSON": ("zstd", zstd(b"no JSON"), *MALFORMED),
    "a coding that isn't spoken": ("br", b"\x8b\x02\x80{}\x03", *UNSUPPORTED),
    "too many codings": ("zstd, zstd, zstd, zstd", zstd(b"{}"), *UNSUPPORTED),
}


class TestCodex:
    @pytest.mark.parametrize("prefix", PREFIXES)
    async def test_inference_keeps_headers_and_body(self, gateway, fake, client, prefix):
        async with client.post(
            gateway.url + prefix + RESPONSES,
            data=CODEX_BODY,
            headers={**CODEX_HEADERS, "Authorization": "Bearer gateway-token"},
        ) as response:
            assert response.status == 200
            assert b"response.completed" in await response.read()
        assert fake.requests[-1].body == CODEX_BODY
        assert arrived(fake, CODEX_HEADERS)
        assert arrived(fake, {"Authorization": "Bearer sk-openai-organisation"})

    @pytest.mark.parametrize("coded", CODED)
    async def test_a_compressed_body_is_forwarded_as_it_came(self, gateway, fake, client, coded):
        coding, body = CODED[coded]
        fake.play(Script(body=b"{}"))
        headers = {**CODEX_HEADERS, "Content-Encoding": coding}
        async with client.post(gateway.url + RESPONSES, data=body, headers=headers) as response:
            assert response.status == 200
        assert fake.requests[-1].body == body
        assert arrived(fake, headers)

    async def test_the_model_in_a_compressed_body_is_read(self, gateway, fake, client):
        fake.play(Script(status=529))
        coding = {"Content-Encoding": "zstd"}
        async with client.post(
            gateway.url + RESPONSES, data=zstd(CODEX_BODY), headers=coding
        ) as response:
            assert response.status == 529
        async with client.post(gateway.url + RESPONSES, data=CODEX_BODY) as response:
            assert response.headers["X-Aibridge-Reason"] == "circuit_open"
        other = CODEX_BODY.replace(b"large", b"small")
        async with client.post(
            gateway.url + RESPONSES, data=zstd(other), headers=coding
        ) as response:
            assert response.status == 200

    @pytest.mark.parametrize("case", NOT_CODED)
    async def test_a_compressed_body_that_is_none(self, gateway, fake, client, case):
        coding, body, status, code = NOT_CODED[case]
        async with client.post(
            gateway.url + RESPONSES, data=body, headers={"Content-Encoding": coding}
        ) as response:
            assert (response.status, response.headers["X-Aibridge-Reason"]) == (status, code)
            assert (await response.json())["error"]["code"] == code
            spoken = response.headers.get("Accept-Encoding")
            assert spoken == ("gzip, deflate, zstd" if status == 415 else None)
        assert fake.seen == 0

    async def test_what_is_only_forwarded_is_not_decoded(self, gateway, fake, client):
        fake.play(Script(body=b"{}"))
        async with client.post(
            gateway.url + "/openai/v1/responses/resp_1/cancel",
            data=b"\x00 whatever this is",
            headers={"Content-Encoding": "x-unknown"},
        ) as response:
            assert response.status == 200
        assert fake.requests[-1].body == b"\x00 whatever this is"
        assert arrived(fake, {"Content-Encoding": "x-unknown"})

    async def test_models_are_discovered(self, gateway, fake, client):
        async with client.get(
            gateway.url + "/openai/v1/models?client_version=0.153.4", headers=CODEX_HEADERS
        ) as response:
            assert response.status == 200
        assert fake.requests[-1].raw_path == "/v1/models?client_version=0.153.4"

    @pytest.mark.parametrize("prefix", PREFIXES)
    @pytest.mark.parametrize("spelling", ["websocket", "WebSocket"])
    async def test_a_websocket_is_refused_with_426(self, gateway, fake, prefix, spelling):
        """The one status upon which Codex falls back to HTTP at once, instead of trying again."""
        reply = await upgrade(gateway, prefix + RESPONSES, spelling)
        assert reply.startswith(b"HTTP/1.1 426 ")
        assert b"X-Aibridge-Reason: upgrade_not_supported\r\n" in reply
        assert json.loads(reply.partition(b"\r\n\r\n")[2])["type"] == "error"
        assert fake.seen == 0

    async def test_a_websocket_is_refused_so_even_over_every_limit(
        self, start_gateway, fake, client
    ):
        """503 or 429 would be tried again."""
        gateway = await start_gateway(max_concurrency=1, rate_limit=1)
        fake.play(Script(stall_after=1))
        async with client.post(gateway.url + RESPONSES, data=CODEX_BODY):
            for _ in range(3):
                reply = await upgrade(gateway, RESPONSES)
                assert reply.startswith(b"HTTP/1.1 426 ")

    async def test_an_offer_of_http_2_is_not_taken_up(self, gateway, fake, raw):
        """An upgrade is an offer; the request is served as the HTTP/1.1 that it is."""
        reply = await raw(
            gateway.url,
            b"POST /openai/v1/responses HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(CODEX_BODY), CODEX_BODY),
        )
        assert reply.status == 200
        received = fake.requests[-1]
        assert received.body == CODEX_BODY
        for name in ("Upgrade", "HTTP2-Settings", "Connection"):
            assert received.all(name) == []


async def upgrade(gateway, path, spelling="websocket"):
    """The answer to a WebSocket handshake as Codex sends it; it must come within a second."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n"
        f"Upgrade: {spelling}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Authorization: Bearer gateway-token\r\n\r\n".encode()
    )
    async with asyncio.timeout(10):
        reply = await reader.readuntil(b"}}")
    writer.close()
    return reply
