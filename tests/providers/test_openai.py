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
        ("/v1/responses/compact", WireApi.COMPACTION, "/responses/compact"),
        ("/v1/completions", WireApi.COMPLETIONS, "/completions"),
        ("/v1/embeddings", WireApi.EMBEDDINGS, "/embeddings"),
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
        ("GET", "/v1/responses/resp_1/input_items", "/responses/*"),
        ("POST", "/v1/responses/resp_1/cancel", "/responses/*/cancel"),
        ("POST", "/v1/responses/input_tokens", "/responses/input_tokens"),
    ],
)
def test_passthrough(provider, method, path, endpoint):
    route = provider.route(method, path)
    assert (route.api, route.endpoint) == (None, endpoint)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        # Lists would show what others have stored.
        ("GET", "/v1/responses"),
        ("GET", "/v1/conversations"),
        ("DELETE", "/v1/conversations"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("POST", "/chat/completions"),
        # Nobody knows what these would run.
        ("POST", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/rerun"),
        ("POST", "/v1/responses/compact/cancel/x"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/audio/speech"),
        ("DELETE", "/v1/models/ft:gpt"),
        ("GET", "/v1/files"),
        ("GET", "/v1/organization/admin_api_keys"),
        ("PUT", "/v1/conversations/c_1"),
        ("POST", "/v1"),
    ],
)
def test_everything_else_is_not_served(provider, method, path):
    assert provider.route(method, path) is None


@pytest.mark.parametrize(
    ("method", "path", "about"),
    [
        ("GET", "/v1/responses/resp_1", ("response", "resp_1")),
        ("GET", "/v1/responses/%72esp_1/", ("response", "resp_1")),
        ("DELETE", "/v1/responses/resp_1", ("response", "resp_1")),
        ("GET", "/v1/responses/resp_1/input_items", ("response", "resp_1")),
        ("POST", "/v1/responses/resp_1/cancel", ("response", "resp_1")),
        ("GET", "/v1/responses/compact", ("response", "compact")),
        ("POST", "/v1/conversations/conv_1", ("conversation", "conv_1")),
        ("DELETE", "/v1/conversations/conv_1/items/msg_1", ("conversation", "conv_1")),
        ("GET", "/v1/models/gpt-x", None),
        ("POST", "/v1/conversations", None),
        ("POST", "/v1/responses", None),
    ],
)
def test_a_path_names_what_is_stored_as_the_provider_will_read_it(provider, method, path, about):
    assert provider.route(method, path).about == about


def test_a_conversation_is_stored_and_a_count_may_be_of_one(provider):
    assert provider.route("POST", "/v1/conversations").makes == "conversation"
    route = provider.route("POST", "/v1/responses/input_tokens")
    assert (route.api, route.refers, route.reads) == (None, WireApi.RESPONSES, WireApi.RESPONSES)


@pytest.mark.parametrize(
    ("path", "bridged"),
    [
        ("/responses/compact", True),
        ("/RESPONSES/Compact", True),
        ("/embeddings", True),
        ("/responses/compact/x", False),
        ("/models", False),
    ],
)
def test_what_may_be_taken_for_a_bridged_path(provider, path, bridged):
    assert provider.may_be_bridged(path) is bridged
