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
        ("/responses/compact", WireApi.COMPACTION),
        ("/embeddings", WireApi.EMBEDDINGS),
        ("/chunks", WireApi.EMBEDDINGS),
        ("/search/code", WireApi.EMBEDDINGS),
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
        ("GET", "/responses/resp_1", "/responses/*"),
        ("POST", "/responses/resp_1/cancel", "/responses/*/cancel"),
        ("POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("POST", "/telemetry", "/telemetry"),
        ("GET", "/copilot_internal/v2/token", "/copilot_internal/*"),
        ("GET", "/copilot_internal/user", "/copilot_internal/*"),
        ("POST", "/mcp", "/mcp"),
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
        ("POST", "/models"),
        ("DELETE", "/models/gpt-x"),
        ("PUT", "/mcp/readonly"),
        ("POST", "/.well-known/x"),
        ("GET", "/.well-known/"),
        ("POST", "/v1/engines/a/b/completions"),
        ("POST", "/v1/engines//completions"),
        ("GET", "/v1/engines/gpt-x/completions"),
        ("DELETE", "/copilot_internal/user"),
        ("GET", "/agents"),
    ],
)
def test_everything_else_is_not_served(provider, method, path):
    assert provider.route(method, path) is None


def test_only_what_comes_before_a_login_needs_no_own_key(provider):
    endpoints = {*provider.bridged, *provider.passthrough}
    assert endpoints - provider.own_key_only == {"/_ping", "/.well-known/*", "/telemetry"}


@pytest.mark.parametrize(
    ("path", "endpoint", "model"),
    [
        ("/v1/engines/gpt%2Dx/completions", "/v1/engines/*/completions", "gpt-x"),
        ("/chunks", "/chunks", "chunks"),
        ("/embeddings", "/embeddings", None),
    ],
)
def test_a_path_may_name_the_model(provider, path, endpoint, model):
    route = provider.route("POST", path)
    assert (route.endpoint, route.model) == (endpoint, model)
    assert route.api is not None
