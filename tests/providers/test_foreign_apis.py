"""What isn't served on purpose takes nothing away from what is served."""

from aibridged.config.options import ProviderSettings
from aibridged.config.providers import COPILOT_PLANS
from aibridged.providers import make_providers
from aibridged.providers.foreign_apis import FOREIGN, NOT_SERVED


def test_each_sentence_ends_and_names_no_header():
    for _, said in (*FOREIGN, *NOT_SERVED):
        assert said.endswith(".")
        assert "X-Api-Key" not in said


def test_no_pattern_is_of_a_bridged_path():
    providers = make_providers(
        [
            ProviderSettings("anthropic", "anthropic", None, "https://a.example"),
            ProviderSettings("openai", "openai", None, "https://o.example/v1"),
            COPILOT_PLANS[0],
        ]
    )
    for provider in providers.values():
        for path in provider.bridged:
            below = path.removeprefix("/v1")
            assert not any(pattern.search(provider.prefix + path) for pattern, _ in FOREIGN)
            assert not any(pattern.match(below) for pattern, _ in NOT_SERVED)
