"""Precedence, for every row of the table: flag, environment, file, default."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config import load
from aibridged.config.declare import Option
from aibridged.config.options import OPTIONS
from aibridged.config.resolution import Resolution, Source, Value

Resolve = Callable[..., Resolution]
Samples = Callable[[Option], tuple[str, str, str, str]]

every_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
in_the_file = pytest.mark.parametrize(
    "option", [option for option in OPTIONS if option.yaml], ids=lambda option: option.name
)


def value_of(option: Option, resolution: Resolution) -> Value:
    return next(value for value in resolution.values if value.name == option.name)


def as_yaml(key: str, text: str) -> str:
    """A file with one setting, whose key is on the last line."""
    *groups, last = key.split(".")
    lines = [f"{'  ' * depth}{group}:" for depth, group in enumerate(groups)]
    return "\n".join([*lines, f"{'  ' * len(groups)}{last}: '{text}'"])


def shown(option: Option, text: str) -> str:
    return option.kind.show(option.kind.parse(text))


@every_option
def test_precedence(option: Option, resolve: Resolve, samples: Samples, tmp_path: Path) -> None:
    on_flag, in_variable, in_file, _ = samples(option)
    file = as_yaml(option.yaml, in_file) if option.yaml else ""
    line = len(file.splitlines())

    value = value_of(option, resolve({option.flag: on_flag}, {option.env: in_variable}, file))
    assert (value.text, value.source) == (shown(option, on_flag), Source("flag", option.flag))

    value = value_of(option, resolve({}, {option.env: in_variable}, file))
    assert value.text == shown(option, in_variable)
    assert value.source == Source("environment", option.env)

    if option.yaml:
        value = value_of(option, resolve({}, {}, file))
        where = f"{tmp_path / 'settings.yaml'}:{line}"
        assert (value.text, value.source) == (shown(option, in_file), Source("file", where))

    value = value_of(option, resolve())
    assert (value.text, value.source) == (shown(option, option.default), Source("default"))


@every_option
def test_every_flag_and_variable_is_known(
    option: Option, resolve: Resolve, samples: Samples
) -> None:
    first, second, *_ = samples(option)
    for flag in option.flags:
        value = value_of(option, resolve({flag: first}))
        assert (value.text, value.source) == (shown(option, first), Source("flag", flag))
    for variable in option.envs:
        value = value_of(option, resolve(environ={variable: second}))
        assert value.source == Source("environment", variable)
        assert value.text == shown(option, second)


@in_the_file
def test_every_key_is_known(option: Option, resolve: Resolve, samples: Samples) -> None:
    for key in option.yamls:
        resolution = resolve(yaml=as_yaml(key, samples(option)[2]))
        value = value_of(option, resolution)
        assert (value.text, value.source.kind) == (shown(option, samples(option)[2]), "file")
        assert not [mistake for mistake in resolution.mistakes if "no such" in mistake.what]


@every_option
def test_an_empty_variable_is_unset(option: Option, resolve: Resolve, samples: Samples) -> None:
    assert value_of(option, resolve(environ={option.env: ""})).source.kind == "default"


@every_option
def test_both_names_with_different_values_are_a_mistake(
    option: Option, resolve: Resolve, samples: Samples
) -> None:
    first, second, *_ = samples(option)
    for names, build in (
        (option.flags, lambda pair: resolve(flags=pair)),
        (option.envs, lambda pair: resolve(environ=pair)),
    ):
        if len(names) == 1:
            continue
        found = build(dict(zip(names, (first, second), strict=True))).mistakes
        assert [each.where for each in found if "two names" in each.what] == [" and ".join(names)]
        found = build(dict.fromkeys(names, first)).mistakes
        assert not [each for each in found if "two names" in each.what]


def test_both_names_in_the_file_are_a_mistake(resolve: Resolve, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    [mistake] = resolve(yaml="aibridge:\n  rate_limit: 1\nai_gateway:\n  rate_limit: 2\n").mistakes
    assert mistake.where == f"{file}:2 aibridge.rate_limit and {file}:4 ai_gateway.rate_limit"


def test_two_spellings_of_one_value_agree(resolve: Resolve) -> None:
    names = ("CODER_AIBRIDGE_UPSTREAM_IDLE_TIMEOUT", "CODER_AI_GATEWAY_UPSTREAM_IDLE_TIMEOUT")
    assert resolve(environ=dict(zip(names, ("60s", "1m"), strict=True))).mistakes == []


def test_two_names_at_two_places_follow_the_precedence(resolve: Resolve) -> None:
    resolution = resolve({"--ai-gateway-rate-limit": "1"}, {"CODER_AIBRIDGE_RATE_LIMIT": "2"})
    assert resolution.settings is not None
    assert resolution.settings.rate_limit == 1


def test_what_is_outranked_is_not_read(resolve: Resolve) -> None:
    resolution = resolve({"--aibridge-rate-limit": "1"}, {"CODER_AIBRIDGE_RATE_LIMIT": "lots"})
    assert resolution.mistakes == []


@pytest.mark.parametrize(
    ("yaml", "addresses"), [("[X-One, X-Two]", 2), ('"X-One, X-Two"', 2), ("X-One", 1), ("[]", 0)]
)
def test_a_list_in_the_file(resolve: Resolve, yaml: str, addresses: int) -> None:
    resolution = resolve(yaml=f"networking:\n  proxyTrustedHeaders: {yaml}\n")
    assert resolution.settings is not None
    assert len(resolution.settings.proxy_trusted_headers) == addresses


def test_an_empty_value_in_the_file_turns_a_log_off(resolve: Resolve) -> None:
    off = resolve(yaml='introspection:\n  logging:\n    humanPath: ""\n')
    left_open = resolve(yaml="introspection:\n  logging:\n    humanPath:\n")
    assert off.settings is not None
    assert off.settings.log_human == ""
    assert left_open.settings is not None
    assert left_open.settings.log_human == "/dev/stderr"


def test_all_mistakes_are_reported_at_once(resolve: Resolve) -> None:
    resolution = resolve(
        {"--shutdown-timeout": "soon"},
        {
            "CODER_AIBRIDGE_AUTH": "none",
            "CODER_AIBRIDGE_RATE_LIMIT": "lots",
            "CODER_AIBRIDGE_RATE_LIMITS": "1",
        },
        "aibridge:\n  max_concurrency: -1\n  nonsense: 1\nnetworking:\n  http:\n"
        "    httpAddress: 0.0.0.0:1\n",
    )
    assert resolution.settings is None
    whats = [(mistake.where.rpartition("/")[2], mistake.what) for mistake in resolution.mistakes]
    assert whats == [
        ("settings.yaml:3 aibridge.nonsense", "unknown setting"),
        ("settings.yaml:2 aibridge.max_concurrency", "-1 is less than 0"),
        ("CODER_AIBRIDGE_RATE_LIMIT", "'lots' is not an integer"),
        ("--shutdown-timeout", "'soon' is not a duration like 10s, 1m30s, 60d or 0"),
        ("CODER_AIBRIDGE_RATE_LIMITS", "unknown variable"),
        (
            "settings.yaml:6 networking.http.httpAddress",
            "0.0.0.0:1 is reachable from other machines, and authentication is disabled",
        ),
    ]
    assert all(mistake.remedy for mistake in resolution.mistakes)


def test_the_flag_names_the_file_before_the_variable(tmp_path: Path, resolve: Resolve) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("aibridge:\n  rate_limit: 7\n")
    resolution = resolve({"--config": str(other)}, {}, "aibridge:\n  rate_limit: 8\n")
    assert resolution.settings is not None
    assert resolution.settings.rate_limit == 7


@pytest.mark.parametrize(
    ("name", "suffix", "text"),
    [
        ("http_address", "HTTP_ADDRESS", "0.0.0.0:4001"),
        ("tls_cert_file", "TLS_CERT_FILE", "/cert.pem"),
        ("tls_key_file", "TLS_KEY_FILE", "/key.pem"),
        ("verbose", "VERBOSE", "true"),
    ],
)
def test_variables_of_coders_standalone_gateway(name, suffix, text, resolve):
    variable, usual = f"CODER_AI_GATEWAY_{suffix}", f"CODER_{suffix}"
    found = {value.name: value for value in resolve(environ={variable: text}).values}
    assert (found[name].text, found[name].source.name) == (text, variable)
    [mistake] = [
        each
        for each in resolve(environ={variable: text, usual: "false"}).mistakes
        if "two names" in each.what
    ]
    assert mistake.where == f"{usual} and {variable}"


def test_with_only_some_settings_the_others_may_be_wrong(tmp_path: Path) -> None:
    environ = {
        "CODER_AIBRIDGE_ANTHROPIC_KEY_FILE": str(tmp_path / "missing"),
        "CODER_AIBRIDGE_RATE_LIMIT": "many",
        "CODER_AIBRIDGE_PROVIDER_0_TYPE": "unheard-of",
        "CODER_STATE_DIR": str(tmp_path),
    }
    assert load.resolve({}, environ).settings is None
    settings = load.resolve({}, environ, ("state_dir",)).settings
    assert settings is not None
    assert settings.state_dir == tmp_path
    wrong = load.resolve({}, environ, ("rate_limit",))
    assert [mistake.where for mistake in wrong.mistakes] == ["CODER_AIBRIDGE_RATE_LIMIT"]
    misspelt = load.resolve({}, {**environ, "CODER_AIBRIDGE_STATE_DRI": "x"}, ("state_dir",))
    assert [mistake.where for mistake in misspelt.mistakes] == ["CODER_AIBRIDGE_STATE_DRI"]
