"""Every flag of the table, through the real parser."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.cli.settings_flags import SettingsCommand, takes_settings
from aibridged.config import kinds
from aibridged.config.flags import plain
from aibridged.config.options import OPTIONS

FLAGS = [(option, flag) for option in OPTIONS for flag in option.flags]
BOOLEANS = [(option, flag) for option, flag in FLAGS if option.kind is kinds.BOOL]
Check = Callable[..., Mapping[str, Any]]


def flag_ids(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.fixture(scope="module")
def check() -> Check:
    """What `check-config` says of one setting, with these arguments."""
    app = build(["check-config"])
    runner = CliRunner()

    def check(name: str, *args: str) -> Mapping[str, Any]:
        result = runner.invoke(app, ["check-config", "--output", "json", *args])
        assert result.exit_code in (0, 1), result.output
        settings = json.loads(result.stdout)["settings"]
        found: Mapping[str, Any] = next(row for row in settings if row["name"] == name)
        return found

    return check


@pytest.mark.parametrize(("option", "flag"), FLAGS, ids=flag_ids)
def test_a_flag_takes_its_value_in_both_ways(option: Any, flag: str, check: Check) -> None:
    value = option.kind.show(option.kind.parse(option.default))
    one_argument = check(option.name, f"{flag}={option.default}")
    assert one_argument["source"] == {"kind": "flag", "name": flag}
    parsed = option.kind.parse(option.default)
    shown = (value, value or None, list(parsed) if option.kind.many else parsed)
    assert one_argument["value"] in shown
    if option.kind is not kinds.BOOL:
        assert check(option.name, flag, option.default) == one_argument


@pytest.mark.parametrize(("option", "flag"), BOOLEANS, ids=flag_ids)
def test_a_boolean_flag_needs_no_value(option: Any, flag: str, check: Check) -> None:
    for arg, value in ((flag, True), (flag.replace("--", "--no-", 1), False)):
        row = check(option.name, arg)
        assert (row["value"], row["source"]["name"]) == (value, flag)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("t", True), ("1", True), ("F", False), ("0", False)]
)
def test_a_boolean_flag_takes_gos_spellings(text: str, value: bool, check: Check) -> None:
    assert check("verbose", f"--verbose={text}")["value"] is value


def test_the_last_of_several_flags_counts(check: Check) -> None:
    row = check("rate_limit", "--aibridge-rate-limit=1", "--aibridge-rate-limit=2")
    assert row["value"] == 2
    assert check("verbose", "--verbose", "--no-verbose")["value"] is False


def test_a_list_flag_may_be_repeated(check: Check) -> None:
    row = check("log_filter", "--log-filter=a,b", "--log-filter", '"c{1,2}"')
    assert row["value"] == ["a", "b", "c{1,2}"]


def test_a_value_that_does_not_parse_is_a_mistake_and_not_wrong_usage(check: Check) -> None:
    assert check("rate_limit", "--aibridge-rate-limit", "lots")["value"] is None
    assert check("verbose", "--verbose=maybe")["value"] is None


def test_completion_offers_each_setting_once() -> None:
    serve = get_command(build()).commands["serve"]  # type: ignore[attr-defined]
    offered = {flag for param in serve.params if not param.hidden for flag in param.opts}
    assert offered & {flag for _, flag in FLAGS} == {option.flag for option in OPTIONS}


@pytest.mark.parametrize(
    "args",
    [
        "",
        "--config=a=b.yaml --verbose",
        "--no-verbose --state-dir /x",
        "--aibridge-rate-limit=",
        "--ai-gateway-rate-limit 5 --aibridge-rate-limit=6",
        "--log-filter=a,b --log-filter c",
        "--log-filter=",
    ],
)
def test_what_is_plain_is_read_as_typer_does(args: str) -> None:
    seen: list[Mapping[str, str]] = []
    app = typer.Typer()

    def command(flags: Mapping[str, str]) -> None:
        seen.append(flags)

    app.command(cls=SettingsCommand)(takes_settings(command))
    result = CliRunner().invoke(app, args.split())
    assert result.exit_code == 0, result.output
    assert seen == [plain(args.split())]
