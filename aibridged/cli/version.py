"""`aibridged version`: version, commit, Python and operating system."""

import platform

import typer

import aibridged
from aibridged.commit import commit


def version() -> None:
    """Print the version and the commit that it was built from."""
    built_of = commit()
    typer.echo(
        f"aibridged {aibridged.__version__} ("
        + (f"commit {built_of}, " if built_of else "")
        + f"{platform.python_implementation()} {platform.python_version()}, {platform.system()})"
    )
