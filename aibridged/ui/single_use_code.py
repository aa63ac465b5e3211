"""Single-use codes: a command on the same machine opens the page for its user.

The command leaves a code in a private file of the state directory, with the gateway token that it
stands for. The first attempt removes the file, whatever it says.
"""

import hmac
import os
import secrets
from pathlib import Path

import msgspec

from aibridged.clock import Clock
from aibridged.config.private_file import make_private, open_private
from aibridged.config.secret import Secret

LIFETIME_S = 60.0
FILE = "web-page.code"
"""In the state directory."""

_MAX_FILE = 4096


class _Offer(msgspec.Struct, frozen=True):
    code: str
    token: str
    until: float

    def __repr__(self) -> str:
        return "_Offer()"


def offer(state_dir: Path, token: Secret, clock: Clock) -> str:
    """Leave a new code for a token, in place of one that is there; returns it.

    Raises:
        OSError: the file can't be made.
    """
    code = secrets.token_urlsafe(24)
    content = _Offer(code, token.reveal(), clock.wall().timestamp() + LIFETIME_S)
    path = state_dir / FILE
    path.unlink(missing_ok=True)
    with os.fdopen(make_private(path), "wb") as file:
        file.write(msgspec.json.encode(content))
    return code


def spend(state_dir: Path, code: str, clock: Clock) -> str | None:
    """The token that a code stands for; None if it is none, or no longer. Blocks."""
    path = state_dir / FILE
    try:
        with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
            content = file.read(_MAX_FILE)
        path.unlink()  # of several attempts, this succeeds for one
        offered = msgspec.json.decode(content, type=_Offer)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_right = hmac.compare_digest(offered.code.encode(), code.encode())
    left = offered.until - clock.wall().timestamp()
    return offered.token if is_right and 0 < left <= LIFETIME_S else None
