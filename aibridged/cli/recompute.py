"""`aibridged prices recompute`: computes the costs of a past period once more."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.cli.cells import counted
from aibridged.cli.identity_store import Output, OutputFlag, as_json, errors_are_told
from aibridged.cli.query_options import moment
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.clock import Clock
    from aibridged.config.options import Settings
    from aibridged.records.database import Engine
    from aibridged.records.query_results import Filter
    from aibridged.records.recosting import Changes

_PROGRESS_S = 0.2


def recompute(
    settings: "Settings",
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Start of the period: 2026-01-31, or 2h, 7d ago."),
    ],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the period, in the same format.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="PROVIDER", help="A provider's name or type.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="The requested model.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="A user: the username or id.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Compute the costs of a past period by the present prices and own rates.

    Each request has the rates that were valid when it started. The old costs are kept, and what
    users have spent changes by the difference. It works while the daemon runs, and leaves a row in
    the audit log.
    """
    from aibridged.clock import SystemClock
    from aibridged.prices.pricing import book_of, price
    from aibridged.prices.table import current_table
    from aibridged.records.open_database import open_existing_database
    from aibridged.records.pacing import revising_pace
    from aibridged.records.query_results import Filter
    from aibridged.records.recosting import Changes, Recosting

    clock = SystemClock()
    wanted = Filter(
        started_after=moment(since, "--since"),
        started_before=clock.wall() if until is None else moment(until, "--until"),
        provider=provider,
        model=model,
        initiator=user,
    )
    table, problem = current_table(settings.state_dir)
    if problem is not None:
        say(f"{problem}. `aibridged prices update` fetches another.", err=True)
    book = book_of(settings, table)
    done = Changes()
    with errors_are_told():
        engine = open_existing_database(settings)
        pace = revising_pace(engine, settings.state_dir, clock)
        recosting = Recosting(engine, clock, pace, partial(price, book))
        shown_at = clock.monotonic()
        try:
            for done in recosting.run(wanted, dry_run=dry_run):
                if sys.stderr.isatty() and clock.monotonic() - shown_at >= _PROGRESS_S:
                    shown_at = clock.monotonic()
                    typer.echo(f"\r{_counts(done)}\x1b[K", nl=False, err=True)
        finally:
            if sys.stderr.isatty():
                typer.echo("\r\x1b[K", nl=False, err=True)
            if done.changed and not dry_run:
                _note(engine, clock, wanted, done)
    if output is Output.JSON:
        typer.echo(as_json({"dry_run": dry_run, **_told(done)}))
        return
    _say(done, dry_run=dry_run)


def _counts(done: "Changes") -> str:
    changed = "changes" if done.changed == 1 else "change"
    return f"{counted(done.interceptions, 'interception')}, of which {done.changed:,} {changed}"


def _told(done: "Changes") -> dict[str, Any]:
    from aibridged.core.money import dollars

    return {
        **done._asdict(),
        "before": dollars(done.before),
        "after": dollars(done.after),
    }


def _say(done: "Changes", *, dry_run: bool) -> None:
    from aibridged.core.money import shown

    if not done.interceptions:
        say("No interception that has ended matches.")
        return
    how = "would change" if dry_run else "changed"
    more = done.unpriced > 0
    before, after = shown(done.before, "exact"), shown(done.after, "exact", lacks_some=more)
    say(
        f"Of {counted(done.interceptions, 'interception')}, {done.changed:,} {how}:"
        f" together {before} before, {after} after."
    )
    if more:
        say(f"{counted(done.unpriced, 'interception')} used a model without a price.")


def _note(engine: "Engine", clock: "Clock", wanted: "Filter", done: "Changes") -> None:
    """Leave a row in the audit log: of what was done, also if the rest failed."""
    from aibridged.core.money import dollars
    from aibridged.identity.audit import Trail
    from aibridged.identity.tables import transaction

    until = wanted.started_before
    only = {name: getattr(wanted, name) for name in ("provider", "model", "initiator")}
    period = f"{wanted.started_after:%Y-%m-%dT%H:%M:%SZ} to {until:%Y-%m-%dT%H:%M:%SZ}"
    with transaction(engine) as connection:
        Trail(clock).note(
            connection,
            "price.recompute",
            period,
            before={"cost": dollars(done.before)},
            after={
                "cost": dollars(done.after),
                "interceptions": done.changed,
                **{name: value for name, value in only.items() if value is not None},
            },
        )
