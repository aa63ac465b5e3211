"""`aibridged sample-config`: prints a commented configuration file."""

import typer


def sample_config() -> None:
    """Print a YAML file with every setting and its help text."""
    from aibridged.config import render

    typer.echo(render.sample_yaml(), nl=False)
