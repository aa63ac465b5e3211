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
        bool,
        typer.Option(
            "--connect",
            help="Ask each provider for its models, with its key, each MCP server for its tools, "
            "and the OpenID Connect provider for its discovery document.",
        ),
    ] = False,
) -> None:
    """Show all settings with their sources, and any mistakes.

    Nothing is started, and no file is changed. The database and the listening addresses are tried
    out; an address in use is a warning, as the daemon may be running. Exits with status 0 if serve
    would start, or 1 if there are mistakes; with --connect, also 1 if a provider can't be reached
    or refuses its key, or if the tools of an MCP server are unavailable, or the OpenID Connect
    provider is.
    """
    from aibridged.cli import issuer_status, provider_status
    from aibridged.cli import mcp_status as reached
    from aibridged.config import load, report
    from aibridged.daemon.policy_findings import with_policy_findings
    from aibridged.daemon.preflight import with_preflight, with_start

    resolution = with_start(with_preflight(load.resolve(flags, os.environ)))
    resolution = with_policy_findings(resolution)
    settings = resolution.settings
    checks = provider_status.reach(settings) if connect and settings is not None else None
    servers = reached.reach(settings) if connect and settings is not None else None
    issuer = issuer_status.reach(settings) if connect and settings is not None else None
    if output is Output.JSON:
        data = report.as_data(resolution)
        for provider, check in zip(data["providers"], checks or (), strict=False):
            provider["connection"] = provider_status.as_data(check)
        if servers is not None:
            data["mcp_servers"] = reached.as_data(servers)
            data["identity_provider"] = issuer_status.as_data(issuer)
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        typer.echo(report.as_text(resolution))
        if checks is not None:
            typer.echo(f"\n{provider_status.as_text(checks)}")
        if servers is not None:
            typer.echo(f"\n{reached.as_text(servers)}")
        if issuer is not None and settings is not None:
            typer.echo(f"\n{issuer_status.as_text(issuer, settings.access_url)}")
    well = (
        provider_status.all_well(checks or ())
        and reached.all_well(servers or ())
        and (issuer is None or issuer.error is None)
    )
    raise typer.Exit(0 if settings is not None and well else 1)
