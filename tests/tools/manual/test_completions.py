"""The completions, in the three real shells: each completes the same."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.cli.tree import Command
from aibridged.records.database import database_url, make_engine
from tests.migrated import migrate

Complete = Callable[[str], list[str]]

SHELLS = ("bash", "zsh", "fish")
INJECTED = "$(touch injected)"


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def complete(shell) -> Complete:
    """What completes the last word of a line, as it would stand there, sorted."""

    def by_fish(line: str) -> list[str]:
        return sorted(shell.candidates(line))

    def on_a_terminal(line: str) -> list[str]:
        before = len(line.rpartition(" ")[0]) + 1
        shown = shell.all_matches(line)[before:]
        # A space that belongs to a word has a backslash before it.
        words = re.split(r"(?<!\\) +", shown)
        return sorted(word.replace("\\", "") for word in words if word)

    return by_fish if hasattr(shell, "candidates") else on_a_terminal


@pytest.fixture(scope="module")
def token(environ: dict[str, str], populate) -> str:
    """The id of a token in the database that the shells' `aibridged` finds."""
    directory = Path(environ["CODER_STATE_DIR"])
    directory.mkdir()
    migrate(directory)
    engine = make_engine(database_url(directory))
    return populate(engine, models=("gpt-5", "llama3:8b", "llama3:70b", INJECTED))


def bare(words: list[str]) -> list[str]:
    """Without the = that zsh and fish put behind some flags."""
    return sorted({word.removesuffix("=") for word in words})


def without(start: str, words: list[str]) -> list[str]:
    """Without what they have in common: bash leaves it out from the second one on."""
    return sorted(word.removeprefix(start) for word in words)


def test_every_command(complete: Complete, root: Command) -> None:
    for command in root.walk():
        if command.commands:
            expected = sorted(each.path[-1] for each in command.commands)
            assert complete(" ".join(("aibridged", *command.path, ""))) == expected
    assert complete("aibridged us") == ["usage", "users"]
    assert complete("aibridged nonsense ") == []
    assert "complete" not in complete("aibridged comp")


def test_every_flag(complete: Complete, root: Command) -> None:
    for command in root.walk():
        names = (name for flag in command.flags for name in flag.names)
        expected = sorted(name for name in names if name.startswith("--"))
        assert bare(complete(" ".join(("aibridged", *command.path, "--")))) == expected


def test_every_closed_set_of_values(complete: Complete, root: Command) -> None:
    count = 0
    for command in root.walk():
        line = " ".join(("aibridged", *command.path))
        for flag in command.flags:
            if flag.choices and not (flag.setting and command.path != ("serve",)):
                count += 1
                sign = "=" if flag.value_is_optional else " "
                found = complete(f"{line} {flag.long}{sign}")
                values = without(f"{flag.long}=", found)
                assert values == sorted(flag.choices), (line, flag.long)
    assert count > 15


def test_a_value_behind_an_equals_sign(complete: Complete) -> None:
    assert complete("aibridged serve --aibridge-auth=t") == ["--aibridge-auth=token"]
    found = complete("aibridged usage --output=js")
    assert without("--output=", found) == ["json", "jsonl"]


def test_a_switch_takes_no_value(complete: Complete) -> None:
    assert bare(complete("aibridged serve --verbose --aibridge-aut")) == [
        "--aibridge-auth",
        "--aibridge-auth-cache-bad-ttl",
        "--aibridge-auth-cache-size",
        "--aibridge-auth-cache-ttl",
    ]


@pytest.mark.usefixtures("token")
def test_names_of_the_running_state(complete: Complete) -> None:
    assert complete("aibridged tokens create --user al") == ["albert", "alice"]
    assert complete("aibridged usage --initiator ") == ["alice"]
    assert complete("aibridged usage --provider ") == [
        "anthropic",
        "copilot",
        "copilot-business",
        "copilot-enterprise",
        "local",
        "openai",
    ]
    assert complete("aibridged usage --client ") == ["Claude Code"]
    assert complete("aibridged sessions show ") == ["session-1"]


@pytest.mark.usefixtures("token")
def test_the_second_word(complete: Complete) -> None:
    assert complete("aibridged users mcp-token set al") == ["albert", "alice"]
    assert complete("aibridged users mcp-token set alice do") == ["docs"]
    assert complete("aibridged users mcp-token set --config /dev/null alice do") == ["docs"]
    assert complete("aibridged users suspend alice a") in ([], ["a"])


def test_tokens_by_their_ids(complete: Complete, token: str) -> None:
    assert complete("aibridged tokens revoke ") == [token]


@pytest.mark.usefixtures("token")
def test_names_with_colons(complete: Complete) -> None:
    found = complete("aibridged usage --model llama3:")
    assert without("llama3:", found) == ["70b", "8b"]
    assert complete("aibridged usage --model llama3:8") == ["llama3:8b"]


@pytest.mark.usefixtures("token")
def test_a_name_is_never_run(complete: Complete, environ: dict[str, str]) -> None:
    assert INJECTED not in complete("aibridged usage --model ")
    assert not Path(environ["HOME"], "injected").exists()


@pytest.mark.usefixtures("token")
def test_the_line_says_which_database(complete: Complete, environ: dict[str, str]) -> None:
    nowhere = Path(environ["HOME"], "nowhere")
    assert complete(f"aibridged tokens create --state-dir {nowhere} --user ") == []
    assert not nowhere.exists()


def test_new_names_are_free(complete: Complete) -> None:
    assert complete("aibridged users create ") == []
    assert complete("aibridged users create --name ") == []
    assert complete("aibridged serve --http-address ") == []


def test_files_and_directories(complete: Complete, environ: dict[str, str]) -> None:
    home = Path(environ["HOME"], "files")
    (home / "folder").mkdir(parents=True, exist_ok=True)
    (home / "file").touch()
    assert complete("aibridged serve --config files/fi") == ["files/file"]
    found = complete("aibridged serve --tls-cert-file files/f")
    assert [path.rstrip("/") for path in found] == ["files/file", "files/folder"]
    found = complete("aibridged users list --state-dir files/f")
    assert [path.rstrip("/") for path in found] == ["files/folder"]
    found = complete("aibridged serve --config=files/fi")
    assert without("--config=", found) == ["files/file"]


def test_tab_completes_the_line(bash, zsh) -> None:
    for shell in (bash, zsh):
        assert shell.tab("aibridged sam") == "aibridged sample-config "
        assert shell.tab("aibridged db up") == "aibridged db upgrade "


@pytest.mark.usefixtures("token")
def test_bash_knows_quotes(bash) -> None:
    assert bash.tab("aibridged usage --client Cl") == "aibridged usage --client Claude\\ Code "
    assert bash.tab("aibridged usage --client Claude\\ C") == (
        "aibridged usage --client Claude\\ Code "
    )
    assert bash.tab('aibridged usage --client "Cl') == 'aibridged usage --client "Claude Code" '


@pytest.mark.usefixtures("token")
def test_names_are_described(fish, token: str) -> None:
    assert fish.candidates("aibridged tokens revoke ") == {token: "alice laptop"}
    assert fish.candidates("aibridged users suspend b") == {"bob": "Bob"}
