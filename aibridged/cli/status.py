"""`aibridged status`: what the running daemon does, asked over its status socket."""

import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.database import found_settings, out_of_reach
from aibridged.cli.identity_store import Output, OutputFlag
from aibridged.cli.options import takes, without_mistakes
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.config.options import Settings

_EVERY_S = 2.0
_WHOLE = 10_000  # cells of a line that is not for a terminal: nothing is cut there

# The alternate screen, without a cursor, and back; a screen is drawn over the one before, so that
# it doesn't flicker: each line is cleared to its end, and what is below the last one.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_LINE_END, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

_NAMES = ("state_dir",)


Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Show it again every 2 seconds, until Ctrl-C.")
]


def _status(settings: "Settings", watch: Watch = False, output: OutputFlag = Output.TABLE) -> None:
    """Show what the running daemon does.

    That is requests, limits, circuits, database and memory. It is asked over a Unix socket in the
    state directory, by root or the daemon's own user. Exits with status 1 if no daemon is running
    there.
    """
    from aibridged.daemon.status_socket import DAEMON

    _show(settings.state_dir, DAEMON, watch=watch, output=output)


def _proxy_status(
    settings: "Settings", watch: Watch = False, output: OutputFlag = Output.TABLE
) -> None:
    """Show what the standalone AI Proxy does.

    That is connections, memory and descriptors. It is asked over a Unix socket in its state
    directory, if that exists, by root or its own user. Exits with status 1 if none is running
    there. For an AI Proxy in the daemon, see `aibridged status`.
    """
    from aibridged.daemon.status_socket import PROXY

    _show(settings.state_dir, PROXY, watch=watch, output=output)


def _resolve(flags: Mapping[str, str]) -> "Settings":
    found = found_settings(flags, _NAMES)
    if remark := out_of_reach(found):
        say(remark, err=True)
    return without_mistakes(found.resolution)


status = takes(_NAMES, _status, resolve=_resolve)
status.__name__ = "status"
proxy_status = takes(_NAMES, _proxy_status, resolve=_resolve)


def _show(directory: Path, name: str, *, watch: bool, output: Output) -> None:
    from aibridged.daemon.status_socket import NoDaemonError

    try:
        if watch:
            _watch(lambda: _text(directory, name, output), output, threading.Event().wait)
        else:
            typer.echo(_text(directory, name, output))
    except NoDaemonError as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit() from None


def _text(directory: Path, name: str, output: Output) -> str:
    """The status as it is shown.

    Raises:
        NoDaemonError: no daemon says it.
    """
    from aibridged.cli.query_options import as_json
    from aibridged.cli.status_text import as_text
    from aibridged.cli.table import terminal_width
    from aibridged.daemon.status_report import decoded
    from aibridged.daemon.status_socket import NoDaemonError, ask

    try:
        found = decoded(ask(directory, name))
    except ValueError:
        raise NoDaemonError(
            f"What serves {directory / name} is not a daemon of this release."
        ) from None
    return as_json(found) if output is Output.JSON else as_text(found, terminal_width() or _WHOLE)


def _watch(read: Callable[[], str], output: Output, pause: Callable[[float], object]) -> None:
    """Show the status again and again: on a terminal in one place, else one below the other.

    Raises:
        NoDaemonError: no daemon runs at the start. One that ends meanwhile may be restarting.
    """
    from aibridged.cli.table import WIDTH, terminal_width, wrapped
    from aibridged.daemon.status_socket import NoDaemonError

    text = read()
    on_screen = output is Output.TABLE and sys.stdout.isatty()
    if on_screen:
        _write(_ENTER)
    try:
        while True:
            _write(_screen(text) if on_screen else f"{text}\n")
            pause(_EVERY_S)
            try:
                text = read()
            except NoDaemonError as error:
                if output is Output.JSON:
                    raise
                text = "\n".join(wrapped(str(error), terminal_width() or WIDTH))
    finally:
        if on_screen:
            _write(_LEAVE)


def _screen(text: str) -> str:
    """The lines that fit on the terminal, drawn over what is there."""
    lines = text.splitlines()[: max(1, shutil.get_terminal_size().lines - 1)]
    return _HOME + "".join(f"{line}{_TO_LINE_END}\n" for line in lines) + _BELOW


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
