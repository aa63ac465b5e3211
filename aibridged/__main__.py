"""The console script, and `python -m aibridged`.

The commands of sign-in are run from here, without the libraries of all the others: agents call
`aibridged access-token` often. So is `serve`, where its flags are plain: who restarts it, waits.
"""

import gc
import os
import sys

from aibridged.login import COMMANDS, HELP

CHANNEL = "AIBRIDGED_CHANNEL"
"""The variable of a process that the daemon's supervisor has started; see `daemon.workers`."""


def main() -> None:
    """Run a command."""
    arguments = sys.argv[1:]
    if CHANNEL in os.environ:
        from aibridged.daemon.workers.child import main as main_of_child

        sys.exit(main_of_child(os.environ))
    if arguments and arguments[0] in COMMANDS and not HELP.intersection(arguments):
        from aibridged.login.command_line import main as main_of_login

        main_of_login(arguments, "aibridged")
        return
    # Loading modules leaves no garbage: looking for it takes a tenth of a short command's time. The
    # daemon sets its own.
    gc.set_threshold(100_000)
    if arguments[:1] == ["serve"]:
        from aibridged.daemon.command_line import main as main_of_serve

        status = main_of_serve(arguments[1:])
        if status is not None:
            sys.exit(status)
    from aibridged.cli import main as main_of_all

    main_of_all()


if __name__ == "__main__":
    main()
