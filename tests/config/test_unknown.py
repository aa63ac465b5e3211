"""Unknown names are reported with the nearest known one."""

from collections.abc import Callable

import pytest

from aibridged.config import unknown
from aibridged.config.almost_variables import known_variables
from aibridged.config.options import OPTIONS
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]

NEAREST = [
    ("CODER_AIBRIDGE_MAX_CONCURENCY", "CODER_AIBRIDGE_MAX_CONCURRENCY"),
    ("CODER_AIBRIDGE_STATE_DIR", "CODER_STATE_DIR"),
    ("CODER_AIBRIDGE_POSTGRES_URL", "CODER_PG_CONNECTION_URL"),
    ("CODER_AIBRIDGE_PORT", "CODER_HTTP_ADDRESS"),
    ("CODER_AI_GATEWAY_RATELIMIT", "CODER_AI_GATEWAY_RATE_LIMIT"),
    ("CODER_AIBRIDGE_OPENAI_KEYFILE", "CODER_AIBRIDGE_OPENAI_KEY_FILE"),
    ("CODER_AIBRIDGE_PROVIDER_3_BASEURL", "CODER_AIBRIDGE_PROVIDER_3_BASE_URL"),
    ("CODER_AI_GATEWAY_PROVIDER_0_KIND", "CODER_AI_GATEWAY_PROVIDER_0_KEY"),
    ("CODER_AIBRIDGE_PROVIDER_X_TYPE", "CODER_AIBRIDGE_PROVIDER_0_TYPE"),
    ("CODER_AIBRIDGE_MCP_SERVER_2_TOOL_ALLOW", "CODER_AIBRIDGE_MCP_SERVER_2_TOOL_ALLOW_REGEX"),
]


@pytest.mark.parametrize(("name", "nearest"), NEAREST)
def test_the_nearest_variable_is_named(name: str, nearest: str, resolve: Resolve) -> None:
    [mistake] = resolve(environ={name: "canary"}).mistakes
    assert (mistake.where, mistake.what) == (name, "unknown variable")
    assert mistake.remedy == f"Did you mean {nearest}?"


def test_a_name_that_is_near_to_nothing(resolve: Resolve) -> None:
    [mistake] = resolve(environ={"CODER_AIBRIDGE_" + "Z" * 80: "1"}).mistakes
    assert mistake.remedy == "Remove it; `aibridged serve --help` lists all."


@pytest.mark.parametrize(
    "suffix",
    [
        "BEDROCK_REGION",
        "BEDROCK_ACCESS_KEY_SECRET",
        "PROVIDER_0_BEDROCK_REGION",
        "PROXY_DUMP_DIR",
        "KEY",
        "KEY_FILE",
        "ACTOR_HEADER_ID",
    ],
)
@pytest.mark.parametrize("prefix", ["CODER_AIBRIDGE_", "CODER_AI_GATEWAY_"])
def test_what_only_coder_server_has_is_said_to_be_so(
    prefix: str, suffix: str, resolve: Resolve
) -> None:
    [mistake] = resolve(environ={prefix + suffix: "1"}).mistakes
    assert mistake.what == "not supported by aibridged"


def test_nothing_that_is_declared_is_called_unsupported() -> None:
    everything = dict.fromkeys(known_variables(), "1")
    assert list(unknown.unknown_variables(everything)) == []
    for option in OPTIONS:
        for key in option.yamls:
            assert unknown.unknown_key("", key, []).what != "not supported by aibridged"
        suffix = option.env.removeprefix("CODER_AIBRIDGE_")
        [mistake] = unknown.unknown_variables({f"CODER_AIBRIDGE_{suffix}_": "1"})
        assert mistake.what != "not supported by aibridged"


def test_other_programs_variables_are_left_alone(resolve: Resolve) -> None:
    environ = {"CODER_SWAGGER_ENABLE": "x", "CODER_AIBRIDGE": "x", "AIBRIDGE_X": "x"}
    assert resolve(environ={**environ, "CODER_AIBRIDGE_EMPTY": ""}).mistakes == []


@pytest.mark.parametrize(
    ("yaml", "key", "remedy"),
    [
        ("aibridge:\n  max_concurency: 1\n", "aibridge.max_concurency", "aibridge.max_concurrency"),
        ("httpAddress: x\n", "httpAddress", "networking.http.httpAddress"),
        ("providers: []\n", "providers", "aibridge.providers"),
        ("networkin: {}\n", "networkin", "networking"),
        (
            "networking: {http: {http_address: x}}\n",
            "networking.http.http_address",
            "networking.http.httpAddress",
        ),
        ("aibridge:\n  rate-limit: 1\n", "aibridge.rate-limit", "aibridge.rate_limit"),
        ("CODER_AIBRIDGE_RATE_LIMIT: 1\n", "CODER_AIBRIDGE_RATE_LIMIT", "aibridge.rate_limit"),
        ("aibridge-rate-limit: 1\n", "aibridge-rate-limit", "aibridge.rate_limit"),
        ("state_dir: x\n", "state_dir", "aibridge.state_dir"),
        (
            "aibridge: {providers: [{type: openai, url: https://x}]}\n",
            "aibridge.providers[0].url",
            "aibridge.providers[0].base_url",
        ),
        (
            "aibridge: {providers: [{type: openai, api_key: canary}]}\n",
            "aibridge.providers[0].api_key",
            "aibridge.providers[0].key",
        ),
        (
            "aibridge: {mcp_servers: [{id: a, url: https://x, endpoint: b}]}\n",
            "aibridge.mcp_servers[0].endpoint",
            "aibridge.mcp_servers[0].url",
        ),
        (
            "aibridge:\n  providers:\n  - nam: x\n    type: openai\n",
            "aibridge.providers[0].nam",
            "aibridge.providers[0].name",
        ),
    ],
)
def test_the_nearest_key_is_named(yaml: str, key: str, remedy: str, resolve: Resolve) -> None:
    [mistake] = resolve(yaml=yaml).mistakes
    assert mistake.where.endswith(f" {key}")
    assert mistake.what == "unknown setting"
    assert mistake.remedy == f"Did you mean {remedy}?"


@pytest.mark.parametrize(
    ("yaml", "remedy"),
    [
        (
            "aibridge:\n  providers: [{type: openai}]\n  name: x\n",
            "It belongs to an entry of aibri",
        ),
        ("aibridge:\n  <<: {rate_limit: 1}\n", "Write the settings out."),
        ("aibridge:\n  \u00a0rate_limit: 1\n", "Type the name again"),
        (
            "aibridge: {mcp_servers: [{id: a, url: https://x, command: npx}]}\n",
            "MCP servers are asked over HTTP",
        ),
    ],
)
def test_what_else_a_key_can_be(yaml: str, remedy: str, resolve: Resolve) -> None:
    [mistake] = resolve(yaml=yaml).mistakes
    assert mistake.remedy.startswith(remedy)


@pytest.mark.parametrize("key", ["openai_key", "openai_api_key", "OPENAI_API_KEY", "openaiKey"])
def test_a_key_in_the_file_is_sent_to_its_variable(key: str, resolve: Resolve) -> None:
    [mistake] = resolve(yaml=f"aibridge:\n  {key}: canary\n").mistakes
    assert mistake.what == "keys are not allowed in this file"
    assert "CODER_AIBRIDGE_OPENAI_KEY_FILE" in mistake.remedy
    assert "canary" not in str(mistake)


@pytest.mark.parametrize(
    "yaml",
    ["aibridge:\n  inject_coder_mcp_tools: true\n", "aibridgeproxy: {domain_allowlist: b}\n"],
)
def test_keys_that_only_coder_server_has(yaml: str, resolve: Resolve) -> None:
    [mistake] = resolve(yaml=yaml).mistakes
    assert mistake.what == "not supported by aibridged"
