"""`whoami`: who is signed in, where, and until when, as the gateway says it."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .bearer import fresh
from .command_line import Terminal, wanted_url
from .failure import LoginError, SignedOutError
from .requests import ask
from .store import Login

PATH = "/api/v2/users/me"


def run(terminal: Terminal, arguments: argparse.Namespace) -> None:
    """Ask the gateway, with a fresh bearer."""
    login = fresh(terminal.logins, wanted_url(terminal, arguments), terminal.clock)
    answer = ask(f"{login.url}{PATH}", bearer=login.access_token, ca_file=login.ca_file)
    if answer.status == 401:
        raise SignedOutError(
            f"{login.url} no longer accepts your sign-in",
            f"Sign in again: `aibridged login {login.url}`.",
        )
    if answer.status not in (200, 404):
        raise LoginError(f"{login.url} can't say it now (status {answer.status})", "Try again.")
    for name, value in _lines(login, answer.data if answer.status == 200 else {}):
        terminal.say(f"{name:9}{value}")


def _lines(login: Login, person: Mapping[str, Any]) -> list[tuple[str, str]]:
    roles = person.get("roles")
    is_admin = isinstance(roles, list) and any(
        isinstance(role, dict) and role.get("name") == "owner" for role in roles
    )
    groups = person.get("groups")
    names = [_plain(name) for name in groups] if isinstance(groups, list) else []
    until = datetime.fromtimestamp(login.expires_at, UTC).astimezone()
    lines = [
        ("User", _plain(person.get("username"))),
        ("Email", _plain(person.get("email")) or login.email or ""),
        ("Groups", ", ".join(filter(None, names))),
        ("Role", "admin" if is_admin else ""),
        ("Gateway", login.url),
        (
            "Token",
            f"valid until {until:%Y-%m-%d %H:%M:%S}, "
            + ("renewed by itself" if login.refresh_token else "not renewed"),
        ),
    ]
    return [(name, value) for name, value in lines if value]


def _plain(value: object) -> str:
    """A name from the gateway for a terminal."""
    text = value[:320] if isinstance(value, str) else ""
    return "".join(each if each.isprintable() else " " for each in text)
