"""Finds the database of a command: its own settings, or those of the service on this machine.

It says on stderr what an operator may not expect: which database it is, that a daemon runs with
another one, that no daemon has ever used this one.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aibridged.cli.options import STORE, takes, without_mistakes
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.config.resolution import Resolution
    from aibridged.records.database import Place

NOTICED = "the daemons notice the change by themselves, in a few seconds or a minute"
"""What follows where a command can't tell the daemons."""
_ASK_S = 1.0


class Found(NamedTuple):
    """Settings, and whether they are those of the service on this machine."""

    resolution: "Resolution"
    of_service: bool


def takes_database(
    command: Callable[..., None],
    also: Sequence[str] = (),
    unasked: Sequence[str] = (),
    *,
    tells: bool = False,
) -> Callable[..., None]:
    """Give a command the settings as its first argument, and flags for the database's location.

    `also` are further settings that it needs, `unasked` those that it offers no flag for. Without
    flags and variables of its own, it uses the service's settings. One that `tells` running daemons
    by Redis says so if Redis's address can't be read.
    """
    names = (*STORE, *also)

    def resolve(flags: Mapping[str, str]) -> "Settings":
        found = found_settings(flags, (*names, *unasked))
        settings = without_mistakes(found.resolution)
        for line in _remarks(found, settings):
            say(line, err=True)
        for mistake in found.resolution.overlooked.get("redis_url", ()) if tells else ():
            say(f"Redis isn't told ({mistake.where}: {mistake.what}): {NOTICED}.", err=True)
        return settings

    return takes(names, command, resolve=resolve)


def found_settings(flags: Mapping[str, str], names: Sequence[str]) -> Found:
    """The settings of the flags and the environment, or else of the service on this machine.

    Only those of `names` must be right.
    """
    from aibridged.config import load, service

    of_service = service.environment(flags, os.environ)
    environ = os.environ if of_service is None else of_service
    return Found(load.resolve(flags, environ, names), of_service is not None)


def no_use_yet(settings: "Settings") -> str | None:
    """The remark on a database that no daemon has used, as far as can be seen."""
    from aibridged.records.open_database import is_used

    ours = _place(settings)
    if is_used(settings) or any(_are_one(theirs, ours) for _, theirs in _daemons(settings)):
        return None
    return (
        "Note: no daemon has used this database so far. One with another --state-dir or "
        "CODER_PG_CONNECTION_URL won't know this user."
    )


def out_of_reach(found: Found) -> str | None:
    """The remark on a service that this user can't look into, where no daemon is named."""
    from aibridged.config import service

    (source,) = (each.source for each in found.resolution.values if each.name == "state_dir")
    if found.of_service or source.kind != "default" or not service.is_out_of_reach():
        return None
    return (
        f"Note: the service's state directory is {service.state_dir()}, which this user can't use. "
        "If that one is meant, run this as root, for example with sudo."
    )


def _remarks(found: Found, settings: "Settings") -> Iterator[str]:
    place = _place(settings)
    if place is None:
        return
    deciding = "state_dir" if settings.postgres_url is None else "postgres_url"
    (source,) = (each.source for each in found.resolution.values if each.name == deciding)
    if found.of_service:
        yield f"Using the service's database, {place.location}."
    elif source.kind not in ("default", "flag"):
        yield f"Using the database {place.location} ({source})."
    elif source.kind == "default" and (remark := out_of_reach(found)):
        yield remark
    yield from _other_daemon(settings, place)


def _other_daemon(settings: "Settings", ours: "Place") -> Iterator[str]:
    """The remark on a daemon that runs on this machine, if none of them uses this database."""
    from aibridged.cli.cells import printable

    daemons = list(_daemons(settings))
    if any(_are_one(theirs, ours) for _, theirs in daemons):
        return
    for directory, theirs in daemons:
        how = (
            f"--state-dir {directory}"
            if theirs.kind == "SQLite"
            else "the CODER_PG_CONNECTION_URL of that daemon"
        )
        yield (
            f"Note: the daemon that runs here uses another database, {printable(theirs.location)}, "
            f"and not {ours.location}. To work on it, use {how}."
        )


def _daemons(settings: "Settings") -> "Iterator[tuple[Path, Place]]":
    """The daemons that run where one may be expected: state directory and database of each."""
    from aibridged.config import service
    from aibridged.config.options import Settings

    places = (settings.state_dir, service.state_dir(), Settings().state_dir)
    for directory in dict.fromkeys(places):
        if (database := _database_of_daemon(directory)) is not None:
            yield directory, database


def _place(settings: "Settings") -> "Place | None":
    from aibridged.records.database import DatabaseError, database_url, place_of

    postgres = settings.postgres_url.reveal() if settings.postgres_url else None
    with suppress(DatabaseError):  # the command itself says so
        return place_of(database_url(settings.state_dir, postgres))
    return None


def _database_of_daemon(directory: Path) -> "Place | None":
    """The database of the daemon that runs with this state directory."""
    from aibridged.daemon.status_report import decoded
    from aibridged.daemon.status_socket import DAEMON, NoDaemonError, ask
    from aibridged.records.database import Place

    if not os.path.lexists(directory / DAEMON):
        return None
    try:
        database = decoded(ask(directory, within=_ASK_S)).database
    except (NoDaemonError, ValueError):
        return None
    return None if database is None else Place(database.kind, database.location)


def _are_one(theirs: "Place", ours: "Place | None") -> bool:
    if theirs == ours:
        return True
    with suppress(OSError):
        # A service's state directory is a symbolic link.
        if ours is not None and theirs.kind == ours.kind == "SQLite":
            return os.path.samefile(theirs.location, ours.location)
    return False
