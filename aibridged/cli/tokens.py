"""`aibridged tokens`: creates, lists and revokes gateway tokens."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    as_json,
    day,
    minute,
    takes_store,
)
from aibridged.cli.table import table
from aibridged.clock import SystemClock
from aibridged.config import durations

if TYPE_CHECKING:
    from aibridged.identity.tokens import TokenStore


def tokens() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="tokens", no_args_is_help=True, help="Create, list and revoke tokens.")
    commands: tuple[tuple[str, Callable[..., None], Access], ...] = (
        ("create", _create, Access.CHANGE),
        ("list", _list, Access.READ),
        ("revoke", _revoke, Access.CHANGE),
    )
    for name, command, access in commands:
        group.command(name)(takes_store(command, access))
    return group


def _create(
    store: "TokenStore",
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Owner of the token.")],
    name: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Name of the token, such as the machine it is used on."),
    ] = "",
    lifetime: Annotated[
        str, typer.Option(metavar="DURATION", help="Lifetime of the token; 0 is unlimited.")
    ] = "30d",
    output: OutputFlag = Output.TABLE,
) -> None:
    """Create a token and print it once.

    Only the token is written to stdout, so that it can be piped into a secret store.
    """
    seconds = _seconds(lifetime)
    info, secret = store.create_token(user, name=name, lifetime=seconds)
    if output is Output.JSON:
        typer.echo(as_json({**asdict(info), "token": secret.reveal()}))
    else:
        typer.echo(secret.reveal())
    end = f"It expires on {minute(info.expires_at)} UTC." if seconds else "It never expires."
    typer.echo(f"Save it now: it won't be shown again. {end}", err=True)


def _list(
    store: "TokenStore",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Only tokens of this user.")
    ] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Include revoked tokens.")] = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List tokens, without secrets. Times are in UTC; the last use is accurate to a minute."""
    found = store.list_tokens(user, revoked=revoked)
    now = SystemClock().wall()
    if output is Output.JSON:
        typer.echo(as_json([{**asdict(info), "status": info.status(now)} for info in found]))
        return
    if not found:
        whose = f"{user} has" if user else "There are"
        typer.echo(f"{whose} no tokens in {store.place}.", err=True)
        return
    headings = ("ID", "USER", "NAME", "STATUS", "EXPIRES", "LAST USED")
    rows = [
        (
            info.id,
            info.username,
            info.name,
            info.status(now),
            day(info.expires_at),
            minute(info.last_used_at),
        )
        for info in found
    ]
    typer.echo(table(headings, rows, cut=("USER", "NAME")))


def _revoke(
    store: "TokenStore",
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN-ID", help="An id from `tokens list`: aib_<ID>_…")
    ],
    output: OutputFlag = Output.TABLE,
) -> None:
    """Revoke a token permanently.

    It takes effect in a running daemon within a few seconds.
    """
    info = store.revoke_token(token_id)
    if output is Output.JSON:
        typer.echo(as_json(info))
        return
    typer.echo(
        f"Revoked {info.id} of {info.username}. A running daemon rejects it within a few seconds."
    )


def _seconds(lifetime: str) -> float | None:
    try:
        return durations.parse(lifetime) or None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lifetime") from None
