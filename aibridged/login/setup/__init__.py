"""`setup`: configure a coding agent for a gateway: show the change, ask, keep what was there."""

import argparse
import sys
from importlib import import_module

from ..command_line import Terminal, wanted_url
from ..failure import LoginError
from .target import Target
from .undo import Journal

_AGENTS = {
    "claude-code": "claude_code",
    "codex": "codex",
    "kilo": "kilo",
    "opencode": "opencode",
    "pi": "pi",
}


def run(terminal: Terminal, arguments: argparse.Namespace) -> None:
    """Set an agent up, or undo that."""
    name = arguments.agent
    if arguments.managed and name != "claude-code":
        raise LoginError("--managed is for claude-code", f"Leave it out for {name}.")
    journal = Journal(terminal.folder, f"{name}-managed" if arguments.managed else name)
    if arguments.undo:
        changes, notes = journal.reverse(is_sure=arguments.yes), []
    else:
        agent = import_module(f".{_AGENTS[name]}", __package__)
        changes, notes = agent.plan(_target(terminal, arguments))
    changes = [change for change in changes if change.is_one]
    if not changes:
        if arguments.undo:
            journal.forget()
        terminal.say("There is nothing to undo." if arguments.undo else "It is set up already.")
        return
    for change in changes:
        terminal.say(change.shown())
    if arguments.print:
        return
    if not arguments.yes:
        _ask(terminal)
    for change in changes:
        if not arguments.undo:
            journal.keep(change)
        change.make()
    if arguments.undo:
        journal.forget()
        terminal.say("It is as it was before.")
        return
    terminal.say(f"Done. `{' '.join((*terminal.program, 'setup', name))} --undo` restores it.")
    for note in notes:
        terminal.say(f"Note: {note}")


def _target(terminal: Terminal, arguments: argparse.Namespace) -> Target:
    url = wanted_url(terminal, arguments) or terminal.logins.default()
    if url is None:
        raise LoginError(
            "it isn't known for which gateway",
            "Run `aibridged login URL` first, or name the gateway with --url.",
        )
    return Target(
        url=url,
        command=(*terminal.program, "access-token", "--url", url),
        environ=terminal.environ,
        home=terminal.home,
        platform=sys.platform,
        provider=arguments.provider,
        managed=arguments.managed,
        is_signed_in=terminal.logins.load(url) is not None,
    )


def _ask(terminal: Terminal) -> None:
    if not terminal.is_interactive:
        raise LoginError("nobody can be asked here", "Add --yes to make the change.")
    try:
        answer = input("Make this change? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise LoginError("nothing was changed")
