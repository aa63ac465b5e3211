import pytest

from aibridged.config.options import ProviderSettings
from aibridged.providers.copilot import Copilot
from aibridged.wire.facts import WireApi


@pytest.fixture
def provider():
    return Copilot(ProviderSettings("copilot", "copilot", None, "https://c.example"))


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/chat/completions", WireApi.CHAT_COMPLETIONS),
        ("/responses", WireApi.RESPONSES),
        ("/v1/messages", WireApi.MESSAGES),
    ],
)
def test_bridged_routes_are_those_of_its_own_hosts(provider, path, api):
    route = provider.route("POST", path)
    assert (route.api, route.path, route.endpoint) == (api, path, path)


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/_ping", "/_ping"),
        ("POST", "/auto", "/auto"),
        ("GET", "/models", "/models"),
        ("GET", "/models/gpt-x", "/models/*"),
        ("POST", "/models/session", "/models/*"),
        ("POST", "/models/gpt-x/policy", "/models/*"),
        ("GET", "/agents/sessions", "/agents/*"),
        ("POST", "/agents/swe/v1/jobs/o/r", "/agents/*"),
        ("DELETE", "/agents/sessions/s_1", "/agents/*"),
        ("POST", "/mcp/", "/mcp/"),
        ("GET", "/mcp/readonly", "/mcp/*"),
        ("DELETE", "/mcp/readonly", "/mcp/*"),
        ("GET", "/.well-known/oauth-protected-resource/mcp", "/.well-known/*"),
    ],
)
def test_passthrough(provider, method, path, endpoint):
    route = provider.route(method, path)
    assert (route.api, route.path, route.endpoint) == (None, path, endpoint)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/chat/completions"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/chat/completions/"),
        ("POST", "/responses/compact"),
        ("POST", "/models"),
        ("DELETE", "/models/gpt-x"),
        ("PUT", "/mcp/readonly"),
        ("POST", "/mcp"),
        ("POST", "/.well-known/x"),
        ("GET", "/.well-known/"),
        ("POST", "/embeddings"),
        ("GET", "/agents"),
    ],
)
def test_everything_else_is_not_served(provider, method, path):
    assert provider.route(method, path) is None


def test_only_what_comes_before_a_login_needs_no_own_key(provider):
    endpoints = {*provider.bridged, *provider.passthrough}
    assert endpoints - provider.own_key_only == {"/_ping", "/.well-known/*"}
