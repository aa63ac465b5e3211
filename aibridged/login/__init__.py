"""Sign-in for developers: `aibridged login`, `access-token`, `logout`, `whoami` and `setup`.

Standard library only, and nothing of the daemon's: agents call `access-token` often, and the same
files are the small package `aibridged-login` for machines that run no gateway. Nothing here exists
on POSIX alone.
"""

COMMANDS = ("login", "access-token", "logout", "whoami", "setup")
"""The names of the commands, in the order of help."""

HELP = frozenset({"--help", "-h"})
"""What asks for help instead."""
