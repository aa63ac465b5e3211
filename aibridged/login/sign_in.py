"""`login`: the device grant in a terminal."""

import argparse
import sys
import threading
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from . import oauth
from .address import normalised
from .clock import Clock
from .command_line import Terminal
from .failure import LoginError
from .store import Login

_LOCK_S = 10.0


def run(terminal: Terminal, arguments: argparse.Namespace) -> None:
    """Sign in, and store it as the default gateway."""
    url = normalised(arguments.url)
    ca_file = str(Path(arguments.ca_file).resolve()) if arguments.ca_file else None
    endpoints = oauth.discover(url, ca_file)
    device = oauth.begin(url, endpoints, ca_file)
    in_browser = (
        not arguments.no_browser and terminal.is_interactive and has_browser(terminal.environ)
    )
    _show(terminal, device, in_browser)
    tokens = oauth.wait(endpoints, device, terminal.clock, ca_file)
    login = replace(
        _login(url, endpoints, tokens, terminal.clock),
        ca_file=ca_file,
        keyring=arguments.keyring,
    )
    before = _store(terminal, login)
    if before is not None and before.revocation_endpoint is not None:
        with suppress(LoginError):
            oauth.revoke(
                before.revocation_endpoint, before.access_token, before.refresh_token, ca_file
            )
    who = f" as {login.email}" if login.email else ""
    terminal.say(f"Signed in at {url}{who}.")
    if login.email:
        terminal.say("If that isn't your account, run `aibridged logout`.")
    if login.refresh_token is None:
        hours = login.lifetime / 3600
        terminal.say(f"The gateway can't renew this sign-in: it ends in {hours:.1f} h.")


def _login(url: str, endpoints: oauth.Endpoints, tokens: oauth.Tokens, clock: Clock) -> Login:
    """The sign-in that the tokens are of."""
    return Login(
        url=url,
        access_token=tokens.access,
        expires_at=clock.now() + tokens.lifetime,
        lifetime=tokens.lifetime,
        token_endpoint=endpoints.token,
        refresh_token=tokens.refresh,
        revocation_endpoint=endpoints.revocation,
        email=tokens.email,
    )


def _store(terminal: Terminal, login: Login) -> Login | None:
    """Store the sign-in as the default; the one that it replaces."""
    logins, before = terminal.logins, None
    with suppress(LoginError):
        # One that is damaged is replaced, too.
        before = logins.load(login.url)
    lock = logins.lock(login.url)
    lock.acquire(_LOCK_S)
    try:
        logins.save(login)
        logins.make_default(login.url)
    finally:
        lock.release()
    return before


def has_browser(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser can show the person a page: one in front of them, not at a server."""
    if environ.get("BROWSER"):
        return True
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return False
    if platform in ("win32", "darwin"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _show(terminal: Terminal, device: oauth.Device, in_browser: bool) -> None:
    if device.notice:
        terminal.say(f"{device.notice}\n")
    if in_browser:
        terminal.say("The browser opens. It must show this code: compare before you go on.")
    else:
        terminal.say("Open this address in a browser. Continue there only with this code.")
    page = device.uri_complete or device.uri
    terminal.say(f"\n    {page}\n    {device.user_code}\n")
    if in_browser:
        _open(page)
    terminal.say(f"Waiting for {device.lifetime / 60:.0f} minutes at most; Ctrl-C ends it.")


def _open(page: str) -> None:
    def run() -> None:
        with suppress(Exception):
            webbrowser.open(page)

    # Some browsers return only when they are closed.
    threading.Thread(target=run, daemon=True).start()
