import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.providers.anthropic import Anthropic
from aibridged.wire.facts import WireApi


@pytest.fixture
def provider():
    return Anthropic(ProviderSettings("anthropic", "anthropic", Secret("sk"), "https://a.example"))


def test_messages_are_bridged(provider):
    route = provider.route("POST", "/v1/messages")
    assert (route.api, route.path, route.endpoint) == (
        WireApi.MESSAGES,
        "/v1/messages",
        "/v1/messages",
    )


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/v1/models", "/v1/models"),
        ("HEAD", "/v1/models", "/v1/models"),
        ("GET", "/v1/models/claude-x", "/v1/models/*"),
        ("POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("POST", "/api/event_logging/batch", "/api/event_logging/*"),
    ],
)
def test_passthrough(provider, method, path, endpoint):
    route = provider.route(method, path)
    assert (route.api, route.path, route.endpoint) == (None, path, endpoint)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/messages/"),
        ("POST", "/v1/messages/batches"),
        ("DELETE", "/v1/models/claude-x"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/organizations/api_keys"),
        ("POST", "/v1/files"),
        ("POST", "/v1/complete"),
        ("POST", "/messages"),
        ("GET", "/"),
    ],
)
def test_everything_else_is_not_served(provider, method, path):
    assert provider.route(method, path) is None


def test_telemetry_alone_is_not_shown_the_organisations_key(provider):
    endpoints = {*provider.bridged, *provider.passthrough}
    without = {each for each in endpoints if provider.organisation_credential(each).value is None}
    assert without == {"/api/event_logging/*"}
