"""`aibridged serve`: from the flags to the running daemon.

The server's libraries are imported step by step, since the start is mostly that: the supervisor of
several workers needs few of them, and a mistake in the settings none.
"""

import gc
import os
import sys
from collections.abc import Mapping, Sequence

from aibridged.config import flags as settings_flags
from aibridged.config import load, report
from aibridged.config.options import Settings
from aibridged.config.resolution import Resolution
from aibridged.transport.ca_certificates import import_aiohttp

_MANY_OBJECTS = 1_000_000
"""More than the start makes: looking for garbage among them would take a twentieth of it."""


def main(args: Sequence[str]) -> int | None:
    """Serve with these arguments; returns the exit status, or None where Typer has to read them.

    Typer, with a parameter for each of the settings, would take a tenth of the start.
    """
    flags = settings_flags.plain(args)
    if flags is None:
        return None
    try:
        return serve(flags)
    except KeyboardInterrupt:  # before anything listens: later it stops the daemon
        print("Cancelled.", file=sys.stderr)
        return 1


def serve(flags: Mapping[str, str]) -> int:
    """Serve until a signal; returns the exit status. `flags` are texts by flag."""
    loaded = load.resolve(flags, os.environ)
    workers = _workers(loaded.settings)
    if workers == 1:
        # What is loaded from here on is there to stay. The daemon sets another one when it is.
        gc.set_threshold(_MANY_OBJECTS)
    certificates = import_aiohttp() if workers == 1 else None
    from aibridged.daemon.preflight import with_preflight

    def resolve() -> Resolution:
        return with_preflight(load.resolve(flags, os.environ))

    resolution = with_preflight(loaded)
    settings = resolution.settings
    if settings is None:
        print(report.problems(resolution), file=sys.stderr)
        return 1
    if not settings.enabled:
        print("Not serving: --aibridge-enabled is false.", file=sys.stderr)
        return 0
    if workers > 1:
        from aibridged.daemon.workers import supervisor

        return supervisor.run(resolution, resolve, workers)
    from aibridged.daemon.main import run

    if certificates is not None:
        certificates.join()
    return run(resolution, resolve)


def _workers(settings: Settings | None) -> int:
    """How many processes would serve; 0 if none."""
    if settings is None or not settings.enabled:
        return 0
    if settings.workers is not None:
        return settings.workers
    from aibridged.daemon.workers.cores import usable_cores

    return usable_cores()
