"""`aibridged complete`: dynamic shell completion, a hidden command that shells call."""

import re
import threading
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.database import found_settings
from aibridged.cli.options import STORE
from aibridged.config.options import OPTIONS

if TYPE_CHECKING:
    from aibridged.config.options import Settings

# A user waits for the completion: after this time, there is none.
TIME_LIMIT_S = 0.3
# Names are callers' text: those that a shell or a terminal could interpret are left out.
_HARMLESS = re.compile(r"[\w.:/@+=-][\w.:/@+= -]*")


class Names(StrEnum):
    """Kinds of names that can be completed."""

    USERS = "users"
    GROUPS = "groups"
    TOKENS = "tokens"
    LIMITS = "limits"
    INITIATORS = "initiators"
    PROVIDERS = "providers"
    MODELS = "models"
    CLIENTS = "clients"
    SESSIONS = "sessions"
    SERVERS = "servers"


def complete(
    kind: Annotated[Names, typer.Argument(metavar="KIND", help="Names of what.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORDS", help="The command line so far: which database it names."),
    ] = None,
) -> None:
    """Print names for a shell to complete: one per line, with a description after a tab.

    Never creates or changes a database, reports no errors, and gives up after a moment.
    """
    found: list[str] = []
    asking = threading.Thread(target=_ask, args=(kind, words or (), found), daemon=True)
    asking.start()
    asking.join(TIME_LIMIT_S)
    for line in found[:]:
        typer.echo(line)


def _ask(kind: Names, words: Sequence[str], found: list[str]) -> None:
    try:
        for line in _lines(kind, dict(_flags(words))):
            found.append(line)
    except Exception:  # noqa: BLE001 # whatever is wrong, a half-typed line isn't the place to say so
        return


def _lines(kind: Names, flags: dict[str, str]) -> Iterator[str]:
    from aibridged.records.completion import names

    settings = found_settings(flags, STORE).resolution.settings
    if settings is None:
        return
    configured = _configured(kind, settings)
    yield from (f"{name}\t{about}" for name, about in configured.items())
    if kind is Names.SERVERS:
        return
    url = settings.postgres_url.reveal() if settings.postgres_url else None
    for name, about in names(kind.value, settings.state_dir, url):
        if _HARMLESS.fullmatch(name) and name not in configured:
            yield f"{name}\t{about if about.isprintable() else ''}"


def _configured(kind: Names, settings: "Settings") -> dict[str, str]:
    """The names in the settings, each with a description."""
    if kind is Names.PROVIDERS:
        return {provider.name: provider.type for provider in settings.providers}
    if kind is Names.SERVERS:
        return {server.id: "" for server in settings.mcp_servers}
    return {}


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The flags on the command line that choose the database."""
    flags = {"--config", *(option.flag for option in OPTIONS if option.name in STORE)}
    for word, following in pairwise([*words, ""]):
        flag, equals, value = ("--config" if word == "-c" else word).partition("=")
        if flag in flags and (value if equals else following):
            yield flag, value if equals else following
