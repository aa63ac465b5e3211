"""`aibridged db`: the database behind users, tokens and records."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.backup import backup, restore
from aibridged.cli.database import takes_database
from aibridged.cli.say import say
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.records.database import Engine
    from aibridged.records.partitions import Dropped


def db() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="db",
        no_args_is_help=True,
        help="Upgrade, check, back up, restore or prune the database.",
    )
    commands: tuple[tuple[str, Callable[..., None], tuple[str, ...]], ...] = (
        ("upgrade", _upgrade, ()),
        ("check", _check, ()),
        ("prune", _prune, ("retention", "audit_retention")),
        ("backup", backup, ()),
        ("restore", restore, ()),
    )
    for name, command, also in commands:
        group.command(name)(takes_database(command, also))
    return group


def _upgrade(settings: "Settings") -> None:
    """Upgrade the schema to this release's version, as `serve` does at startup.

    On PostgreSQL it makes the partitions of this month and the next, too, if they are missing.
    """
    from aibridged.clock import SystemClock
    from aibridged.records import migrations
    from aibridged.records.partitions import Partitions

    with _database(settings, create=True) as engine:
        before = migrations.check(engine)
        migrations.upgrade(engine)
        if before.is_current:
            say(f"The schema is current: {before.needed}.")
        else:
            say(f"Upgraded the schema from {before.current or 'nothing'} to {before.needed}.")
        for name in Partitions(engine, SystemClock()).make_ahead():
            say(f"Made the partition {name}.")


def _check(settings: "Settings") -> None:
    """Check whether the schema is current, without changes; exits with status 1 if it isn't."""
    from aibridged.records import migrations

    with _database(settings) as engine:
        state = migrations.check(engine)
    if not state.is_current:
        say(state.demand, err=True)
        raise typer.Exit(1)
    say(f"The schema is current: {state.needed}.")


def _prune(
    settings: "Settings",
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Override --aibridge-retention, for example 30d or 12h."
        ),
    ] = None,
) -> None:
    """Delete interceptions that are past the retention period, with all their records.

    Rows of the audit log have a period of their own.

    While a daemon runs, that takes a twentieth of the database's time, as the daemon's own pruning
    does: some hundred interceptions a second.
    """
    from aibridged.clock import SystemClock
    from aibridged.identity import audit
    from aibridged.records import migrations
    from aibridged.records.pacing import pace_beside_daemon
    from aibridged.records.partitions import Partitions
    from aibridged.records.retention import prune

    seconds = _seconds(older_than) if older_than is not None else settings.retention
    if seconds == settings.audit_retention == 0:
        say("Nothing to prune: everything is kept forever.", err=True)
        raise typer.Exit(1)
    clock = SystemClock()
    count = rows = 0
    with _database(settings) as engine:
        migrations.upgrade(engine)
        now = clock.wall()
        if seconds:
            before = now - timedelta(seconds=seconds)
            for each in Partitions(engine, clock).drop_before(before):
                say(_dropped(each))
            pace = pace_beside_daemon(engine, settings.state_dir, clock)
            count = prune(engine, before, pace)
        if settings.audit_retention:
            rows = audit.prune(engine, now - timedelta(seconds=settings.audit_retention))
    also = f" and {counted(rows, 'row')} of the audit log" if rows else ""
    say(f"Pruned {counted(count, 'interception')}{also}.")


def _dropped(each: "Dropped") -> str:
    if each.why_not is not None:
        return f"{each.name} can't be dropped, so its rows are deleted: {each.why_not}."
    return f"Dropped {each.name} with about {counted(each.rows, 'interception')}."


def _seconds(text: str) -> float:
    from aibridged.config import durations

    try:
        return durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from None


@contextmanager
def _database(settings: "Settings", *, create: bool = False) -> "Iterator[Engine]":
    from aibridged.identity.tables import StoreUnavailableError
    from aibridged.records.database import DatabaseError
    from aibridged.records.open_database import existing_database, make_database
    from aibridged.records.store import DatabaseAwayError

    try:
        yield make_database(settings) if create else existing_database(settings)
    except (DatabaseError, DatabaseAwayError, StoreUnavailableError) as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None
