"""Wrong usage of a command: what is wrong, and what to write instead, in two lines."""

import pytest
from typer.testing import CliRunner

from aibridged.cli import build

KEY = "sk-ant-0123456789abcdefghijklmnopqrstuvwxyz"

WRONG = [
    ("serv", "aibridged: there is no command serv.", "Did you mean `aibridged serve`?"),
    ("start", "aibridged: there is no command start.", "Did you mean `aibridged serve`?"),
    ("help", "aibridged: there is no command help.", "Run `aibridged --help`"),
    ("users add bob", "aibridged users: there is no command add.", "`aibridged users create`?"),
    ("tokens rm 1", "aibridged tokens: there is no command rm.", "`aibridged tokens revoke`?"),
    ("users zzz", "aibridged users: there is no command zzz.", "`aibridged users --help` lists"),
    ("serve --http-adress :1", "there is no option --http-adress.", "Did you mean --http-address?"),
    ("serve --http_address :1", "there is no option --http_address.", "mean --http-address?"),
    ("--config x serve", "aibridged: there is no option --config.", "Options follow the command"),
    ("version --zzz", "there is no option --zzz.", "`aibridged version --help` lists all options."),
    ("serve --log-level debug", "there is no option --log-level.", "Did you mean --verbose?"),
    ("serve --port 1", "there is no option --port.", "Did you mean --http-address?"),
    ("serve --verbose false", "--verbose takes its value after an", "Write --verbose=false."),
    ("users create", "users create: USERNAME is missing.", "`aibridged users create USERNAME`"),
    ("tokens create", "--user USER is missing.", "`aibridged tokens create --user USER`"),
    ("users list --config", "--config has no value.", "Write --config PATH."),
    ("users delete a b", "b is one argument too many.", "into quotes"),
    (
        "users list -o xml",
        "--output: 'xml' is not one of 'table', 'json'.",
        "--help` describes it.",
    ),
    ("sessions list --limit x", "--limit: this is not an integer.", "--help` describes it."),
    ("sessions list --limit 0", "--limit: this must be at least 1.", "--help` describes it."),
    ("sessions list --since 2h", "there is no option --since.", "Did you mean --started-after?"),
    ("tail --started-after 2h", "there is no option --started-after.", "Did you mean --since?"),
    ("usage alice", "alice is one argument too many.", "For a user, write --user alice."),
    (f"serve {KEY}", "aibridged serve: … is one argument too many.", "into quotes"),
    (f"serve --anthropic-ky={KEY}", "there is no option --anthropic-ky.", "anthropic-key?"),
]


@pytest.mark.parametrize(("line", "what", "remedy"), WRONG)
def test_what_is_wrong_and_what_to_write(line: str, what: str, remedy: str) -> None:
    shown = CliRunner().invoke(build(), line.split(), prog_name="aibridged")
    assert shown.exit_code == 2
    assert shown.stdout == ""
    said = " ".join(shown.stderr.split())
    assert what in said.partition(" → ")[0]
    assert remedy in said.partition(" → ")[2]
    for word in ("Usage:", "Value error", "Input should", "Error", "╭", KEY):
        assert word not in said
    assert max(map(len, shown.stderr.splitlines())) <= 80


@pytest.mark.parametrize("line", ["-h", "serve -h", "users -h", "users mcp-token set -h"])
def test_h_is_help(line: str) -> None:
    shown = CliRunner().invoke(build(), line.split(), prog_name="aibridged")
    assert shown.exit_code == 0
    assert shown.stdout.lstrip().startswith("Usage: aibridged")
    assert "-h, --help" in shown.stdout
