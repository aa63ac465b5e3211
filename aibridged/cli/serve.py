"""`aibridged serve`: the daemon in the foreground."""

import os
from collections.abc import Mapping

import typer


def serve(flags: Mapping[str, str]) -> None:
    """Serve the gateway until SIGTERM or SIGINT.

    These let running requests go on for --shutdown-timeout; the second one ends them at once.
    SIGHUP reads the settings again, with the files that hold keys and the certificate, while
    requests go on. Settings that need a restart are marked below: the log names them if they
    differ. If there is any mistake, nothing changes, and the log says what is wrong. SIGUSR1 opens
    the log files anew, once they were moved away.
    """
    from aibridged.config import load, report
    from aibridged.config.resolution import Resolution

    def resolve() -> Resolution:
        return load.resolve(flags, os.environ)

    resolution = resolve()
    settings = resolution.settings
    if settings is None:
        typer.echo(report.problems(resolution), err=True)
        raise typer.Exit(1)
    if not settings.enabled:
        typer.echo("Nothing is served: --aibridge-enabled is false.", err=True)
        raise typer.Exit(0)
    # The server's libraries are loaded only now, so that everything else answers at once.
    from aibridged.daemon.main import run

    raise typer.Exit(run(settings, resolve, resolution.warnings))
