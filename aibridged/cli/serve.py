"""`aibridged serve`: the daemon in the foreground."""

import os
from collections.abc import Mapping

import typer


def serve(flags: Mapping[str, str]) -> None:
    """Serve the gateway until SIGTERM or SIGINT.

    Either signal drains running requests for up to --shutdown-timeout; a second one ends them at
    once. SIGHUP reloads the settings, including key files and the certificate, without
    interrupting requests. Settings that require a restart are marked below; the log names those
    that changed. If there is any mistake, nothing changes, and the log names it. SIGUSR1 reopens
    the log files after rotation.
    """
    from aibridged.config import load, report
    from aibridged.config.resolution import Resolution
    from aibridged.daemon.preflight import with_preflight

    def resolve() -> Resolution:
        return with_preflight(load.resolve(flags, os.environ))

    resolution = resolve()
    settings = resolution.settings
    if settings is None:
        typer.echo(report.problems(resolution), err=True)
        raise typer.Exit(1)
    if not settings.enabled:
        typer.echo("Not serving: --aibridge-enabled is false.", err=True)
        raise typer.Exit(0)
    # The server's libraries are imported only now, so that all other commands stay fast; and the
    # supervisor of several workers needs few of them.
    from aibridged.daemon.workers.cores import usable_cores

    workers = usable_cores() if settings.workers is None else settings.workers
    if workers > 1:
        from aibridged.daemon.workers import supervisor

        raise typer.Exit(supervisor.run(resolution, resolve, workers))
    from aibridged.daemon.main import run

    raise typer.Exit(run(resolution, resolve))
