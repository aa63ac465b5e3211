"""`access-token`: what agents call for a bearer."""

import argparse

from .bearer import fresh
from .command_line import Terminal, wanted_url


def run(terminal: Terminal, arguments: argparse.Namespace) -> None:
    """Print a fresh bearer, and nothing else."""
    login = fresh(terminal.logins, wanted_url(terminal, arguments), terminal.clock)
    terminal.say(login.access_token)
