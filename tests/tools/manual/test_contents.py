"""The manual and the completions are fresh, whole and well-formed, and read well on a terminal."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from typer.main import get_command

from aibridged import errors
from aibridged.cli import build
from aibridged.cli.tree import Command
from aibridged.config.lists import LISTS
from aibridged.config.options import OPTIONS
from aibridged.observe.metric_table import METRICS
from aibridged.observe.spans import SPANS
from tools.manual.__main__ import write
from tools.manual.contents import DIRECTORIES, contents
from tools.manual.prose import configuration
from tools.manual.prose.commands import PROSE

ROOT = Path(__file__).parents[3]
WIDTH = 80
Program = Callable[[str], str]


@pytest.fixture(scope="module")
def made() -> dict[PurePosixPath, str]:
    return contents()


@pytest.fixture(scope="module")
def pages(made: dict[PurePosixPath, str]) -> dict[str, str]:
    return {path.name: text for path, text in made.items() if path.parent.name == "man"}


@pytest.fixture(scope="module")
def rendered(pages: dict[str, str], program: Program) -> dict[str, str]:
    """The pages as they are shown on a terminal of 80 columns, by mandoc."""
    command = [program("mandoc"), "-Tutf8", f"-Owidth={WIDTH - 2}"]
    shown = {}
    for name, text in pages.items():
        said = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        shown[name] = re.sub(".\b", "", said.stdout)
    return shown


def test_everything_is_fresh(made: dict[PurePosixPath, str]) -> None:
    """AIBRIDGED_WRITE_GOLDEN=1, or `python -m tools.manual`, regenerates it."""
    if os.environ.get("AIBRIDGED_WRITE_GOLDEN"):
        write(ROOT)
    there = {
        PurePosixPath(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for directory in DIRECTORIES
        for path in (ROOT / directory).iterdir()
    }
    stale = [str(path) for path in made.keys() | there.keys() if made.get(path) != there.get(path)]
    assert sorted(stale) == [], "run: python -m tools.manual"


def test_what_is_made_no_longer_is_removed(tmp_path: Path) -> None:
    (tmp_path / "man").mkdir()
    (tmp_path / "man" / "aibridged-gone.1").write_text("")
    write(tmp_path)
    assert {path.name for path in (tmp_path / "man").iterdir()} == {
        path.name for path in contents() if path.parent.name == "man"
    }


def test_mandoc_has_nothing_to_object_to(pages: dict[str, str], program: Program) -> None:
    for name, text in pages.items():
        lint = subprocess.run(
            [program("mandoc"), "-Tlint", "-Wwarning"], input=text, capture_output=True, text=True
        )
        assert (lint.returncode, lint.stdout) == (0, ""), name


def test_pages_fit_a_terminal(rendered: dict[str, str]) -> None:
    for name, text in rendered.items():
        assert max(map(len, text.splitlines())) <= WIDTH, name


@pytest.mark.parametrize("name", ["aibridged.1", "aibridged-tokens.1", "aibridged.yaml.5"])
def test_man_shows_them_too(name: str, program: Program) -> None:
    shown = subprocess.run(
        [program("man"), "--warnings=w", "--local-file", str(ROOT / "man" / name)],
        env={"PATH": os.environ["PATH"], "MANWIDTH": str(WIDTH), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    assert "SEE ALSO" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= WIDTH


def test_every_command_has_a_page_with_all_that_it_takes(
    root: Command, rendered: dict[str, str]
) -> None:
    for command in root.walk():
        text = rendered[f"{'-'.join(('aibridged', *command.path[:1]))}.1"]
        other = "every setting, under the flags of" in " ".join(text.split())
        for flag in command.flags:
            hidden = other and flag.setting is not None
            assert hidden or all(name in text for name in flag.names), (command.name, flag)
        for argument in command.arguments:
            assert argument.value in text


def test_every_setting_is_explained(rendered: dict[str, str]) -> None:
    text = rendered["aibridged.yaml.5"]
    for option in OPTIONS:
        assert f"\n     {option.yaml or option.env}" in text
        assert option.flag in text or option.secret
        assert option.env in text
        assert option.flag in rendered["aibridged-serve.1"]


def test_every_field_of_a_list_and_every_kind_of_value_is_explained() -> None:
    for declared in LISTS:
        assert configuration.LISTS[declared.name].fields.keys() == declared.fields.keys()
    assert len(configuration.LISTS) == len(LISTS)
    fields = [kind for declared in LISTS for kind in declared.fields.values()]
    shown = {kind.metavar for kind in [*fields, *(option.kind for option in OPTIONS)]}
    explained_there = {"TYPE"}
    words = {metavar for metavar in shown if "|" in metavar}
    assert shown - words - explained_there == configuration.VALUES.keys()


def test_every_metric_span_and_refusal_is_explained(rendered: dict[str, str]) -> None:
    for row in (*METRICS, *SPANS):
        assert f"\n     {row.name}\n" in rendered["aibridged-metrics.7"]
    for kind in errors.ERRORS:
        assert f"\n     {kind.status} {kind.code}\n" in rendered["aibridged.1"]


def test_every_command_has_an_example(root: Command) -> None:
    """Write one in manual/prose/commands.py."""
    assert PROSE.keys() == {command.name for command in root.commands}
    for name, prose in PROSE.items():
        examples = [part for part in (*prose.about, *prose.examples) if not isinstance(part, str)]
        assert examples, name


def test_pages_refer_to_pages_that_there_are(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        for title, number in re.findall(r"\bXr (\S+) (\d)", text):
            assert f"{title}.{number}" in pages, (name, title)


def test_pages_name_flags_that_there_are(root: Command, pages: dict[str, str]) -> None:
    known = {name for command in root.walk() for flag in command.flags for name in flag.names}
    known |= {"--SETTING", "--no-verbose", "--verbose=false"}
    for name, text in pages.items():
        for flag in re.findall(r"\bFl (?:\( )?(\S+)", text):
            assert f"-{flag}".replace("\\-", "-") in known, (name, flag)


def _commands_in_examples(text: str) -> Iterator[list[str]]:
    """The words of every call of aibridged that a page shows."""
    for shown in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL):
        plain = shown.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
        for line in plain.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = next((n for n, word in enumerate(words) if word in _SHELL), len(words))
                call, words = words[:end], words[end + 1 :]
                if call[:1] == ["$"]:
                    call = call[1:]
                if call[:1] == ["aibridged"]:
                    yield call[1:]


_SHELL = frozenset({"|", "||", "&", ">"})


def test_examples_can_be_typed(pages: dict[str, str]) -> None:
    count = 0
    program = get_command(build())
    for name, text in pages.items():
        for words in _commands_in_examples(text):
            count += 1
            command, rest = program, list(words)
            while rest and rest[0] in getattr(command, "commands", ()):
                command = command.commands[rest.pop(0)]
            assert command.make_context(name, rest), words
    assert count > 30
