"""Who is calling: User-Agents as the programs send them."""

import pytest
from multidict import CIMultiDict

from aibridged.wire.clients import identify


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
        ("Kilo-Code/7.8.3 ai-sdk/provider-utils/3.0.0", "Kilo Code"),
        ("roo-code/3.45.0 (darwin 25.2.0; arm64) node/22.21.1", "Roo Code"),
        ("RooCode/3.54.0", "Roo Code"),
        ("opencode/1.16.0 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14", "OpenCode"),
        ("Charm-Crush/v0.51.2 (https://charm.land/crush)", "Charm Crush"),
        ("Charm Crush/0.1.11", "Charm Crush"),
        ("mux/0.19.0 ai-sdk/anthropic/2.0.44", "Mux"),
        ("coder-agents/v2.30.0", "Coder Agents"),
        ("Junie:SNAPSHOT", "Junie"),
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
        ("GitHubCopilotChat/0.37", "X-Interaction-Id"),
        ("copilot/0.0.403", "X-Client-Session-Id"),
        ("kilo-code/5.1.0", "X-KiloCode-TaskId"),
        ("coder-agents/v2", "X-Coder-Chat-Id"),
        ("opencode/1.16.0", "X-OpenCode-Session"),
        ("opencode/1.16.0", "x-session-affinity"),
    ],
)
def test_sessions(agent: str, header: str) -> None:
    for value, session in ((" 01-ab ", "01-ab"), ("", None), ("x" * 300, None)):
        assert identify(CIMultiDict({"User-Agent": agent, header: value}))[1] == session
    assert identify(CIMultiDict({"User-Agent": "Zed/1", header: "01-ab"}))[1] is None


def test_the_better_session_header_counts() -> None:
    headers = {"User-Agent": "codex_cli_rs/1", "session_id": "old", "session-id": "new"}
    assert identify(CIMultiDict(headers)) == ("Codex", "new")
