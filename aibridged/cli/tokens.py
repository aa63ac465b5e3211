"""`aibridged tokens`: creates, lists, renews and revokes gateway tokens."""

from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.cells import time
from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.database import takes_database
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    as_json,
    changing,
    show,
    store_of,
    takes_store,
    told,
)
from aibridged.cli.say import say
from aibridged.clock import SystemClock
from aibridged.config import durations
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.identity.tokens import TokenStore
    from aibridged.identity.users import TokenInfo

_LIFETIMES = ("default_token_lifetime", "max_token_lifetime")


def tokens() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="tokens", no_args_is_help=True, help="Create, list, renew and revoke tokens."
    )
    group.command("create")(takes_database(_create, _LIFETIMES, tells=True))
    group.command("list")(takes_store(_list, Access.READ))
    group.command("renew")(takes_database(_renew, _LIFETIMES, tells=True))
    group.command("revoke")(takes_store(_revoke, Access.CHANGE))
    return group


def _columns(now: datetime) -> "tuple[Column[TokenInfo], ...]":
    return (
        Column("id", attrgetter("id")),
        Column("username", attrgetter("username"), "USER", cut=True),
        Column("name", attrgetter("name"), cut=True),
        Column("status", lambda token: "expiring" if token.ends_soon(now) else token.status(now)),
        Column("created_at", attrgetter("created_at"), "CREATED", Kind.TIME, is_shown=False),
        Column("expires_at", attrgetter("expires_at"), "EXPIRES", Kind.TIME, absent="never"),
        Column("last_used_at", attrgetter("last_used_at"), "LAST USED", Kind.TIME, absent="never"),
        Column("sign_in_id", attrgetter("sign_in_id"), "SIGN-IN", is_shown=False),
    )


_Id = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN-ID", help="An id from `tokens list`: aib_<ID>_…, or its beginning."
    ),
]
_Lifetime = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Lifetime of the token (--default-token-lifetime); 0 is unlimited.",
        show_default=False,
    ),
]


def _create(
    settings: "Settings",
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Owner of the token.")],
    name: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Name of the token, such as the machine it is used on."),
    ] = "",
    lifetime: _Lifetime = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Create a token and print it once.

    Only the token is written to stdout, so that it can be piped into a secret store.
    """
    seconds = _seconds(lifetime, settings)
    with changing(settings):
        store = store_of(settings, Access.CHANGE)
        info, secret = store.create_token(user, name=name, lifetime=seconds)
    if output is Output.JSON:
        from msgspec.structs import asdict

        typer.echo(as_json({**asdict(info), "token": secret.reveal()}))
    else:
        typer.echo(secret.reveal())
    say(f"Save it now: it won't be shown again. {_end(info)}", err=True)


def _list(
    store: "TokenStore",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Only tokens of this user.")
    ] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Include revoked tokens.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Include revoked tokens, and those of sign-ins.")
    ] = False,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List tokens, without secrets. Times are in UTC; the last use is accurate to a minute.

    Tokens that end within 7 days are marked as expiring.
    """
    from msgspec.structs import asdict

    now = SystemClock().wall()
    view = chosen(_columns(now), wide, columns, output=output)
    found = store.list_tokens(user, revoked=revoked or everything, sign_ins=everything)
    data = [
        {**asdict(info), "status": info.status(now), "ends_soon": info.ends_soon(now)}
        for info in found
    ]
    whose = f"{user} has" if user else "There are"
    show(found, view, output, nothing=f"{whose} no tokens in {store.place}.", data=data)
    ending = [info for info in found if info.ends_soon(now)]
    if ending and output is Output.TABLE:
        say(
            f"{counted(len(ending), 'token ends', 'tokens end')} within 7 days: "
            "`aibridged tokens renew TOKEN-ID`.",
            err=True,
        )


def _renew(
    settings: "Settings",
    token_id: _Id,
    lifetime: _Lifetime = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Let a token last longer, from now on, also if it has expired.

    It takes effect in a running daemon within 10 seconds. Revoked tokens can't be renewed.
    """
    seconds = _seconds(lifetime, settings)
    with changing(settings):
        info = store_of(settings, Access.CHANGE).renew_token(token_id, seconds)
    renewed = f"Renewed {info.id} of {info.username}. {_end(info)}"
    told(info, output, renewed)


def _revoke(
    store: "TokenStore",
    token_id: _Id,
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


def _end(info: "TokenInfo") -> str:
    at = info.expires_at
    return "It never expires." if at is None else f"It expires on {time(at)} UTC."


def _seconds(lifetime: str | None, settings: "Settings") -> float | None:
    """The lifetime in seconds, None for an unlimited one."""
    from aibridged.config.options import longest_lifetime

    longest = longest_lifetime(settings)
    if lifetime is None:
        default = settings.default_token_lifetime
        return default if longest is None else min(default, longest)
    try:
        seconds = durations.parse(lifetime) or None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lifetime") from None
    if longest is not None and (seconds is None or seconds > longest):
        raise typer.BadParameter(
            f"{lifetime if seconds else 'unlimited'} is longer than --max-token-lifetime, "
            f"{durations.show(longest)}",
            param_hint="--lifetime",
        )
    return seconds
