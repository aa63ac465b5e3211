"""The commands of sign-in: their arguments, and how they end.

`argparse` reads them here without loading anything else; `aibridged.cli` makes its own help, manual
and completions from the same parser.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .clock import Clock, SystemClock
from .failure import LoginError
from .folders import config_folder
from .store import Logins

URL_VARIABLE = "AIBRIDGED_URL"


@dataclass(frozen=True)
class Terminal:
    """What a command has around it. `program` is how these commands are called, word by word."""

    environ: Mapping[str, str]
    home: Path
    program: Sequence[str]
    clock: Clock
    is_interactive: bool
    name: str = "aibridged"

    @property
    def folder(self) -> Path:
        return config_folder(self.environ, self.home)

    @property
    def logins(self) -> Logins:
        return Logins(self.folder, self.clock)

    def say(self, text: str = "") -> None:
        """Print a line for the person."""
        print(named(text, self.name), flush=True)


Run = Callable[[Terminal, argparse.Namespace], None]


@dataclass(frozen=True)
class Command:
    """A command: its help, its arguments, and the module that has its `run`."""

    name: str
    module: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]

    def run(self, terminal: Terminal, arguments: argparse.Namespace) -> None:
        run: Run = import_module(f".{self.module}", __package__).run
        run(terminal, arguments)


def _login(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="Address of the gateway.")
    parser.add_argument(
        "--no-browser", action="store_true", help="Show address and code, open no browser."
    )
    parser.add_argument(
        "--ca-file", metavar="PATH", help="CA certificates (PEM) that the gateway's is verified by."
    )
    parser.add_argument(
        "--keyring", action="store_true", help="Keep the tokens in the system's keyring."
    )


def _at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        metavar="URL",
        help=f"Address of the gateway ({URL_VARIABLE}; default: the one signed in to last).",
    )


def _logout(parser: argparse.ArgumentParser) -> None:
    _at(parser)
    parser.add_argument("--all", action="store_true", help="Sign out of every gateway.")


AGENTS = ("claude-code", "codex", "kilo", "opencode", "pi")


def _setup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent",
        metavar="AGENT",
        choices=AGENTS,
        help="The agent: claude-code, codex, kilo, opencode or pi.",
    )
    _at(parser)
    parser.add_argument(
        "--provider",
        metavar="NAME",
        help="Name of the gateway's provider (default: the first of the agent's type).",
    )
    parser.add_argument(
        "--managed",
        action="store_true",
        help="Managed settings with the gateway's sign-in, for all users (Claude Code).",
    )
    parser.add_argument("--print", action="store_true", help="Show the change, and make none.")
    parser.add_argument("--undo", action="store_true", help="Restore what was there before.")
    parser.add_argument("--yes", "-y", action="store_true", help="Make the change without asking.")


COMMANDS = (
    Command(
        "login",
        "sign_in",
        "Sign in at a gateway with the browser.\n\nShows an address and a code, which the browser "
        "must show, too. Agents get the token from `access-token`; `setup` configures them.",
        _login,
    ),
    Command(
        "access-token",
        "access_token",
        "Print a fresh token for the gateway, for agents to call.\n\nRenews it in time. Nothing "
        "else goes to standard output.",
        _at,
    ),
    Command(
        "logout",
        "sign_out",
        "Sign out: revoke the tokens and remove them here.",
        _logout,
    ),
    Command(
        "whoami",
        "whoami",
        "Show who is signed in, where, and until when.",
        _at,
    ),
    Command(
        "setup",
        "setup",
        "Configure a coding agent for the gateway.\n\nShows the difference and asks first. Keeps "
        "what was there before, for `--undo`.",
        _setup,
    ),
)
BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}


_OF_OURS = re.compile(f"`aibridged (?=(?:{'|'.join(BY_NAME)})\\b)")


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints look like the other commands'."""

    def error(self, message: str) -> None:  # type: ignore[override]
        mend = f"`{self.prog} --help` describes it."
        print(LoginError(message.removesuffix("."), mend).text(self.prog), file=sys.stderr)
        sys.exit(2)


def main(arguments: Sequence[str] | None = None, program: str = "aibridged-login") -> None:
    """Run a command, and exit with 0, 1 for a failure, 2 for wrong usage, or 130 for Ctrl-C."""
    parsed = _parser(program).parse_args(arguments)
    sys.exit(run(BY_NAME[parsed.command], parsed, program))


def run(command: Command, arguments: argparse.Namespace, program: str) -> int:
    """Run a parsed command; its exit status. Failures go to standard error."""
    terminal = Terminal(
        os.environ,
        Path.home(),
        called(program),
        SystemClock(),
        sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty(),
        program,
    )
    name = f"{program} {command.name}"
    try:
        command.run(terminal, arguments)
        sys.stdout.flush()
    except LoginError as error:
        print(named(error.text(name), program), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nobody reads on; nor shall the interpreter complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nCancelled.", file=sys.stderr)
        return 130
    return 0


def named(text: str, program: str) -> str:
    """The text with these commands called as they are here."""
    return _OF_OURS.sub(f"`{program} ", text)


def wanted_url(terminal: Terminal, arguments: argparse.Namespace) -> str | None:
    """The gateway that the flag or the variable names."""
    from .address import normalised

    given = arguments.url or terminal.environ.get(URL_VARIABLE)
    return normalised(given) if given else None


def called(program: str) -> Sequence[str]:
    """How an agent calls these commands: by an absolute path, since its PATH may be another."""
    from shutil import which

    script = Path(sys.argv[0])
    if script.stem != program:
        # `python -m`
        return [sys.executable, "-m", (__package__ or "").removesuffix(".login")]
    return [which(str(script)) or str(script.absolute())]


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Sign in at an AI gateway, and configure coding agents for it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        summary, _, rest = command.help.partition("\n\n")
        command.add_arguments(
            commands.add_parser(
                command.name,
                help=summary.rstrip("."),
                description=f"{summary} {rest}".strip(),
                allow_abbrev=False,
            )
        )
    return parser


class _Version(argparse.Action):
    """Prints the version of the package."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="Print the version.")

    def __call__(self, *_: object) -> None:
        from importlib.metadata import version

        print("aibridged-login", version("aibridged-login"))
        sys.exit(0)
