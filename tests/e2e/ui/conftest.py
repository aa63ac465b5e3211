"""What tests of the page share."""

import os
from collections.abc import Iterator

import pytest
from loguru import logger

# It takes pictures for the documentation, where `make pictures` says where to.
collect_ignore = [] if os.environ.get("AIBRIDGED_PICTURES") else ["test_pictures.py"]


@pytest.fixture
def log() -> Iterator[list[str]]:
    """All that is logged."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level}: {message} {extra}", level=0)
    yield lines
    logger.remove(sink)
