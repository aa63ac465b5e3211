"""`python -m aibridged_login` is `aibridged-login`."""

from .command_line import main

if __name__ == "__main__":
    main()
