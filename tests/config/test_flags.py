"""The flags of all settings, as commands read them."""

import pytest

from aibridged.config.flags import plain, spelled_out


def test_only_whole_arguments_before_the_double_dash_are_spelled_out() -> None:
    args = ["--verbose", "--verbose=f", "--no-verbose", "--verbosely", "--no-http-address"]
    assert list(spelled_out([*args, "--", "--verbose"])) == [
        "--verbose=true",
        "--verbose=f",
        "--verbose=false",
        "--verbosely",
        "--no-http-address",
        "--",
        "--verbose",
    ]


@pytest.mark.parametrize(
    ("args", "flags"),
    [
        ("", {}),
        ("--aibridge-rate-limit=5", {"--aibridge-rate-limit": "5"}),
        ("--aibridge-rate-limit 5", {"--aibridge-rate-limit": "5"}),
        ("--ai-gateway-rate-limit=", {"--ai-gateway-rate-limit": ""}),
        ("--config=a=b.yaml", {"--config": "a=b.yaml"}),
        ("--verbose --state-dir /x", {"--verbose": "true", "--state-dir": "/x"}),
        ("--no-verbose", {"--verbose": "false"}),
        ("--log-filter=a,b --log-filter c", {"--log-filter": "a,b,c"}),
    ],
)
def test_names_and_values_are_plain(args: str, flags: dict[str, str]) -> None:
    assert plain(args.split()) == flags


@pytest.mark.parametrize(
    "args",
    [
        "--help",
        "-h",
        "-c x.yaml",
        "x",
        "--",
        "--unknown=1",
        "--aibridge-rate=5",
        "--aibridge-rate-limit",
        "--aibridge-rate-limit -1",
        "--aibridge-rate-limit --verbose",
        "--aibridge-rate-limit=1 --aibridge-rate-limit=2",
        "--config=a --config=b",
        "--state-dir /x y",
    ],
)
def test_all_else_is_not(args: str) -> None:
    assert plain(args.split()) is None
