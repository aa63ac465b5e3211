"""HTTPS_PROXY and the like, the setting that counts more, and what is said about them."""

import pytest

from aibridged.config.load import resolve
from aibridged.config.report import as_data, as_text

A, B = "https://a.example", "http://b.example"


def ways(environ, **flags):
    """For an https and for an http URL: the proxy with its source, and the mistakes."""
    found = resolve({f"--{name.replace('_', '-')}": text for name, text in flags.items()}, environ)
    if found.settings is None:
        return [(mistake.where, mistake.what) for mistake in found.mistakes]
    chosen = (found.settings.outbound.for_url(url) for url in (A, B))
    return [None if each is None else (str(each), each.source) for each in chosen]


CASES = [
    ({}, [None, None]),
    ({"HTTPS_PROXY": "http://p:1"}, [("http://p:1", "HTTPS_PROXY"), None]),
    ({"https_proxy": "http://p:1"}, [("http://p:1", "https_proxy"), None]),
    ({"HTTP_PROXY": "http://p:1"}, [None, ("http://p:1", "HTTP_PROXY")]),
    ({"HTTPS_PROXY": "p:1"}, [("http://p:1", "HTTPS_PROXY"), None]),
    ({"HTTPS_PROXY": "https://p"}, [("https://p:443", "HTTPS_PROXY"), None]),
    ({"HTTPS_PROXY": "http://u:secret@p:1/"}, [("http://****@p:1", "HTTPS_PROXY"), None]),
    ({"ALL_PROXY": "http://p:1"}, [("http://p:1", "ALL_PROXY")] * 2),
    (
        {"ALL_PROXY": "http://p:1", "HTTP_PROXY": "http://q:2"},
        [("http://p:1", "ALL_PROXY"), ("http://q:2", "HTTP_PROXY")],
    ),
    (
        {"ALL_PROXY": "socks5://p:1", "HTTP_PROXY": "q:2", "HTTPS_PROXY": "q:2"},
        [("http://q:2", "HTTPS_PROXY"), ("http://q:2", "HTTP_PROXY")],
    ),
    ({"HTTPS_PROXY": "http://p:1", "https_proxy": "p:1"}, [("http://p:1", "HTTPS_PROXY"), None]),
    ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example"}, [None, None]),
    ({"HTTPS_PROXY": "http://p:1", "no_proxy": "a.example"}, [None, None]),
    ({"HTTPS_PROXY": "nonsense://", "NO_PROXY": "*"}, [None, None]),
]


@pytest.mark.parametrize(("environ", "expected"), CASES)
def test_the_variables(environ, expected):
    assert ways(environ) == expected


def test_the_setting_counts_more_and_what_it_excepts_is_the_same():
    setting = {"aibridge_upstream_proxy": "http://u:secret@s:1"}
    shown = ("http://****@s:1", "--aibridge-upstream-proxy")
    assert ways({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "nonsense://"}, **setting) == [shown] * 2
    assert ways({"NO_PROXY": "a.example"}, **setting) == [None, shown]


WRONG = [
    (
        {"ALL_PROXY": "socks5://u:secret@p:1"},
        [("ALL_PROXY", "is a SOCKS proxy: only http:// and https:// proxies are supported")],
    ),
    (
        {"HTTPS_PROXY": "http://u:secret@p:x"},
        [("HTTPS_PROXY", "is not a valid URL")],
    ),
    (
        {"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:1"},
        [("HTTPS_PROXY and https_proxy", "two names of the same setting, with different values")],
    ),
]


@pytest.mark.parametrize(("environ", "expected"), WRONG)
def test_what_is_wrong_keeps_the_daemon_from_serving(environ, expected):
    assert ways(environ) == expected


def test_a_daemon_does_not_ask_its_own_ai_proxy():
    proxy = {"HTTPS_PROXY": "http://token:secret@localhost:8888"}
    [(where, what), *_] = ways(proxy, aibridge_proxy_enabled="true")[-1:]
    assert where == "HTTPS_PROXY"
    assert what == "outgoing requests would go to this AI Proxy itself"
    assert ways(proxy)[0] == ("http://****@localhost:8888", "HTTPS_PROXY")


def test_it_is_said_which_way_requests_go():
    environ = {
        "HTTPS_PROXY": "http://u:passw0rd@p:1",
        "NO_PROXY": ".internal",
        "CODER_AIBRIDGE_OPENAI_BASE_URL": "https://models.internal/v1",
        "CODER_AIBRIDGE_MCP_SERVER_0_ID": "tickets",
        "CODER_AIBRIDGE_MCP_SERVER_0_URL": "https://tickets.example/mcp",
        "CODER_URL": "https://coder.example",
    }
    resolution = resolve({}, environ)
    text = as_text(resolution)
    assert "passw0rd" not in text
    said = " ".join(text.partition("Outgoing requests")[2].split())
    through, _, directly = said.partition("directly: ")
    assert through.startswith("through http://****@p:1 (HTTPS_PROXY): anthropic, ")
    assert "MCP server tickets, https://coder.example" in through
    assert directly == "openai"
    data = as_data(resolution)
    assert {each["route"]: each["proxy"] for each in data["providers"]}["/openai"] is None
    assert data["providers"][0]["proxy"] == "http://****@p:1"
    assert data["outgoing_requests"][1] == "directly: openai"


def test_check_config_says_so_where_all_is_asked_directly():
    assert as_data(resolve({}, {}))["outgoing_requests"][0].startswith("directly: anthropic, ")
