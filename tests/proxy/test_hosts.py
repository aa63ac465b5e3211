"""Which hosts are opened, and what a request to one is to the gateway."""

import pytest

from aibridged.config.options import ProviderSettings
from aibridged.core.egress import read_destination
from aibridged.errors import GatewayError
from aibridged.providers import make_providers
from aibridged.proxy.hosts import Hosts, gateway_path


def hosts(*providers: tuple[str, str, str]) -> Hosts:
    settings = [ProviderSettings(kind, name, None, url) for kind, name, url in providers]
    return Hosts(make_providers(settings).values())


def path(found: Hosts, authority: str, method: str, target: str) -> str | None:
    return gateway_path(found.find(read_destination(authority)), method, target)


DEFAULTS = hosts(
    ("anthropic", "anthropic", "https://api.anthropic.com"),
    ("openai", "openai", "https://api.openai.com/v1"),
)


@pytest.mark.parametrize(
    ("authority", "method", "target", "expected"),
    [
        ("api.anthropic.com:443", "POST", "/v1/messages", "/anthropic/v1/messages"),
        ("api.anthropic.com:443", "GET", "/v1/models/x", "/anthropic/v1/models/x"),
        ("api.openai.com:443", "POST", "/v1/responses", "/openai/v1/responses"),
        ("api.openai.com:443", "POST", "/v1/chat/completions", "/openai/v1/chat/completions"),
        ("api.openai.com:443", "GET", "/v1/responses/r_1", "/openai/v1/responses/r_1"),
        ("api.anthropic.com:443", "GET", "/", None),
        ("api.anthropic.com:443", "GET", "/api/hello", None),
        ("api.anthropic.com:443", "GET", "/v1/messages", None),
        ("api.openai.com:443", "POST", "/v1/embeddings", "/openai/v1/embeddings"),
        ("api.openai.com:443", "POST", "/v1/images/generations", None),
        ("api.openai.com:443", "POST", "/responses", None),
        ("api.openai.com:443", "GET", "/v1/chat/completions", None),
        ("api.openai.com:443", "DELETE", "/v1/models/x", None),
    ],
)
def test_what_is_the_gateways_and_what_is_not(authority, method, target, expected):
    assert path(DEFAULTS, authority, method, target) == expected


@pytest.mark.parametrize(
    "authority",
    ["api.anthropic.com:8443", "console.anthropic.com:443", "anthropic.com:443", "1.2.3.4:443"],
)
def test_no_other_host_is_opened(authority):
    assert DEFAULTS.find(read_destination(authority)) == []


def test_the_vendors_hosts_are_opened_wherever_the_provider_goes():
    found = hosts(
        ("openai", "first", "http://127.0.0.1:1/v1"), ("openai", "second", "https://llm.example/a")
    )
    assert list(found) == ["api.openai.com", "llm.example"]
    assert path(found, "api.openai.com:443", "POST", "/v1/responses") == "/first/v1/responses"
    assert path(found, "llm.example:443", "POST", "/a/responses") == "/second/v1/responses"
    assert found.find(read_destination("api.anthropic.com:443")) == []
    assert found.find(read_destination("127.0.0.1:1")) == []


def test_a_configured_host_comes_before_the_vendors():
    found = hosts(
        ("anthropic", "one", "https://llm.example"),
        ("anthropic", "two", "https://api.anthropic.com"),
    )
    assert path(found, "api.anthropic.com:443", "POST", "/v1/messages") == "/two/v1/messages"


def test_one_host_may_serve_several_providers():
    found = hosts(
        ("openai", "gpt", "https://llm.example/v1"),
        ("anthropic", "claude", "https://llm.example"),
        ("anthropic", "other", "https://llm.example/other"),
    )
    for target, expected in (
        ("/v1/responses", "/gpt/v1/responses"),
        ("/v1/messages", "/claude/v1/messages"),
        ("/other/v1/messages", "/other/v1/messages"),
        ("/else/v1/messages", None),
    ):
        assert path(found, "llm.example:443", "POST", target) == expected


def test_ports_and_addresses_count_as_they_are_in_connect():
    found = hosts(
        ("anthropic", "a", "https://LLM.example:8443"), ("openai", "b", "https://[2001:DB8::1]/v1")
    )
    assert path(found, "llm.example:8443", "POST", "/v1/messages") == "/a/v1/messages"
    assert path(found, "[2001:db8:0::1]:443", "POST", "/v1/responses") == "/b/v1/responses"
    assert found.find(read_destination("llm.example:443")) == []


def test_copilots_hosts_are_those_of_the_configured_plans():
    found = hosts(
        ("copilot", "copilot", "https://api.individual.githubcopilot.com"),
        ("copilot", "business", "https://api.business.githubcopilot.com"),
    )
    individual, business = (
        f"api.{each}.githubcopilot.com:443" for each in ("individual", "business")
    )
    assert path(found, individual, "POST", "/chat/completions") == "/copilot/chat/completions"
    assert path(found, business, "POST", "/responses") == "/business/responses"
    assert path(found, business, "POST", "/v1/messages") == "/business/v1/messages"
    assert path(found, business, "GET", "/models") == "/business/models"
    assert path(found, business, "POST", "/embeddings") == "/business/embeddings"
    assert path(found, business, "POST", "/unknown") is None
    for other in ("api.enterprise.githubcopilot.com", "api.github.com", "github.com"):
        assert found.find(read_destination(f"{other}:443")) == []


@pytest.mark.parametrize("target", ["/v1/messages/", "/V1/messages", "/v1/%6Dessages"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "BREW"])
def test_what_could_be_taken_for_a_recorded_path_goes_nowhere(method, target):
    with pytest.raises(GatewayError) as caught:
        path(DEFAULTS, "api.anthropic.com:443", method, target)
    assert caught.value.kind.code == "route_not_supported"
