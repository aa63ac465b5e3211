"""Which policies there are, and what is wrong with those that can't be read."""

import json
from collections.abc import Callable

import pytest

from aibridged.config.options import PolicySettings
from aibridged.config.policies import MAX_CLAUDE_CODE
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]

ALL = """
aibridge:
  mcp_servers:
    - {id: tickets, url: "https://mcp.example.com/mcp"}
  policies:
    - groups: [contractors, "a, b"]
      models: [claude-haiku-*, gpt-5.4-nano]
      providers: [anthropic, openai]
      allow_byok: false
      rate_limit: 2
      max_concurrency: 4
      mcp_servers: [tickets]
      claude_code:
        permissions: {deny: ["Read(.env)"]}
        env: {B: "1", A: "${HOME}"}
        cleanupPeriodDays: 20.0
        enforceAvailableModels: true
    - models: ["*"]
"""


def policies(resolution: Resolution) -> tuple[PolicySettings, ...]:
    assert resolution.mistakes == []
    assert resolution.settings is not None
    return resolution.settings.policies


def of_file(resolve: Resolve, *lines: str) -> Resolution:
    return resolve(yaml="\n".join(["aibridge:", "  policies:", *(f"    {line}" for line in lines)]))


def mistakes(resolution: Resolution) -> list[tuple[str, str, str]]:
    return [(each.where.rpartition("/")[2], each.what, each.remedy) for each in resolution.mistakes]


def test_without_a_word_there_are_none(resolve: Resolve) -> None:
    assert policies(resolve()) == ()


def test_all_that_the_file_can_say(resolve: Resolve) -> None:
    managed = (
        '{"cleanupPeriodDays":20,"enforceAvailableModels":true,"env":{"A":"${HOME}","B":"1"},'
        '"permissions":{"deny":["Read(.env)"]}}'
    )
    assert policies(resolve(yaml=ALL)) == (
        PolicySettings(
            ("contractors", "a, b"),
            ("claude-haiku-*", "gpt-5.4-nano"),
            ("anthropic", "openai"),
            allow_byok=False,
            rate_limit=2,
            max_concurrency=4,
            mcp_servers=("tickets",),
            claude_code=managed,
        ),
        PolicySettings(models=("*",)),
    )


def test_the_same_in_variables(resolve: Resolve) -> None:
    environ = {
        "CODER_AIBRIDGE_POLICY_0_GROUPS": "contractors",
        "CODER_AIBRIDGE_POLICY_0_MODELS": "claude-*,gpt-5",
        "CODER_AIBRIDGE_POLICY_0_CLAUDE_CODE": '{"b": 1, "a": {"d": 2, "c": 3}}',
        "CODER_AI_GATEWAY_POLICY_1_ALLOW_BYOK": "false",
    }
    assert policies(resolve(environ=environ)) == (
        PolicySettings(
            ("contractors",), ("claude-*", "gpt-5"), claude_code='{"a":{"c":3,"d":2},"b":1}'
        ),
        PolicySettings(allow_byok=False),
    )


@pytest.mark.parametrize("field", ["models", "providers", "mcp_servers"])
def test_an_empty_list_grants_nothing_and_is_not_a_field_that_is_left_out(
    resolve: Resolve, field: str
) -> None:
    [policy] = policies(of_file(resolve, f"- {field}: []"))
    assert policy == PolicySettings(**{field: ()})


@pytest.mark.parametrize("line", ["models:", "models: ''", "models: null", "claude_code:"])
def test_a_field_without_a_value_is_a_mistake_as_it_would_restrict_nothing(
    resolve: Resolve, line: str
) -> None:
    field = line.partition(":")[0]
    [(where, what, remedy)] = mistakes(of_file(resolve, "- groups: [a]", f"  {line}"))
    assert where == f"settings.yaml:4 aibridge.policies[0].{field}"
    assert what == "there is no value, which would restrict nothing"
    assert remedy == "Give it a value, or remove it."


def test_an_empty_variable_is_one_too(resolve: Resolve) -> None:
    environ = {
        "CODER_AIBRIDGE_POLICY_0_GROUPS": "contractors",
        "CODER_AIBRIDGE_POLICY_0_MODELS": "",
    }
    [(where, what, _)] = mistakes(resolve(environ=environ))
    assert where == "CODER_AIBRIDGE_POLICY_0_MODELS"
    assert what.startswith("there is no value")


@pytest.mark.parametrize(
    ("line", "field", "what"),
    [
        ("- rate_limit: 0", "rate_limit", "0 is less than 1"),
        ("- rate_limit: fast", "rate_limit", "'fast' is not an integer"),
        ("- max_concurrency: -1", "max_concurrency", "-1 is less than 1"),
        (
            "- allow_byok: maybe",
            "allow_byok",
            "'maybe' is neither true nor false (true, t, 1, false, f or 0)",
        ),
        ("- groups: []", "groups", "is empty, so that the policy would fit nobody"),
        ("- models: {a: b}", "models", "this is not a value"),
        ("- models: [[a]]", "models", "this is not a value"),
        ("- providers: [bedrock]", "providers", "there is no provider 'bedrock'"),
        ("- mcp_servers: [docs]", "mcp_servers", "there is no mcp server 'docs'"),
        (
            "- claude_code: fast",
            "claude_code",
            "is not a mapping: in a variable, it is a JSON object",
        ),
        ("- claude_code: [1]", "claude_code", "is not a mapping"),
        ("- claude_code: {a: {b: 1, b: 2}}", "claude_code", "the key b is on line 3 too"),
        ("- claude_code: {a: .nan}", "claude_code", "contains NaN, which JSON doesn't have"),
        ("- model: [a]", "model", "unknown setting"),
    ],
)
def test_what_can_not_be_read_is_told_with_its_place(
    resolve: Resolve, line: str, field: str, what: str
) -> None:
    [(where, told, remedy)] = mistakes(of_file(resolve, line))
    assert (where, told) == (f"settings.yaml:3 aibridge.policies[0].{field}", what)
    assert remedy


def test_managed_settings_are_bounded(resolve: Resolve) -> None:
    text = json.dumps({"a": "x" * MAX_CLAUDE_CODE})
    [(_, what, _)] = mistakes(resolve(environ={"CODER_AIBRIDGE_POLICY_0_CLAUDE_CODE": text}))
    assert what == "is larger than 256 KiB"
    deep = "[" * 100_000 + "]" * 100_000
    [(_, what, _)] = mistakes(resolve(environ={"CODER_AIBRIDGE_POLICY_0_CLAUDE_CODE": deep}))
    assert what == "is nested too deeply"


def test_a_policy_behind_one_for_everybody_never_counts(resolve: Resolve) -> None:
    [(where, what, remedy)] = mistakes(of_file(resolve, "- models: [a]", "- groups: [staff]"))
    assert where == "settings.yaml:4 aibridge.policies[1]"
    assert what.startswith("this policy never counts: the one at ")
    assert what.endswith("settings.yaml:3 aibridge.policies[0] has no groups, and fits everybody")
    assert remedy == "Move the one without groups to the end."


def test_nor_does_one_whose_groups_earlier_ones_have(resolve: Resolve) -> None:
    [(where, what, _)] = mistakes(
        of_file(resolve, "- groups: [a]", "- groups: [b, c]", "- groups: [c, a]")
    )
    assert where == "settings.yaml:5 aibridge.policies[2]"
    assert what == "this policy never counts: earlier ones have all of its groups"


def test_check_config_shows_which_managed_settings_there_are_and_not_their_values(
    resolve: Resolve,
) -> None:
    lines = ["- claude_code: {env: {TOKEN: s3cret}, enforceAvailableModels: true}"]
    shown = {value.name: value.text for value in of_file(resolve, *lines).values}
    assert shown["policies[0].claude_code"] == "{enforceAvailableModels, env}"


@pytest.mark.parametrize(
    ("lines", "is_warned"),
    [
        (["- models: [claude-haiku-*]"], False),
        (["- models: [claude-haiku-*]", "  claude_code: {}"], True),
        (["- models: [claude-haiku-*]", "  claude_code: {enforceAvailableModels: true}"], False),
        (["- models: [claude-haiku-*]", "  claude_code: {model: haiku}"], False),
        (["- models: [claude-*]", "  claude_code: {}"], False),
        (["- models: [claude-*]", "  claude_code: {availableModels: [haiku]}"], True),
        (["- models: [claude-*]", "  claude_code: {availableModels: [opus, sonnet]}"], False),
        (["- claude_code: {}"], False),
    ],
)
def test_a_claude_code_policy_that_leaves_out_the_default_model_is_warned_of(
    resolve: Resolve, lines: list[str], is_warned: bool
) -> None:
    resolution = of_file(resolve, *lines)
    assert resolution.mistakes == []
    assert any("enforceAvailableModels" in each for each in resolution.warnings) is is_warned


@pytest.mark.parametrize(
    ("granted", "model", "is_warned"),
    [
        ("claude-haiku-*", "opus", True),
        ("claude-haiku-*", "'sonnet[1m]'", True),
        ("claude-haiku-*", "claude-opus-4-8", True),
        ("claude-haiku-*", "haiku", False),
        ("claude-haiku-*", "claude-haiku-4-5", False),
        ("claude-opus-4-1", "opus", False),
        ("'*'", "'opus[1m]'", False),
        ("claude-haiku-*", "a-name-of-ones-own", False),
        ("claude-haiku-*", "7", False),
    ],
)
def test_a_model_of_claude_code_that_is_not_granted_is_warned_of(
    resolve: Resolve, granted: str, model: str, is_warned: bool
) -> None:
    resolution = of_file(resolve, f"- models: [{granted}]", f"  claude_code: {{model: {model}}}")
    assert resolution.mistakes == []
    assert any("which it does not grant" in each for each in resolution.warnings) is is_warned


@pytest.mark.parametrize("auth", ["token", "none", "coder"])
def test_groups_without_an_identity_backend_that_has_them_are_warned_of(
    resolve: Resolve, auth: str
) -> None:
    environ = {
        "CODER_AIBRIDGE_POLICY_0_GROUPS": "staff",
        "CODER_AIBRIDGE_AUTH": auth,
        "CODER_URL": "https://coder.example.com",
    }
    warned = [each for each in resolve(environ=environ).warnings if "groups fit nobody" in each]
    assert len(warned) == (auth != "token")
