"""Who is calling: User-Agents as the programs send them."""

import pytest
from multidict import CIMultiDict

from aibridged.wire.clients import agent_of, identify


def test_an_agent_within_a_session():
    assert agent_of(CIMultiDict({"x-claude-code-agent-id": "a1"})) == "a1"
    assert agent_of(CIMultiDict()) is None


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        ("claude-cli/2.0.67 (external, cli)", "Claude Code"),
        ("codex_cli_rs/0.87.0 (Mac OS 26.2.0; arm64) ghostty/1.3.0", "Codex"),
        ("codex_exec/0.156.0 (Mac OS 27.0.0; arm64) unknown (codex_exec; 0.156.0)", "Codex"),
        ("codex-tui/0.156.0 (Mac OS 26.0.0; arm64) iTerm.app/3.6.1", "Codex"),
        ("Zed/0.219.4+stable.119.abc123 (macos; aarch64)", "Zed"),
        ("GitHubCopilotChat/0.37.2026011603", "GitHub Copilot (VS Code)"),
        ("copilot/0.0.403 (client/cli linux v24.11.1)", "GitHub Copilot (CLI)"),
        ("kilo-code/5.1.0 (darwin 25.2.0; arm64) node/22.21.1", "Kilo Code"),
        ("kilo/latest/7.7.7/cli ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14", "Kilo Code"),
        ("QwenCode/0.24.4 (linux; x64)", "Qwen Code"),
        ("claude-cli/0.24.4 (external, cli)", "Qwen Code"),
        ("Kilo-Code/7.8.3 ai-sdk/provider-utils/3.0.0", "Kilo Code"),
        ("roo-code/3.45.0 (darwin 25.2.0; arm64) node/22.21.1", "Roo Code"),
        ("RooCode/3.54.0", "Roo Code"),
        ("opencode/1.16.0 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14", "OpenCode"),
        ("Charm-Crush/v0.51.2 (https://charm.land/crush)", "Charm Crush"),
        ("Charm Crush/0.1.11", "Charm Crush"),
        ("mux/0.19.0 ai-sdk/anthropic/2.0.44", "Xum"),
        ("xum/0.31.0 ai-sdk/anthropic/2.0.44", "Xum"),
        ("coder-agents/v2.30.0", "Coder Agents"),
        ("Junie:SNAPSHOT", "Junie"),
        ("juniebot/1.0", "Unknown"),
        ("  CLAUDE-CLI/1.0  ", "Claude Code"),
        ("ccclaude-cli/1.0", "Unknown"),
        ("OpenAI/Python 1.0", "Unknown"),
        ("copilotish", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_user_agents(agent: str, client: str) -> None:
    assert identify(CIMultiDict({"User-Agent": agent})) == (client, None)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({"Originator": "kilo-code"}, "Kilo Code"),
        ({"Originator": "roo-code"}, "Roo Code"),
        ({"Originator": "other"}, "Unknown"),
        ({"User-Agent": "opencode/7.7.7", "X-Title": "Kilo Code"}, "Kilo Code"),
        ({"X-Title": "Cline"}, "Cline"),
        ({"X-Title": "Aider"}, "aider"),
        ({"X-Title": "anything"}, "Unknown"),
        ({"User-Agent": "connect-es/1.6.1", "X-Cursor-Client-Version": "0.50.0"}, "Cursor"),
        ({"X-Cursor-Client-Version": " "}, "Unknown"),
        ({}, "Unknown"),
    ],
)
def test_headers_that_give_a_client_away(headers: dict[str, str], client: str) -> None:
    assert identify(CIMultiDict(headers)) == (client, None)


@pytest.mark.parametrize(
    ("agent", "header"),
    [
        ("claude-cli/2.1.86", "x-claude-code-session-id"),
        ("codex_cli_rs/0.87.0", "session-id"),
        ("codex_cli_rs/0.87.0", "session_id"),
        ("mux/0.19.0", "X-Mux-Workspace-Id"),
        ("xum/0.31.0", "X-Mux-Workspace-Id"),
        ("GitHubCopilotChat/0.37", "X-Interaction-Id"),
        ("copilot/0.0.403", "X-Client-Session-Id"),
        ("kilo-code/5.1.0", "X-KiloCode-TaskId"),
        ("kilo/latest/7.7.7/cli", "x-session-affinity"),
        ("kilo/latest/7.7.7/cli", "x-session-id"),
        ("opencode/1.18.33", "x-session-id"),
        ("opencode/1.18.33", "session-id"),
        ("pi/0.73", "session_id"),
        ("mistral-vibe/3.0.3", "x-affinity"),
        ("coder-agents/v2", "X-Coder-Chat-Id"),
        ("opencode/1.16.0", "X-OpenCode-Session"),
        ("opencode/1.16.0", "x-session-affinity"),
    ],
)
def test_sessions(agent: str, header: str) -> None:
    for value, session in ((" 01-ab ", "01-ab"), ("", None), ("x" * 300, None)):
        assert identify(CIMultiDict({"User-Agent": agent, header: value}))[1] == session
    assert identify(CIMultiDict({"User-Agent": "Zed/1", header: "01-ab"}))[1] is None


@pytest.mark.parametrize(
    ("introduction", "client"),
    [
        ("You are Qwen Code, a non-interactive CLI agent developed by Alibaba", "Qwen Code"),
        ("You are Cline, a careful and helpful coding agent", "Cline"),
        ("You are an agent in the Continue CLI. Given the user's prompt", "Continue"),
        ("You are an expert coding assistant operating inside pi, a coding agent harness.", "pi"),
        ("Act as an expert software developer.\\nAlways use best practices", "aider"),
        ("You are OpenHands agent, a helpful AI assistant", "OpenHands"),
        ("You are gptme v0.35.1, a general-purpose AI assistant", "gptme"),
        ("You are a helpful AI Agent.\\n\\nEnvironment:\\n- Client: fast-agent", "fast-agent"),
        ("You are a helpful assistant that can interact with a computer.", "mini-swe-agent"),
        ("You are the GitHub Copilot CLI, a terminal assistant", "GitHub Copilot (CLI)"),
        ("You are Kilo, a highly skilled software engineer", "Kilo Code"),
        ("You are OpenCode, the best coding agent on the planet.", "OpenCode"),
        ("You are a helpful assistant.", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_a_system_prompt_tells_where_no_header_does(introduction: str, client: str) -> None:
    system = f'[{{"type":"text","text":"{introduction}'.encode()
    for agent in ("", "OpenAI/JS 6.26.0", "litellm/1.81.10", "node-fetch"):
        assert identify(CIMultiDict({"User-Agent": agent}), system) == (client, None)
    assert identify(CIMultiDict({"User-Agent": "Zed/1"}), system) == ("Zed", None)


def test_a_session_is_that_of_the_client_by_whatever_it_is_known() -> None:
    headers = CIMultiDict({"User-Agent": "OpenAI/JS 6.26.0", "session_id": "01-ab"})
    assert identify(headers, b"operating inside pi, a coding agent harness") == ("pi", "01-ab")
    assert identify(headers) == ("Unknown", None)
    vibe = CIMultiDict({"User-Agent": "python-httpx/0.28.1", "X-Affinity": "01-ab"})
    assert identify(vibe) == ("Mistral Vibe", "01-ab")
    title = CIMultiDict({"X-Title": "Kilo Code", "x-session-affinity": "title-ses_1"})
    assert identify(title) == ("Kilo Code", "ses_1")


def test_claude_codes_session_in_the_body_counts_where_no_header_names_one() -> None:
    claude = CIMultiDict({"User-Agent": "claude-cli/2.1.86"})
    assert identify(claude, session_id="body") == ("Claude Code", "body")
    claude["X-Claude-Code-Session-Id"] = "header"
    assert identify(claude, session_id="body") == ("Claude Code", "header")
    old = CIMultiDict({"User-Agent": "claude-cli/0.2.9"})
    assert identify(old, session_id="body") == ("Claude Code", "body")


@pytest.mark.parametrize(
    ("agent", "introduction", "client"),
    [
        ("OpenAI/Python 1.0", b"", "Unknown"),
        ("opencode/1.16.0", b"", "OpenCode"),
        ("OpenAI/JS 6.26.0", b"You are Cline, a careful and helpful coding agent", "Cline"),
    ],
)
def test_a_session_in_the_body_is_claude_codes_alone(
    agent: str, introduction: bytes, client: str
) -> None:
    headers = CIMultiDict({"User-Agent": agent})
    assert identify(headers, introduction, session_id="body") == (client, None)


def test_the_better_session_header_counts() -> None:
    headers = {"User-Agent": "codex_cli_rs/1", "session_id": "old", "session-id": "new"}
    assert identify(CIMultiDict(headers)) == ("Codex", "new")
