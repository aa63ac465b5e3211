"""Status of the process itself: memory, descriptors, client connections."""

import asyncio
from contextlib import suppress

from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.daemon.memory import available_memory, resident_memory
from aibridged.daemon.status_report import Clients, Process
from aibridged.observe import descriptors

_LISTING_S = 1.0


async def process_status() -> Process:
    """Memory and descriptors. Those are listed in a thread, and unknown if that takes long."""
    in_use = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_LISTING_S):
            in_use = await asyncio.to_thread(descriptors.in_use)
    return Process(
        resident_bytes=resident_memory(),
        available_bytes=available_memory(),
        descriptors=in_use,
        descriptors_limit=descriptors.limit(),
    )


def clients_status(limiter: ConnectionLimiter) -> Clients:
    """The client connections, and the places for them."""
    idle = len(limiter.idle)
    return Clients(limiter.taken + limiter.taken_surplus - idle, idle, limiter.places)
