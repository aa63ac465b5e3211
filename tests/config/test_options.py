"""The table as a whole: every row is complete, and its names are its own."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from itertools import groupby
from pathlib import Path

import pytest

from aibridged.config import kinds
from aibridged.config.declare import Group, Option
from aibridged.config.kinds import Address
from aibridged.config.options import OPTIONS, Settings
from aibridged.config.resolution import Resolution

every_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)


@every_option
def test_help_is_one_sentence(option: Option) -> None:
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert not re.search(r"\. [A-Z]", option.help)


@every_option
def test_names_look_like_their_kind(option: Option) -> None:
    assert re.fullmatch(r"--[a-z]+(-[a-z]+)*", option.flag)
    assert re.fullmatch(r"CODER(_[A-Z]+)+", option.env)
    assert option.yaml is None or re.fullmatch(r"[a-zA-Z_]+(\.[a-zA-Z_]+)*", option.yaml)


def test_no_two_settings_share_a_name() -> None:
    names = [
        *(option.name for option in OPTIONS),
        *(name for option in OPTIONS for name in (*option.flags, *option.envs, *option.yamls)),
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_a_secret_has_no_place_in_the_file() -> None:
    assert [option.name for option in OPTIONS if option.secret and option.yaml] == []


def test_settings_of_a_group_stand_together_and_in_its_order() -> None:
    groups = [group for group, _ in groupby(OPTIONS, key=lambda option: option.group)]
    assert groups == list(Group)


def test_the_defaults_are_those_that_operators_are_told() -> None:
    settings = Settings()
    assert settings.enabled
    assert settings.allow_byok
    assert settings.http_address == Address("127.0.0.1", 4001)
    assert settings.anthropic_base_url == "https://api.anthropic.com"
    assert settings.openai_base_url == "https://api.openai.com/v1"
    assert settings.max_request_bytes == 32 * 1024 * 1024
    assert settings.upstream_idle_timeout == 600
    assert (settings.openai_key, settings.dump_dir, settings.providers) == (None, None, ())


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().max_concurrency = 1  # type: ignore[misc]


def test_every_setting_reaches_its_attribute(
    resolve: Callable[..., Resolution],
    samples: Callable[[Option], tuple[str, ...]],
    tls_pair: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    texts = {option.env: samples(option)[0] for option in OPTIONS}
    texts["CODER_TLS_CERT_FILE"], texts["CODER_TLS_KEY_FILE"] = map(str, tls_pair)
    texts["CODER_AIBRIDGE_PROXY_TLS_CERT_FILE"] = str(tls_pair[0])
    texts["CODER_AIBRIDGE_PROXY_TLS_KEY_FILE"] = str(tls_pair[1])
    texts["CODER_AIBRIDGE_PROXY_CERT_FILE"] = str(tls_pair[0].parent / "ca-cert.pem")
    texts["CODER_AIBRIDGE_PROXY_KEY_FILE"] = str(tls_pair[0].parent / "ca-key.pem")
    texts["CODER_AIBRIDGE_PROXY_UPSTREAM"] = "https://u:p@proxy:1"
    texts["CODER_AIBRIDGE_PROXY_UPSTREAM_CA"] = texts["CODER_AIBRIDGE_PROXY_CERT_FILE"]
    texts["CODER_ACCESS_URL"], texts["CODER_OIDC_SCOPES"] = "https://one", "openid,one"
    texts["CODER_AIBRIDGE_DUMP_DIR"] = str(tmp_path)
    resolution = resolve(environ=texts)
    assert resolution.mistakes == []
    for option in OPTIONS:
        value = getattr(resolution.settings, option.name)
        assert value == option.kind.parse(texts[option.env]), option.name


def test_secrets_are_of_the_kind_that_masks() -> None:
    for option in OPTIONS:
        words = option.name.split("_")
        is_url = not {"postgres", "redis"}.isdisjoint(words) or words[-2:] == ["webhook", "url"]
        assert option.secret == (is_url or words[-1] in ("key", "secret"))
        secrets = (kinds.SECRET, kinds.SECRET_URL, kinds.REDIS_URL, kinds.WEBHOOK_URL)
        assert option.secret == (option.kind in secrets)
