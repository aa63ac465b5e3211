"""`logout`: revoke the tokens of a sign-in, and remove it here."""

import argparse

from . import oauth
from .command_line import Terminal, wanted_url
from .failure import LoginError, SignedOutError
from .store import Login, Logins

_LOCK_S = 30.0


def run(terminal: Terminal, arguments: argparse.Namespace) -> None:
    """Sign out of one gateway, or of all; a gateway that can't be told is a failure at the end."""
    logins = terminal.logins
    if arguments.all:
        urls = list(logins.urls())
        if not urls:
            raise SignedOutError("you are not signed in anywhere")
    else:
        urls = [logins.chosen(wanted_url(terminal, arguments)).url]
    failures = [failure for url in urls if (failure := _sign_out(terminal, logins, url))]
    if failures:
        raise failures[0]


def _sign_out(terminal: Terminal, logins: Logins, url: str) -> LoginError | None:
    lock = logins.lock(url)
    # A refresh that is under way would store a new pair.
    lock.acquire(_LOCK_S)
    try:
        login = logins.load(url)
        if login is None:
            return None
        failure = _revoke(login)
        logins.delete(login)
    finally:
        lock.release()
    terminal.say(f"Signed out of {url}.")
    return failure


def _revoke(login: Login) -> LoginError | None:
    why = "it has no revocation"
    if login.revocation_endpoint is not None:
        try:
            oauth.revoke(
                login.revocation_endpoint, login.access_token, login.refresh_token, login.ca_file
            )
        except LoginError as error:
            why = error.what
        else:
            return None
    return LoginError(
        f"the tokens are removed here, but the gateway could not revoke them: {why}",
        "If they may be in other hands, have an admin run `aibridged users sign-out` there.",
    )
