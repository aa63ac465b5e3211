"""`aibridged check-config`: validates the settings and shows their effective values."""

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """Output format."""

    TEXT = "text"
    JSON = "json"


def check_config(
    flags: Mapping[str, str],
    output: Annotated[
        Output, typer.Option("--output", "-o", metavar="text|json", help="Output format.")
    ] = Output.TEXT,
    connect: Annotated[
        bool, typer.Option("--connect", help="Connect to each MCP server and list its tools.")
    ] = False,
) -> None:
    """Show all settings with their sources, and any mistakes.

    Nothing is started, and no file is changed. The database and the listening addresses are tried
    out; an address in use is a warning, as the daemon may be running. Exits with status 0 if serve
    would start, or 1 if there are mistakes; with --connect, also 1 if the tools of an MCP server
    are unavailable.
    """
    from aibridged.cli import mcp_status as reached
    from aibridged.config import load, report
    from aibridged.daemon.preflight import with_preflight, with_start

    resolution = with_start(with_preflight(load.resolve(flags, os.environ)))
    settings = resolution.settings
    servers = reached.reach(settings) if connect and settings is not None else None
    if output is Output.JSON:
        data = report.as_data(resolution)
        if servers is not None:
            data["mcp_servers"] = reached.as_data(servers)
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        typer.echo(report.as_text(resolution))
        if servers is not None:
            typer.echo(f"\n{reached.as_text(servers)}")
    raise typer.Exit(0 if settings is not None and reached.all_well(servers or ()) else 1)
