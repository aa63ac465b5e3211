"""Plain values are taken without pydantic, and others go to Typer as ever."""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from aibridged.cli.command import apply_help_layout
from tests.migrated import migrate


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


def _asked(*args: str) -> tuple[Result, list[Any]]:
    app, seen = typer.Typer(), []

    def command(
        text: Annotated[str, typer.Argument()],
        number: Annotated[int, typer.Option(min=1, max=100)] = 7,
        colour: Annotated[Colour, typer.Option()] = Colour.RED,
        maybe: Annotated[str | None, typer.Option()] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        path: Annotated[Path | None, typer.Option()] = None,
        flag: Annotated[bool, typer.Option("--flag")] = False,
    ) -> None:
        seen.extend([text, number, colour, maybe, many, path, flag])

    app.command()(command)
    apply_help_layout(app)
    return CliRunner().invoke(app, list(args)), seen


@pytest.mark.parametrize(
    ("args", "values"),
    [
        ("x", ["x", 7, Colour.RED, None, None, None, False]),
        ("x --number 100 --colour green", ["x", 100, Colour.GREEN, None, None, None, False]),
        ("12 --maybe 3 --flag", ["12", 7, Colour.RED, "3", None, None, True]),
        ("x --many a --many b --path p", ["x", 7, Colour.RED, None, ["a", "b"], Path("p"), False]),
        ("x --number +8", ["x", 8, Colour.RED, None, None, None, False]),
    ],
)
def test_values_have_their_types(args: str, values: list[Any]) -> None:
    result, seen = _asked(*args.split())
    assert result.exit_code == 0, result.output
    assert seen == values
    assert [type(each) for each in seen] == [type(each) for each in values]


@pytest.mark.parametrize(
    "args",
    [
        "",
        "x --number 0",
        "x --number 101",
        "x --number 99999999999",
        "x --number a",
        "x --colour b",
    ],
)
def test_what_is_wrong_is_refused(args: str) -> None:
    result, seen = _asked(*args.split())
    assert (result.exit_code, seen) == (2, [])


SLOW_TO_LOAD = {"alembic", "loguru", "pydantic", "rich", "sqlalchemy.dialects.postgresql"}


@pytest.mark.parametrize("command", ["interceptions list --failed", "usage --by day -o json"])
def test_a_query_loads_nothing_that_it_does_not_need(command: str, tmp_path: Path) -> None:
    migrate(tmp_path)
    args = ["aibridged", *command.split(), "--limit", "5", "--state-dir", str(tmp_path)]
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        f"sys.argv = {args}; from aibridged.cli import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stderr.split()) & SLOW_TO_LOAD == set()
