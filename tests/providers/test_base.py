import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.providers import make_providers


@pytest.fixture
def providers():
    return make_providers(
        [
            ProviderSettings("anthropic", "claude", Secret("sk-ant"), "https://a.example"),
            ProviderSettings("openai", "gpt", None, "https://o.example/v1"),
        ]
    )


def test_providers_keep_their_order_and_names(providers):
    assert list(providers) == ["claude", "gpt"]
    assert providers["claude"].organisation_credential == ("X-Api-Key", "sk-ant")
    assert providers["gpt"].organisation_credential is None
    assert providers["gpt"].credential("sk") == ("Authorization", "Bearer sk")


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/v1/messages", "", "https://a.example/v1/messages"),
        ("/v1/messages", "beta=true", "https://a.example/v1/messages?beta=true"),
        ("/v1/models/a%3Ab", "q=%7e&r=a+b", "https://a.example/v1/models/a%3Ab?q=%7e&r=a+b"),
    ],
)
def test_urls_keep_path_and_query_exactly(providers, path, query, expected):
    assert str(providers["claude"].url(path, query)) == expected


def test_a_base_url_with_a_path_keeps_it(providers):
    assert str(providers["gpt"].url("/models", "")) == "https://o.example/v1/models"
