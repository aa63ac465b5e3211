"""What tests of the page share."""

from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def log() -> Iterator[list[str]]:
    """All that is logged."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level}: {message} {extra}", level=0)
    yield lines
    logger.remove(sink)
