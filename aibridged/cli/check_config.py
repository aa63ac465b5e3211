"""`aibridged check-config`: validates the settings and shows their effective values."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aibridged.config.resolution import Resolution


class Output(StrEnum):
    """Output format."""

    TEXT = "text"
    JSON = "json"


def check_config(
    flags: Mapping[str, str],
    output: Annotated[
        Output, typer.Option("--output", metavar="text|json", help="Output format.")
    ] = Output.TEXT,
    connect: Annotated[
        bool, typer.Option("--connect", help="Connect to each MCP server and list its tools.")
    ] = False,
) -> None:
    """Show all settings with their sources, and any mistakes.

    Nothing is started. Exits with status 0 if serve would start, or 1 if there are mistakes; with
    --connect, also 1 if the tools of an MCP server are unavailable.
    """
    from aibridged.cli import mcp_status as reached
    from aibridged.config import load, report

    resolution = _with_ca(load.resolve(flags, os.environ))
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


def _with_ca(resolution: "Resolution") -> "Resolution":
    """Add the mistakes of the AI Proxy's CA, whose check imports a large library."""
    settings = resolution.settings
    if settings is None or not settings.proxy_enabled:
        return resolution
    from aibridged.clock import SystemClock
    from aibridged.config.resolution import Mistake
    from aibridged.daemon.ai_proxy import AiProxyError, expiry_warning, read_ca

    clock = SystemClock()
    try:
        warning = expiry_warning(read_ca(settings, clock), clock)
    except AiProxyError as error:
        what, _, remedy = str(error).partition("; ")
        remedy = remedy or "Create a new one with aibridged proxy init-ca."
        wrong = Mistake("the AI Proxy's CA", what.rstrip("."), remedy)
        return replace(resolution, settings=None, mistakes=[*resolution.mistakes, wrong])
    warnings = [*resolution.warnings, *((warning,) if warning else ())]
    return replace(resolution, warnings=warnings)
