"""`aibridged serve`: the daemon in the foreground."""

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
    from aibridged.daemon.command_line import serve as served

    raise typer.Exit(served(flags))
