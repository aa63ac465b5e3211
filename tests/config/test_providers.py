"""Which providers there are, from the list and from the single-provider settings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.api import overview_routes
from aibridged.api.routes import ROUTES, roots
from aibridged.config.options import ProviderSettings
from aibridged.config.providers import RESERVED
from aibridged.config.resolution import Resolution
from aibridged.config.secret import Secret

Resolve = Callable[..., Resolution]
ANTHROPIC = "https://api.anthropic.com"
OPENAI = "https://api.openai.com/v1"
COPILOT = "https://api.individual.githubcopilot.com"
PLANS = [
    ProviderSettings("copilot", "copilot", None, COPILOT),
    ProviderSettings("copilot", "copilot-business", None, "https://api.business.githubcopilot.com"),
    ProviderSettings(
        "copilot", "copilot-enterprise", None, "https://api.enterprise.githubcopilot.com"
    ),
]


def providers(resolution: Resolution) -> list[ProviderSettings]:
    assert resolution.mistakes == []
    assert resolution.settings is not None
    return list(resolution.settings.providers)


def entry(number: int, prefix: str = "CODER_AIBRIDGE", **fields: str) -> dict[str, str]:
    return {f"{prefix}_PROVIDER_{number}_{field.upper()}": fields[field] for field in fields}


def test_without_any_setting_all_providers_wait_for_callers_with_a_key(resolve: Resolve) -> None:
    assert providers(resolve()) == [
        ProviderSettings("anthropic", "anthropic", None, ANTHROPIC),
        ProviderSettings("openai", "openai", None, OPENAI),
        *PLANS,
    ]


def test_the_single_settings_configure_two_of_them(resolve: Resolve) -> None:
    environ = {
        "CODER_AIBRIDGE_ANTHROPIC_KEY": "a",
        "CODER_AIBRIDGE_OPENAI_BASE_URL": "http://x/v1/",
    }
    assert providers(resolve(environ=environ)) == [
        ProviderSettings("anthropic", "anthropic", Secret("a"), ANTHROPIC),
        ProviderSettings("openai", "openai", None, "http://x/v1"),
        *PLANS,
    ]


def test_a_list_in_the_environment(resolve: Resolve, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    environ = {
        **entry(0, type="openai"),
        **entry(1, type="openai", name="local-1", base_url="http://127.0.0.1:8000/v1/"),
        **entry(2, type="anthropic", name="a", key_file=str(tmp_path / "key")),
    }
    assert providers(resolve(environ=environ)) == [
        ProviderSettings("openai", "openai", None, OPENAI),
        ProviderSettings("openai", "local-1", None, "http://127.0.0.1:8000/v1"),
        ProviderSettings("anthropic", "a", Secret("sk-file"), ANTHROPIC),
    ]


def test_copilot_has_no_key_and_a_host_a_plan(resolve: Resolve) -> None:
    environ = {
        **entry(0, type="copilot"),
        **entry(1, type="copilot", name="copilot-business", base_url=PLANS[1].base_url),
    }
    assert providers(resolve(environ=environ)) == PLANS[:2]


@pytest.mark.parametrize("group", ["aibridge", "ai_gateway"])
def test_a_list_in_the_file(resolve: Resolve, group: str) -> None:
    yaml = f"{group}:\n  providers:\n    - type: openai\n      name: x\n      key: sk-1\n"
    resolution = resolve(yaml=yaml)
    assert providers(resolution) == [ProviderSettings("openai", "x", Secret("sk-1"), OPENAI)]
    shown = {value.name: value.text for value in resolution.values if "[" in value.name}
    assert shown == {
        "providers[0].type": "openai",
        "providers[0].name": "x",
        "providers[0].key": "****",
    }


def test_the_environment_replaces_the_list_of_the_file(resolve: Resolve) -> None:
    yaml = "aibridge:\n  providers:\n    - type: openai\n      name: file\n      key: sk-1\n"
    environ = entry(0, type="openai", name="variable")
    assert providers(resolve(environ=environ, yaml=yaml)) == [
        ProviderSettings("openai", "variable", None, OPENAI)
    ]


def test_what_was_set_beside_the_list_is_served_too(resolve: Resolve) -> None:
    environ = {**entry(0, type="openai", name="x"), "CODER_AIBRIDGE_ANTHROPIC_KEY": "a"}
    resolution = resolve(environ=environ)
    assert [provider.name for provider in providers(resolution)] == ["x", "anthropic"]
    names = [value.name for value in resolution.values]
    assert "anthropic_key" in names
    assert "openai_base_url" not in names  # nothing is served from it


def test_both_prefixes_mean_the_same(resolve: Resolve) -> None:
    environ = entry(0, type="openai") | entry(0, "CODER_AI_GATEWAY", name="x", type="openai")
    assert [provider.name for provider in providers(resolve(environ=environ))] == ["x"]


MISTAKES = [
    (
        {**entry(0, type="openai"), **entry(2, type="anthropic")},
        "CODER_AIBRIDGE_PROVIDER_2_*",
        "there is no CODER_AIBRIDGE_PROVIDER_1_*",
        "Number the providers from 0, without a gap.",
    ),
    (
        entry(1, type="openai"),
        "CODER_AIBRIDGE_PROVIDER_1_*",
        "there is no CODER_AIBRIDGE_PROVIDER_0_*",
        "Number the providers from 0, without a gap.",
    ),
    (
        entry(0, name="x"),
        "CODER_AIBRIDGE_PROVIDER_0_*",
        "the provider has no type",
        "Add a type: anthropic, openai or copilot.",
    ),
    (
        entry(0, type="opnai"),
        "CODER_AIBRIDGE_PROVIDER_0_TYPE",
        "'opnai' is not a type of provider (anthropic, openai or copilot)",
        "Correct it.",
    ),
    *(
        (
            entry(0, type="openai", name=name),
            "CODER_AIBRIDGE_PROVIDER_0_NAME",
            f"{name!r} is not a name like my-openai (a-z, 0-9, single dashes)",
            "Correct it.",
        )
        for name in ("X", "-x", "x-", "a--b", "a_b", "a/b", "x\n", ".well-known")
    ),
    *(
        (
            entry(0, type="openai", name=name),
            "CODER_AIBRIDGE_PROVIDER_0_NAME",
            f"'{name}' is the name of one of the gateway's own routes",
            "Rename it, and change the base URLs of its clients: they contain the name.",
        )
        for name in ("api", "healthz", "readyz", "v1", "oauth", "device", "managed", "ui")
    ),
    (
        {**entry(0, type="openai", name="x"), **entry(1, type="anthropic", name="x")},
        "CODER_AIBRIDGE_PROVIDER_0_NAME and CODER_AIBRIDGE_PROVIDER_1_NAME",
        "two providers have the name 'x'",
        "Use a unique name for each provider.",
    ),
    (
        {**entry(0, type="openai", key="a", key_file="/b")},
        "CODER_AIBRIDGE_PROVIDER_0_KEY and CODER_AIBRIDGE_PROVIDER_0_KEY_FILE",
        "the key is set twice, once as a file",
        "Remove one of them; CODER_AIBRIDGE_PROVIDER_0_KEY_FILE is the safer one to keep.",
    ),
    (
        entry(0, type="copilot", key="a"),
        "CODER_AIBRIDGE_PROVIDER_0_KEY",
        "a provider of type copilot takes no key: users bring their own (BYOK)",
        "Remove it.",
    ),
    (
        {**entry(0, type="openai"), **entry(0, "CODER_AI_GATEWAY", type="anthropic")},
        "CODER_AIBRIDGE_PROVIDER_0_TYPE and CODER_AI_GATEWAY_PROVIDER_0_TYPE",
        "two names of the same setting, with different values",
        "Remove one of them; CODER_AIBRIDGE_PROVIDER_0_TYPE is enough.",
    ),
    (
        {**entry(0, type="openai"), "CODER_AIBRIDGE_OPENAI_KEY": "sk-1"},
        "CODER_AIBRIDGE_PROVIDER_0_TYPE and CODER_AIBRIDGE_OPENAI_KEY",
        "both configure the provider 'openai'",
        "Remove CODER_AIBRIDGE_OPENAI_KEY, or rename the other.",
    ),
    (
        {
            **entry(0, type="anthropic", name="openai"),
            "CODER_AIBRIDGE_OPENAI_KEY": "sk-1",
            "CODER_AI_GATEWAY_OPENAI_BASE_URL": "http://x",
        },
        "CODER_AIBRIDGE_PROVIDER_0_NAME and CODER_AI_GATEWAY_OPENAI_BASE_URL and "
        "CODER_AIBRIDGE_OPENAI_KEY",
        "both configure the provider 'openai'",
        "Remove CODER_AI_GATEWAY_OPENAI_BASE_URL and CODER_AIBRIDGE_OPENAI_KEY, "
        "or rename the other.",
    ),
]


@pytest.mark.parametrize(("environ", "where", "what", "remedy"), MISTAKES)
def test_mistakes(
    environ: dict[str, str], where: str, what: str, remedy: str, resolve: Resolve
) -> None:
    [mistake] = resolve(environ=environ).mistakes
    assert (mistake.where, mistake.what, mistake.remedy) == (
        where,
        what,
        remedy,
    )


def test_the_apis_own_names_are_no_providers():
    assert roots((*ROUTES, *overview_routes.ROUTES)) - {"openapi.json"} <= RESERVED
