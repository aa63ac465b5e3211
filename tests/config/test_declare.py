"""What one declaration gives: names, aliases, default."""

from dataclasses import dataclass, fields

from aibridged.config import kinds
from aibridged.config.declare import Group, Option, option


def declared(
    flag: str, yaml: str | None, env: str | None = None, alias_env: str | None = None
) -> Option:
    @dataclass
    class Table:
        setting: float = option(
            flag,
            yaml=yaml,
            kind=kinds.DURATION,
            default="1m",
            group=Group.LIMITS,
            help="Something.",
            env=env,
            alias_env=alias_env,
        )

    assert Table().setting == 60.0
    row: Option = fields(Table)[0].metadata["option"]
    return row


def test_the_flag_makes_the_variable() -> None:
    assert declared("http-read-timeout", None).env == "CODER_HTTP_READ_TIMEOUT"
    assert declared("log-human", None, env="CODER_LOGGING_HUMAN").env == "CODER_LOGGING_HUMAN"


def test_the_features_newer_name_is_an_alias_everywhere() -> None:
    row = declared("aibridge-rate-limit", "aibridge.rate_limit")
    assert row.flags == ("--aibridge-rate-limit", "--ai-gateway-rate-limit")
    assert row.envs == ("CODER_AIBRIDGE_RATE_LIMIT", "CODER_AI_GATEWAY_RATE_LIMIT")
    assert row.yamls == ("aibridge.rate_limit", "ai_gateway.rate_limit")


def test_other_settings_have_one_name() -> None:
    row = declared("shutdown-timeout", "networking.http.shutdownTimeout")
    assert (row.flags, row.envs) == (("--shutdown-timeout",), ("CODER_SHUTDOWN_TIMEOUT",))
    assert row.yamls == ("networking.http.shutdownTimeout",)
    assert declared("aibridge-x-key", None).yamls == ()


def test_coders_standalone_gateway_has_variables_of_its_own() -> None:
    row = declared("verbose", None, alias_env="CODER_AI_GATEWAY_VERBOSE")
    assert row.envs == ("CODER_VERBOSE", "CODER_AI_GATEWAY_VERBOSE")
