"""Stored sign-ins: a file for each gateway, which its owner alone can read.

With `keyring`, the tokens are in the system's keyring instead, and the file says so.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .clock import Clock
from .failure import LoginError, SignedOutError
from .folders import private_folder, remove_file, replace_file
from .lock import Lock

_SERVICE = "aibridged"
_MAX_BYTES = 64 * 1024
# A refresh is done by then, or given up; and before the gateway takes the same refresh token for a
# stolen one (30 s).
HELD_AT_MOST_S = 25.0


@dataclass(frozen=True)
class Login:
    """A sign-in at a gateway. Times are Unix seconds; `lifetime` is the bearer's, in seconds."""

    url: str
    access_token: str = field(repr=False)
    expires_at: float
    lifetime: float
    token_endpoint: str
    refresh_token: str | None = field(default=None, repr=False)
    revocation_endpoint: str | None = None
    email: str | None = None
    ca_file: str | None = None
    keyring: bool = False


class Logins:
    """The sign-ins of this user, in a folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder / "logins"
        self._default = folder / "default-gateway"
        self._clock = clock

    def chosen(self, url: str | None) -> Login:
        """The sign-in at a gateway, or at the default one.

        Raises:
            SignedOutError: there is none.
        """
        if url is None and (url := self.default()) is None:
            raise SignedOutError("you are not signed in", "Run `aibridged login URL`.")
        if (login := self.load(url)) is None:
            raise SignedOutError(f"you are not signed in at {url}", f"Run `aibridged login {url}`.")
        return login

    def load(self, url: str) -> Login | None:
        """The sign-in at a gateway, None where there is none.

        Raises:
            LoginError: it can't be read.
        """
        path = self._path(url)
        data = _read(path)
        if data is None:
            return None
        try:
            if data.get("keyring"):
                stored = _keyring("get_password", url)
                if stored is None:
                    return None
                data |= json.loads(stored)
            return _checked(data)
        except (TypeError, ValueError):
            raise LoginError(f"{path} is damaged", f"Run `aibridged login {url}`.") from None

    def save(self, login: Login) -> None:
        """Store a sign-in in the place of the one before.

        Raises:
            LoginError: it can't be stored.
        """
        data = vars(login).copy()
        if login.keyring:
            hidden = {name: data.pop(name) for name in ("access_token", "refresh_token")}
            _keyring("set_password", login.url, json.dumps(hidden))
        private_folder(self._folder)
        replace_file(self._path(login.url), json.dumps(data, indent=2).encode())

    def delete(self, login: Login) -> None:
        """Remove a sign-in; where it was the default, any other one becomes that."""
        if login.keyring and _keyring("get_password", login.url) is not None:
            _keyring("delete_password", login.url)
        remove_file(self._path(login.url))

    def default(self) -> str | None:
        """The gateway that was signed in to last, if it still is; else another one."""
        try:
            chosen = self._default.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            chosen = ""
        if chosen and self._path(chosen).exists():
            return chosen
        return next(self.urls(), None)

    def make_default(self, url: str) -> None:
        """Make a gateway the default one."""
        private_folder(self._folder)
        replace_file(self._default, f"{url}\n".encode())

    def urls(self) -> Iterator[str]:
        """The gateways with a sign-in, in no order."""
        for path in sorted(self._folder.glob("*.json")):
            data = _read(path) or {}
            if isinstance(url := data.get("url"), str):
                yield url

    def lock(self, url: str) -> Lock:
        """The lock of whoever changes the sign-in at a gateway."""
        private_folder(self._folder)
        path = self._path(url).with_suffix(".lock")
        return Lock(path, self._clock, held_at_most=HELD_AT_MOST_S)

    def _path(self, url: str) -> Path:
        host = re.sub(r"[^a-z0-9.-]", "-", (urlsplit(url).hostname or "")[:60])
        return self._folder / f"{host}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LoginError(f"{path}: {error.strerror}") from None
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise LoginError(f"{path} is damaged", "Remove it, and run `aibridged login URL`.")
    return data


_TEXTS = ("url", "access_token", "token_endpoint")
_OPTIONAL_TEXTS = ("refresh_token", "revocation_endpoint", "email", "ca_file")
_NUMBERS = ("expires_at", "lifetime")


def _checked(data: Mapping[str, Any]) -> Login:
    for names, kinds in (
        (_TEXTS, str),
        (_OPTIONAL_TEXTS, str | None),
        (_NUMBERS, int | float),
        (("keyring",), bool),
    ):
        if not all(isinstance(data.get(name), kinds) for name in names):
            raise ValueError("a field is missing, or of another type")
    fields = (*_TEXTS, *_OPTIONAL_TEXTS, *_NUMBERS, "keyring")
    return Login(**{name: data[name] for name in fields if name in data})


def _keyring(act: str, *arguments: str) -> str | None:
    """Call a function of the library keyring; its failures in words."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise LoginError(
            "the library keyring is not installed",
            "Install it beside this command, for instance with pipx:",
            "pipx inject aibridged keyring",
        ) from None
    try:
        found: str | None = getattr(keyring, act)(_SERVICE, *arguments)
    except KeyringError as error:
        said = str(error).split("\n")[0][:200]
        raise LoginError(
            f"the system's keyring can't be used: {said}", "Sign in again without --keyring."
        ) from None
    return found
