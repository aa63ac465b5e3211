"""Variables without an effect that look as if they should have one."""

from collections.abc import Callable

import pytest

from aibridged.config.almost_variables import hints
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]

MEANT = [
    ("AIBRIDGE_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT"),
    ("AIBRIDGED_OPENAI_KEY", "CODER_AIBRIDGE_OPENAI_KEY"),
    ("AIBRIDGED_OPENAI_KEY_FILE", "CODER_AIBRIDGE_OPENAI_KEY_FILE"),
    ("CODER_AI_BRIDGE_OPENAI_KEY", "CODER_AIBRIDGE_OPENAI_KEY"),
    ("CODER_AIBRIDGED_ANTHROPIC_KEY", "CODER_AIBRIDGE_ANTHROPIC_KEY"),
    ("CODER_AIGATEWAY_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT"),
    ("CODER_AI_BRIDGE_PROVIDER_0_KEY", "CODER_AIBRIDGE_PROVIDER_0_KEY"),
    ("AIBRIDGED_HTTP_ADDRESS", "CODER_HTTP_ADDRESS"),
    ("AIBRIDGED_PORT", "CODER_HTTP_ADDRESS"),
    ("AIBRIDGED_STATE_DIR", "CODER_STATE_DIR"),
    ("AIBRIDGE_CONFIG", "CODER_CONFIG_PATH"),
    ("AIBRIDGE_OPENAI_API_KEY", "CODER_AIBRIDGE_OPENAI_KEY"),
    ("CODER_AIBRIGDE_OPENAI_KEY", "CODER_AIBRIDGE_OPENAI_KEY"),
    ("CODR_AIBRIDGE_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT"),
    ("CODER_HTTP_ADRESS", "CODER_HTTP_ADDRESS"),
    ("CODER_POSTGRES_URL", "CODER_PG_CONNECTION_URL"),
    ("CODER_LOG_HUMAN", "CODER_LOGGING_HUMAN"),
    ("CODER_CONFIG_FILE", "CODER_CONFIG_PATH"),
]


@pytest.mark.parametrize(("name", "meant"), MEANT)
def test_the_variable_that_was_meant_is_named(name: str, meant: str, resolve: Resolve) -> None:
    resolution = resolve(environ={name: "canary"})
    assert resolution.mistakes == []
    assert resolution.warnings == [f"{name} has no effect. Did you mean {meant}?"]


def test_a_prefix_that_can_only_be_meant_for_the_gateway() -> None:
    [hint] = hints({"CODER_AI_BRIDGE_ZZZ": "1"})
    assert hint == (
        "CODER_AI_BRIDGE_ZZZ has no effect. Variables of the gateway begin with CODER_AIBRIDGE_."
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AIBRIDGE_TOKEN", "aib_x"),  # of Codex, as the first start shows it
        ("AI_GATEWAY_API_KEY", "x"),
        ("AIBRIDGE_ZZZ", "x"),
        ("AIBRIDGED_SERVICE_HOST", "10.0.0.1"),
        ("AIBRIDGED_PORT", "tcp://10.0.0.1:4001"),
        ("AIBRIDGED_PORT_4001_TCP_ADDR", "10.0.0.1"),
        ("CODER_AI_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("CODER_AI_GATEWAY_PORT_4001_TCP", "tcp://10.0.0.1:4001"),
        ("CODER_SWAGGER_ENABLE", "x"),
        ("CODER_TLS_ADDRESS", "x"),
        ("CODER_TLS_CLIENT_CERT_FILE", "x"),
        ("CODER_PPROF_ADDRESS", "x"),
        ("CODER_API_RATE_LIMIT", "x"),
        ("CODER_SESSION_TOKEN", "x"),
        ("CODER_USER", "x"),
        ("CODER_CONFIG_PATH", ""),
        ("HTTP_ADDRESS", "x"),
    ],
)
def test_other_programs_variables_are_left_alone(name: str, text: str, resolve: Resolve) -> None:
    resolution = resolve(environ={name: text})
    assert (resolution.mistakes, resolution.warnings) == ([], [])


def test_the_keys_of_clients_are_not_the_gateways(resolve: Resolve) -> None:
    environ = {"ANTHROPIC_API_KEY": "canary", "OPENAI_API_KEY": "canary"}
    anthropic, openai = resolve(environ=environ).warnings
    assert anthropic == (
        "ANTHROPIC_API_KEY is set, but is the variable of clients: for the provider anthropic, set "
        "CODER_AIBRIDGE_ANTHROPIC_KEY, or CODER_AIBRIDGE_ANTHROPIC_KEY_FILE to a file with the key."
    )
    assert openai.startswith("OPENAI_API_KEY is set")
    own = {"CODER_AIBRIDGE_ANTHROPIC_KEY": "sk-1", "CODER_AIBRIDGE_OPENAI_KEY": "sk-2"}
    assert resolve(environ={**environ, **own}).warnings == []
    listed = {"CODER_AIBRIDGE_PROVIDER_0_TYPE": "openai", "CODER_AIBRIDGE_PROVIDER_0_NAME": "local"}
    assert resolve(environ={**environ, **listed}).warnings == []
