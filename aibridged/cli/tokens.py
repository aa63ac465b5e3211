"""`aibridged tokens`: creates, lists and revokes gateway tokens."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.cells import time
from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.identity_store import Access, Output, OutputFlag, as_json, show, takes_store
from aibridged.cli.say import say
from aibridged.clock import SystemClock
from aibridged.config import durations

if TYPE_CHECKING:
    from aibridged.identity.tokens import TokenStore
    from aibridged.identity.users import TokenInfo


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


def _columns(now: datetime) -> "tuple[Column[TokenInfo], ...]":
    return (
        Column("id", attrgetter("id")),
        Column("username", attrgetter("username"), "USER", cut=True),
        Column("name", attrgetter("name"), cut=True),
        Column("status", lambda token: token.status(now)),
        Column("created_at", attrgetter("created_at"), "CREATED", Kind.TIME, is_shown=False),
        Column("expires_at", attrgetter("expires_at"), "EXPIRES", Kind.TIME, absent="never"),
        Column("last_used_at", attrgetter("last_used_at"), "LAST USED", Kind.TIME, absent="never"),
    )


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
    end = f"It expires on {time(info.expires_at)} UTC." if seconds else "It never expires."
    say(f"Save it now: it won't be shown again. {end}", err=True)


def _list(
    store: "TokenStore",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Only tokens of this user.")
    ] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Include revoked tokens.")] = False,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List tokens, without secrets. Times are in UTC; the last use is accurate to a minute."""
    now = SystemClock().wall()
    view = chosen(_columns(now), wide, columns, output=output)
    found = store.list_tokens(user, revoked=revoked)
    data = [{**asdict(info), "status": info.status(now)} for info in found]
    whose = f"{user} has" if user else "There are"
    show(found, view, output, nothing=f"{whose} no tokens in {store.place}.", data=data)


def _revoke(
    store: "TokenStore",
    token_id: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN-ID", help="An id from `tokens list`: aib_<ID>_…, or its beginning."
        ),
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
    say(f"Revoked {info.id} of {info.username}. A running daemon rejects it within a few seconds.")


def _seconds(lifetime: str) -> float | None:
    try:
        return durations.parse(lifetime) or None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lifetime") from None
