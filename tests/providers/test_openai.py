import pytest

from aibridged.config.options import ProviderSettings
from aibridged.providers.openai import OpenAI
from aibridged.wire.facts import WireApi


@pytest.fixture
def provider():
    return OpenAI(ProviderSettings("openai", "openai", None, "https://o.example/v1"))


@pytest.mark.parametrize(
    ("path", "api", "below"),
    [
        ("/v1/chat/completions", WireApi.CHAT_COMPLETIONS, "/chat/completions"),
        ("/v1/responses", WireApi.RESPONSES, "/responses"),
    ],
)
def test_bridged_routes_lose_the_version_that_the_base_url_holds(provider, path, api, below):
    route = provider.route("POST", path)
    assert (route.api, route.path) == (api, below)


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/v1/models", "/models"),
        ("GET", "/v1/models/gpt-x", "/models/*"),
        ("POST", "/v1/conversations", "/conversations"),
        ("DELETE", "/v1/conversations/c_1/items/i_1", "/conversations/*"),
        ("GET", "/v1/responses/resp_1", "/responses/*"),
        ("POST", "/v1/responses/resp_1/cancel", "/responses/*"),
        ("POST", "/v1/responses/compact", "/responses/*"),
    ],
)
def test_passthrough(provider, method, path, endpoint):
    route = provider.route(method, path)
    assert (route.api, route.endpoint) == (None, endpoint)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("DELETE", "/v1/models/ft:gpt"),
        ("GET", "/v1/files"),
        ("GET", "/v1/organization/admin_api_keys"),
        ("PUT", "/v1/conversations/c_1"),
        ("POST", "/v1"),
    ],
)
def test_everything_else_is_not_served(provider, method, path):
    assert provider.route(method, path) is None
