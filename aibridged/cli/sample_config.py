"""`aibridged sample-config`: a file to start from."""

import typer


def sample_config() -> None:
    """Print a YAML file with every setting and what it does."""
    from aibridged.config import render

    typer.echo(render.sample_yaml(), nl=False)
