"""Which provider serves a path that names none."""

import pytest
from multidict import CIMultiDict

from aibridged.config.options import ProviderSettings
from aibridged.config.providers import COPILOT_PLANS
from aibridged.providers import make_providers
from aibridged.providers.unnamed import Unnamed

OPENAI = ("openai", "https://o.example/v1")
ANTHROPIC = ("anthropic", "https://a.example")


def providers(*entries):
    made = [ProviderSettings(kind, name, None, url) for name, (kind, url) in entries]
    return make_providers([COPILOT_PLANS[0], *made])


ALL = providers(("east", OPENAI), ("claude", ANTHROPIC), ("west", OPENAI), ("other", ANTHROPIC))


def found(method, path, headers=(), among=ALL):
    home = Unnamed(among).find(method, path, CIMultiDict(headers))
    return None if home is None else f"{home.provider.name}{home.path}"


@pytest.mark.parametrize(
    ("method", "path", "home"),
    [
        ("POST", "/v1/messages", "claude/v1/messages"),
        ("POST", "/messages", "claude/v1/messages"),
        ("POST", "/v1/messages/count_tokens", "claude/v1/messages/count_tokens"),
        ("POST", "/v1/chat/completions", "east/v1/chat/completions"),
        ("POST", "/chat/completions", "east/v1/chat/completions"),
        ("POST", "/v1/responses", "east/v1/responses"),
        ("POST", "/responses", "east/v1/responses"),
        ("GET", "/v1/responses/resp_1", "east/v1/responses/resp_1"),
        ("POST", "/v1/responses/compact", "east/v1/responses/compact"),
        ("POST", "/v1/completions", "east/v1/completions"),
        ("POST", "/v1/embeddings", "east/v1/embeddings"),
        ("POST", "/api/event_logging/batch", "claude/api/event_logging/batch"),
        # Another method's: the refusal says which.
        ("GET", "/v1/messages", "claude/v1/messages"),
        ("GET", "/responses", "east/v1/responses"),
        ("OPTIONS", "/v1/chat/completions", "east/v1/chat/completions"),
        ("POST", "/v1/messages/batches", None),
        ("POST", "/v1/files", None),
        ("POST", "/v1/v1/messages", None),
        ("POST", "/v1", None),
        ("POST", "/", None),
        ("POST", "/v1/mcp", None),
        ("GET", "/agents/a", None),
    ],
)
def test_the_first_provider_whose_api_has_the_path_serves_it(method, path, home):
    assert found(method, path) == home


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ((), "east"),
        ((("Authorization", "Bearer t"),), "east"),
        ((("User-Agent", "OpenAI/Python 2.0"),), "east"),
        ((("Anthropic-Version", "2023-06-01"),), "claude"),
        ((("X-Api-Key", "t"),), "claude"),
        ((("User-Agent", "claude-code/2.1.332"),), "claude"),
        ((("User-Agent", "claude-cli/2.1.197 (external, cli)"),), "claude"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/some-model"])
def test_models_have_the_shape_that_the_client_reads(headers, name, path):
    path_below = path if path.startswith("/v1") else f"/v1{path}"
    assert found("GET", path, headers) == f"{name}{path_below}"


def test_a_list_of_models_comes_from_where_there_is_one():
    only = providers(("east", OPENAI))
    assert found("GET", "/v1/models", [("anthropic-version", "2023-06-01")], only) == (
        "east/v1/models"
    )
    assert found("POST", "/v1/messages", [("anthropic-version", "2023-06-01")], only) is None
    assert found("POST", "/v1/messages", (), providers()) is None
