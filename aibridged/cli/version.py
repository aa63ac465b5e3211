"""`aibridged version`: version, Python and operating system."""

import platform

import typer

import aibridged


def version() -> None:
    """Print the version."""
    typer.echo(
        f"aibridged {aibridged.__version__} "
        f"({platform.python_implementation()} {platform.python_version()}, {platform.system()})"
    )
