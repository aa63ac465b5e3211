"""`python -m aibridged` is `aibridged`."""

from aibridged.cli import main

if __name__ == "__main__":
    main()
