"""`aibridged users sign-out`: ends a user's sign-ins everywhere."""

from typing import TYPE_CHECKING

import typer

from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    Username,
    as_json,
    changing,
    opened,
)
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.config.options import Settings


def sign_out(settings: "Settings", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """End a user's sign-ins: of their agents, and of their browsers.

    It takes effect in a running daemon within a few seconds. Tokens from `tokens create` are not
    affected; the user can sign in again, unless they are suspended.
    """
    from aibridged.clock import SystemClock
    from aibridged.identity.audit import system_user
    from aibridged.identity.sign_ins import SignInStore

    with changing(settings):
        store = SignInStore(
            opened(settings, Access.CHANGE), SystemClock(), bearer_ttl=settings.bearer_ttl
        )
        ended = store.sign_out(username, actor=system_user())
    if output is Output.JSON:
        typer.echo(as_json({"username": username, "ended": ended}))
    else:
        typer.echo(f"Signed {username} out: {counted(ended, 'sign-in')} ended.")
