"""Polling, for conditions that nothing signals: a thread or a library brings them about."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], patience: float = 10) -> None:
    """Return once `condition()` is true; TimeoutError after `patience` seconds."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.002)
