"""Options of `aibridged export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ChargePeriod(StrEnum):
    """How long charge periods are."""

    HOUR = "hour"
    DAY = "day"


class Form(StrEnum):
    """Format of an export."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class UsageForm(StrEnum):
    """Format of an export of usage."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    FOCUS = "focus"


FormatFlag = Annotated[
    Form,
    typer.Option(
        "--format", "-f", metavar="csv|jsonl|parquet", help="Format; Parquet is an extra."
    ),
]
UsageFormatFlag = Annotated[
    UsageForm,
    typer.Option(
        "--format",
        "-f",
        metavar="csv|jsonl|parquet|focus",
        help="Format; focus is the CSV of FinOps FOCUS 1.2, Parquet is an extra.",
    ),
]
OutputFileFlag = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="File to write, instead of the output."),
]
ForceFlag = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]
RawFlag = Annotated[
    bool,
    typer.Option(
        "--raw", help="CSV texts as recorded, also where a spreadsheet takes them for formulas."
    ),
]
ChargePeriodFlag = Annotated[
    ChargePeriod | None,
    typer.Option(
        metavar="hour|day", help="Length of the charge periods of --format focus; default day."
    ),
]
TextsFlag = Annotated[
    bool,
    typer.Option(
        "--with-texts", help="Prompts, tool calls, reasoning and messages of errors, too."
    ),
]
