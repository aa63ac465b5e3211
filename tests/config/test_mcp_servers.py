"""Which MCP servers there are, and what is wrong with those that can't be read."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config import extras
from aibridged.config.options import McpServerSettings
from aibridged.config.resolution import Resolution
from aibridged.config.secret import Secret

Resolve = Callable[..., Resolution]
URL = "https://mcp.example.com/mcp"


def servers(resolution: Resolution) -> list[McpServerSettings]:
    assert resolution.mistakes == []
    assert resolution.settings is not None
    return list(resolution.settings.mcp_servers)


def entry(number: int, prefix: str = "CODER_AIBRIDGE", **fields: str) -> dict[str, str]:
    return {f"{prefix}_MCP_SERVER_{number}_{field.upper()}": fields[field] for field in fields}


def test_there_are_none_unless_somebody_says_so(resolve: Resolve) -> None:
    assert servers(resolve()) == []


def test_all_that_can_be_said_in_variables(resolve: Resolve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    environ = {
        **entry(0, id="docs", url=URL, token="t0k3n", headers='X-Team: core, "X-Two: a, b"'),
        **entry(0, tool_allow_regex="^(read|find)_", tool_deny_regex="_private$"),
        **entry(1, id="my-wiki-2", url="http://[::1]:8080/mcp/?tools=all"),
        **entry(1, token_file=str(tmp_path / "token"), user_credentials="optional"),
        **entry(2, id="own", url=URL, user_credentials="required"),
    }
    assert servers(resolve(environ=environ)) == [
        McpServerSettings(
            "docs",
            URL,
            Secret("t0k3n"),
            (("X-Team", Secret("core")), ("X-Two", Secret("a, b"))),
            re.compile("^(read|find)_"),
            re.compile("_private$"),
        ),
        McpServerSettings(
            "my-wiki-2",
            "http://[::1]:8080/mcp/?tools=all",
            Secret("from-the-file"),
            user_credentials="optional",
        ),
        McpServerSettings("own", URL, user_credentials="required"),
    ]


@pytest.mark.parametrize("group", ["aibridge", "ai_gateway"])
@pytest.mark.parametrize(
    "headers", ["{X-Team: core, X-N: 5}", "['X-Team: core', 'X-N: 5']", "'X-Team: core,X-N: 5'"]
)
def test_the_same_in_the_file(resolve: Resolve, group: str, headers: str) -> None:
    yaml = (
        f"{group}:\n  mcp_servers:\n    - id: docs\n      url: {URL}\n      token: sk-1\n"
        f"      headers: {headers}\n      tool_deny_regex: x\n"
    )
    resolution = resolve(yaml=yaml)
    assert servers(resolution) == [
        McpServerSettings(
            "docs",
            URL,
            Secret("sk-1"),
            (("X-Team", Secret("core")), ("X-N", Secret("5"))),
            tool_deny_regex=re.compile("x"),
        )
    ]


def test_they_are_shown_without_secrets(resolve: Resolve) -> None:
    environ = entry(0, id="docs", url=f"{URL}?key=canary", token="canary", headers="X-A: canary")
    shown = {value.name: value.text for value in resolve(environ=environ).values}
    assert {name: text for name, text in shown.items() if name.startswith("mcp_servers")} == {
        "mcp_servers[0].id": "docs",
        "mcp_servers[0].url": f"{URL}?…",
        "mcp_servers[0].token": "****",
        "mcp_servers[0].headers": "X-A: ****",
    }
    assert "canary" not in repr(resolve(environ=environ))


def test_the_environment_replaces_the_list_of_the_file(resolve: Resolve) -> None:
    yaml = f"aibridge:\n  mcp_servers: [{{id: file, url: '{URL}'}}]\n"
    [server] = servers(resolve(environ=entry(0, id="variable", url=URL), yaml=yaml))
    assert server.id == "variable"


def where(field: str, number: int = 0) -> str:
    return f"CODER_AIBRIDGE_MCP_SERVER_{number}_{field}"


MISTAKES = [
    (
        entry(1, id="docs", url=URL),
        where("*", 1),
        "there is no CODER_AIBRIDGE_MCP_SERVER_0_*",
        "Number the MCP servers from 0, without a gap.",
    ),
    (
        entry(0, url=URL),
        where("*"),
        "the MCP server has no id",
        "Add an id; the names of its tools begin with it.",
    ),
    (
        entry(0, id="docs"),
        where("*"),
        "the MCP server has no url",
        "Add the URL of the server, such as https://example.com/mcp.",
    ),
    (
        {**entry(0, id="docs", url=URL), **entry(1, id="docs", url=URL)},
        f"{where('ID')} and {where('ID', 1)}",
        "two MCP servers have the id 'docs'",
        "Use a unique id for each server.",
    ),
    *(
        (
            entry(0, id=name, url=URL),
            where("ID"),
            f"{name!r} is not an id like my-server (a-z, 0-9, single dashes)",
            "Correct it.",
        )
        for name in ("a_b", "A", "-a", "a b", "a/b", "ä")
    ),
    (
        entry(0, id="x" * 33, url=URL),
        where("ID"),
        f"{'x' * 33!r} is longer than 32 characters",
        "Correct it.",
    ),
    *(
        (entry(0, id="docs", url=url), where("URL"), what, "Correct it.")
        for url, what in (
            ("mcp.example.com", "has no https:// or http:// in front"),
            ("ftp://x/", "is not a URL like https://api.example.com/v1"),
            ("https://u:p@x/", "contains a user or a password: the key has its own setting"),
            ("https://x/?a=b#c", "contains a #, which is never sent to a server"),
            ("https://x/?a=b c", "contains a space or another character that is invalid in a URL"),
        )
    ),
    *(
        (
            entry(0, id="docs", url=URL, **{f"tool_{rule}_regex": text}),
            where(f"TOOL_{rule.upper()}_REGEX"),
            f"{text!r} is not a regular expression: {what}",
            "Correct it.",
        )
        for rule, text, what in (
            ("allow", "a(b", "missing ), unterminated subpattern at character 2"),
            ("deny", "abc[", "unterminated character set at character 4"),
        )
    ),
    *(
        (entry(0, id="docs", url=URL, headers=text), where("HEADERS"), what, "Correct it.")
        for text, what in (
            ("X-Team", "is not a list of headers like X-Team: core, X-Stage: live"),
            ("X Y: a", "is not a list of headers like X-Team: core, X-Stage: live"),
            ("X-A:", "the header X-A has no valid value"),
            ("X-A: é", "the header X-A has no valid value"),
            ("X-A: 1, x-a: 2", "the header x-a is given twice"),
            ("content-type: a", "the header content-type is reserved by the protocol"),
            ("Mcp-Session-Id: a", "the header Mcp-Session-Id is reserved by the protocol"),
        )
    ),
    (
        entry(0, id="docs", url=URL, user_credentials="maybe"),
        where("USER_CREDENTIALS"),
        "'maybe' is none of none, optional, required",
        "Correct it.",
    ),
    (
        entry(0, id="docs", url=URL, token="a", user_credentials="required"),
        where("*"),
        "the token would never be sent, since each user's own token is required",
        "Remove the token, or set user_credentials to optional.",
    ),
    (
        entry(0, id="docs", url=URL, token="a", headers="authorization: Basic x"),
        where("*"),
        "the header Authorization conflicts with a token, which would replace it",
        "Remove one of them.",
    ),
    (
        entry(0, id="docs", url=URL, token="a", token_file="/b"),
        f"{where('TOKEN')} and {where('TOKEN_FILE')}",
        "the key is set twice, once as a file",
        f"Remove one of them; {where('TOKEN_FILE')} is the safer one to keep.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "where", "what", "remedy"), MISTAKES)
def test_mistakes(
    environ: dict[str, str], where: str, what: str, remedy: str, resolve: Resolve
) -> None:
    [mistake] = resolve(environ=environ).mistakes
    assert (mistake.where, mistake.what, mistake.remedy) == (where, what, remedy)


def test_a_header_of_the_users_own_may_be_an_authorization(resolve: Resolve) -> None:
    [server] = servers(
        resolve(environ=entry(0, id="docs", url=URL, headers="Authorization: Basic x"))
    )
    assert server.headers == (("Authorization", Secret("Basic x")),)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://mcp.example.com/mcp", False),
        ("http://127.0.0.1:8000/mcp", False),
        ("http://[::1]/mcp", False),
        ("http://localhost/mcp", False),
        ("http://mcp.example.com/mcp", True),
        ("http://10.0.0.1/mcp?key=canary", True),
    ],
)
def test_what_goes_over_a_network_in_the_clear_is_warned_of(
    resolve: Resolve, url: str, warned: bool
) -> None:
    warnings = resolve(environ=entry(0, id="docs", url=url)).warnings
    assert [("plain HTTP" in each, "canary" in each) for each in warnings] == (
        [(True, False)] if warned else []
    )


def test_users_of_a_coder_deployment_have_no_tokens_here(resolve: Resolve) -> None:
    environ = {
        **entry(0, id="docs", url=URL, user_credentials="optional"),
        "CODER_AIBRIDGE_AUTH": "coder",
        "CODER_URL": "https://coder.example.com",
    }
    [warning] = resolve(environ=environ).warnings
    assert "which require --aibridge-auth token" in warning


def test_the_library_is_missed_before_the_start(
    resolve: Resolve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert resolve().mistakes == []
    [mistake] = resolve(environ=entry(0, id="docs", url=URL)).mistakes
    assert mistake.what.startswith("required libraries are not installed (cryptography, httpx2,")
    assert mistake.remedy == f"Install them:\n{extras.command('mcp')}"
