"""`check-config --connect`: each MCP server with its tools, or with what is wrong."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer

from aibridged.cli import mcp_status as reached
from aibridged.config.options import McpServerSettings
from aibridged.mcp.probe import ProbeResult
from aibridged.mcp.selection import Selection
from aibridged.mcp.tools import Tool

Run = Callable[..., subprocess.CompletedProcess[str]]
URL = "https://mcp.example.com/mcp"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A real server with two tools."""
    served = MCPServer("real")

    @served.tool()
    def search(text: str) -> str:
        """Find text."""
        return text

    @served.tool()
    def drop_tables() -> str:
        """Drop all tables."""
        return "done"

    server = uvicorn.Server(
        uvicorn.Config(served.streamable_http_app(), port=0, log_level="critical", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join()


@pytest.fixture
def settings(tmp_path: Path, url: str) -> Callable[[str], str]:
    def settings(more: str = "") -> str:
        path = tmp_path / "settings.yaml"
        path.write_text(
            "aibridge:\n  providers:\n"
            f"    - {{type: openai, name: mine, base_url: '{url}'}}\n"
            "  mcp_servers:\n"
            f"    - {{id: docs, url: '{url}', tool_deny_regex: ^drop, token: canary}}\n{more}"
        )
        return str(path)

    return settings


DEAD = "    - {id: dead, url: 'http://127.0.0.1:1/mcp'}\n"


def test_servers_that_answer_are_shown_with_what_the_rules_leave(
    run: Run, settings: Callable[[str], str]
) -> None:
    shown = run("check-config", "--connect", "-c", settings(""))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.endswith(
        "\n\nMCP servers\n"
        "  docs: 2 tools, 1 offered\n"
        "    bmcp_docs_search Find text.\n"
        "    excluded by regex: drop_tables\n"
    )
    assert "canary" not in shown.stdout


def test_one_that_fails_is_told_and_exits_1(run: Run, settings: Callable[[str], str]) -> None:
    shown = run("check-config", "--connect", "-c", settings(DEAD))
    assert (shown.returncode, shown.stderr) == (1, "")
    assert shown.stdout.endswith("\n  dead: FAILED: it can't be reached: connection refused\n")
    assert "bmcp_docs_search" in shown.stdout
    assert run("check-config", "-c", settings(DEAD)).returncode == 0


def test_the_same_as_json(run: Run, settings: Callable[[str], str]) -> None:
    shown = run("check-config", "--connect", "--output", "json", "-c", settings(DEAD))
    docs, dead = json.loads(shown.stdout)["mcp_servers"]
    assert docs == {
        "id": "docs",
        "asked": True,
        "error": None,
        "tools": [{"name": "bmcp_docs_search", "tool": "search", "description": "Find text."}],
        "hidden": ["drop_tables"],
        "faults": [],
    }
    assert dead["error"] == "it can't be reached: connection refused"


def test_without_a_server_there_is_nothing_to_ask(run: Run, url: str) -> None:
    provider = "CODER_AIBRIDGE_PROVIDER_0_"
    environ = {f"{provider}TYPE": "openai", f"{provider}BASE_URL": url}
    shown = run("check-config", "--connect", environ=environ)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.endswith("\n\nNo MCP server is configured.\n")


def a_tool(name: str, description: str) -> Tool:
    return Tool(f"bmcp_docs_{name}", "docs", URL, name, description, b"{}")


def test_everything_fits_a_terminal() -> None:
    server = McpServerSettings("docs", URL)
    tools = (a_tool("a", "word " * 50), a_tool("x" * 54, "two\nlines"), a_tool("b", ""))
    text = reached.as_text(
        [
            ProbeResult(server, Selection(tools, ["hidden"] * 30, ["'c': its schema is bad"])),
            ProbeResult(server, Selection(error="it has an excuse that is long " * 5)),
            ProbeResult(server, None),
        ]
    )
    assert max(map(len, text.splitlines())) <= 80
    assert "docs: skipped, each user needs their own token" in text
    assert "docs: 34 tools, 3 offered" in text
    assert "skipped: 'c': its schema is bad" in text


def test_only_what_was_asked_can_fail() -> None:
    server = McpServerSettings("docs", URL)
    assert reached.all_well([])
    assert reached.all_well([ProbeResult(server, None), ProbeResult(server, Selection())])
    assert not reached.all_well(
        [ProbeResult(server, None), ProbeResult(server, Selection(error="x"))]
    )
