"""The commit that this installation was built from."""

from pathlib import Path

FILE = "commit.txt"
"""What the wheel and the source archive have beside this module; a checkout has none."""
_DEADLINE_S = 2


def commit(package: Path = Path(__file__).parent) -> str | None:
    """The abbreviated commit, from the installation or the checkout; None where neither says it.

    A build of changed files has `-dirty` behind it.
    """
    try:
        return (package / FILE).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeError):
        pass
    if not (package.parent / ".git").exists():
        return None
    import subprocess  # only here, since it takes longer than all else

    try:
        done = subprocess.run(
            ["git", "-C", package.parent, "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            check=True,
            text=True,
            timeout=_DEADLINE_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
