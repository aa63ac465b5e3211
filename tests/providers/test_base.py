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
    assert providers["claude"].organisation_header == ("X-Api-Key", "sk-ant")
    assert providers["gpt"].organisation_header is None
    assert providers["gpt"].credential("sk") == ("Authorization", "Bearer sk")
