"""Who is recorded to have asked: the program, its session, and whose key it was."""

import json

import pytest
import zstandard

MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES = {"model": "m", "input": "hi"}
PATHS = {
    "/anthropic/v1/messages": MESSAGES,
    "/openai/v1/chat/completions": CHAT,
    "/openai/v1/responses": RESPONSES,
}
ANTHROPIC, COMPLETIONS, OPENAI = PATHS
OWN_KEY = "sk-ant-own-0123456789abcdefghijklmnop"

# What the programs send, and what is to be made of it.
CALLERS = [
    (
        ANTHROPIC,
        {"User-Agent": "claude-cli/2.0.14 (external, cli)", "X-Claude-Code-Session-Id": "s-1"},
        ("Claude Code", "s-1"),
    ),
    (OPENAI, {"User-Agent": "codex_cli_rs/0.92 (Linux)", "session_id": "s-2"}, ("Codex", "s-2")),
    (OPENAI, {"User-Agent": "codex_exec/0.92", "session-id": "s-3"}, ("Codex", "s-3")),
    (COMPLETIONS, {"User-Agent": "Zed/0.212.5"}, ("Zed", None)),
    (
        COMPLETIONS,
        {"User-Agent": "GitHubCopilotChat/0.33", "x-interaction-id": "s-4"},
        ("GitHub Copilot (VS Code)", "s-4"),
    ),
    (
        COMPLETIONS,
        {"User-Agent": "copilot/0.0.403 (client/cli)", "X-Client-Session-Id": "s-5"},
        ("GitHub Copilot (CLI)", "s-5"),
    ),
    (
        ANTHROPIC,
        {"User-Agent": "Kilo-Code/4.1", "X-KILOCODE-TASKID": "s-6"},
        ("Kilo Code", "s-6"),
    ),
    (ANTHROPIC, {"User-Agent": "node", "originator": "roo-code"}, ("Roo Code", None)),
    (COMPLETIONS, {"User-Agent": "go", "x-cursor-client-version": "2.1"}, ("Cursor", None)),
    (COMPLETIONS, {"User-Agent": "opencode/1.1.3"}, ("OpenCode", None)),
    (COMPLETIONS, {"User-Agent": "Charm Crush/1.0"}, ("Charm Crush", None)),
    (COMPLETIONS, {"User-Agent": "mux/0.9", "X-Mux-Workspace-Id": "s-7"}, ("Xum", "s-7")),
    (
        ANTHROPIC,
        {"User-Agent": "coder-agents/2.30", "X-Coder-Chat-Id": "s-8"},
        ("Coder Agents", "s-8"),
    ),
    (COMPLETIONS, {"User-Agent": "Junie:253.1"}, ("Junie", None)),
    (COMPLETIONS, {"User-Agent": "curl/8", "session_id": "not believed"}, ("Unknown", None)),
]


@pytest.fixture
def ask(recording, client, clock):
    """Posts to a gateway and expects an answer."""

    async def ask(gateway, path, headers, **different):
        clock.advance(1)
        body = json.dumps({**PATHS[path], **different})
        headers = {"Content-Type": "application/json", "X-Coder-Token": "gateway", **headers}
        async with client.post(gateway.url + path, data=body, headers=headers) as response:
            assert response.status == 200, await response.read()
            await response.read()

    return ask


async def interceptions(recording):
    return [row["interception"] for row in await recording.rows()]


async def test_programs_and_their_sessions_are_told_by_their_headers(ask, recording):
    gateway = await recording.start()
    for path, headers, _ in CALLERS:
        await ask(gateway, path, headers)
    rows = await interceptions(recording)
    for place, (row, (_, headers, (name, session))) in enumerate(zip(rows, CALLERS, strict=True)):
        assert (row["client"], row["client_session_id"]) == (name, session)
        assert row["user_agent"] == headers["User-Agent"]
        assert row["session_id"] == (session or place)


USER = "user_5f1c9a7e_account__session_"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_claude_codes_session_in_the_body_counts_where_no_header_names_one(ask, recording):
    gateway = await recording.start()
    for user in (f"{USER}s-1", json.dumps({"device_id": "d", "session_id": "s-2"}), "somebody"):
        await ask(gateway, ANTHROPIC, {"User-Agent": "claude"}, metadata={"user_id": user})
    await ask(gateway, ANTHROPIC, {"User-Agent": "a"}, metadata={"user_id": f"{USER}s-5"})
    header = {"User-Agent": "claude-cli/2", "X-Claude-Code-Session-Id": "s-3"}
    await ask(gateway, ANTHROPIC, header, metadata={"user_id": f"{USER}s-4"})
    await ask(gateway, ANTHROPIC, {"User-Agent": "x" * 2000})
    rows = await interceptions(recording)
    assert [row["client_session_id"] for row in rows] == ["s-1", "s-2", None, None, "s-3", None]
    assert rows[-1]["user_agent"] == "x" * 512


async def test_whose_key_it_was_is_recorded_but_never_the_key(ask, recording):
    gateway = await recording.start()
    short = "sk-ant-short"
    cases = [
        (ANTHROPIC, {"X-Api-Key": OWN_KEY}, "byok", "sk-a…mnop"),
        (ANTHROPIC, {"Authorization": f"Bearer {OWN_KEY}"}, "byok", "sk-a…mnop"),
        (OPENAI, {"Authorization": f"Bearer {OWN_KEY}"}, "byok", "sk-a…mnop"),
        (COMPLETIONS, {"Authorization": f"bearer   {OWN_KEY}"}, "byok", "sk-a…mnop"),
        (OPENAI, {"authorization": f"BEARER {short}"}, "byok", "****"),
        (OPENAI, {"Authorization": f"Basic {short}"}, "byok", "****"),
        (ANTHROPIC, {"X-Api-Key": short}, "byok", "****"),
        (ANTHROPIC, {}, "centralized", "****"),
    ]
    for path, headers, _, _ in cases:
        await ask(gateway, path, headers)
    for row, (_, headers, kind, hint) in zip(await interceptions(recording), cases, strict=True):
        assert (row["credential_kind"], row["credential_hint"]) == (kind, hint), headers


async def test_a_compressed_body_is_read_and_arrives_as_it_came(recording, client, fake):
    gateway = await recording.start()
    body = zstandard.compress(json.dumps(RESPONSES).encode())
    headers = {"Content-Encoding": "zstd", "Content-Type": "application/json"}
    async with client.post(gateway.url + OPENAI, data=body, headers=headers) as response:
        assert response.status == 200
    assert fake.requests[-1].body == body
    assert fake.requests[-1].header("Content-Encoding") == "zstd"
    [row] = await recording.rows()
    assert row["aibridge_user_prompts"][0]["prompt"] == "hi"
