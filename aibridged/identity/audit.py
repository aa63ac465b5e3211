"""The audit log: what administrators did, a row each, in the same database.

A row is written in the transaction of what it tells of, where that is one. Nothing deletes rows.
"""

import getpass
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aibridged.identity.tables import MAX_ACTION, MAX_ACTOR, audit


def record(
    connection: sa.Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append a row: who did what to whom, and what it changed.

    `action` is a verb with its object, such as `user.erase`; `before` and `after` hold no secrets.
    """
    connection.execute(
        audit.insert().values(
            at=at,
            actor=actor[:MAX_ACTOR],
            action=action[:MAX_ACTION],
            target=target[:MAX_ACTOR],
            before=before and dict(before),
            after=after and dict(after),
        )
    )


def system_user(environ: Mapping[str, str] = os.environ) -> str:
    """The actor of a command: the user of the operating system, before `sudo` too."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    # Only root's environment can be taken at its word, and hardly that.
    before = environ.get("SUDO_USER") if os.geteuid() == 0 else None
    account = f"{name or 'unknown'} (uid {os.geteuid()})"
    return f"{account}, sudo by {before}" if before else account
