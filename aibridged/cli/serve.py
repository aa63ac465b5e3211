"""`aibridged serve`: the daemon in the foreground."""

import os
from collections.abc import Mapping

import typer


def serve(flags: Mapping[str, str]) -> None:
    """Serve the gateway until SIGTERM or SIGINT."""
    from aibridged.config import load, report

    resolution = load.resolve(flags, os.environ)
    settings = resolution.settings
    if settings is None:
        typer.echo(report.problems(resolution), err=True)
        raise typer.Exit(1)
    if not settings.enabled:
        typer.echo("Nothing is served: --aibridge-enabled is false.", err=True)
        raise typer.Exit(0)
    # The server's libraries are loaded only now, so that everything else answers at once.
    from aibridged.app import run

    raise typer.Exit(run(settings, resolution.warnings))
