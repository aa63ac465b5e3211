"""`aibridged check-config`: what the settings come to, and what is wrong with them."""

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"


def check_config(
    flags: Mapping[str, str],
    output: Annotated[
        Output, typer.Option("--output", metavar="text|json", help="How to print it.")
    ] = Output.TEXT,
) -> None:
    """Show every setting with its source, and all mistakes.

    Nothing is started. Exits 0 if serve would start, 1 if there are mistakes.
    """
    from aibridged.config import load, report

    resolution = load.resolve(flags, os.environ)
    if output is Output.JSON:
        typer.echo(json.dumps(report.as_data(resolution), indent=2, ensure_ascii=False))
    else:
        typer.echo(report.as_text(resolution))
    raise typer.Exit(0 if resolution.settings is not None else 1)
