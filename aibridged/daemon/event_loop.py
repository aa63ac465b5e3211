"""Which event loop runs: uvloop where it is built, else asyncio's own; and what disturbs it."""

import asyncio
import gc
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What `asyncio.Runner` takes; None is asyncio's own."""
    try:
        import uvloop
    except ImportError:  # not built for this platform
        return None
    return uvloop.new_event_loop


def calm_garbage_collector() -> None:
    """Keep the collector from what is there already, and let it come less often.

    Called once all is loaded, which is there to stay: each full collection would walk through it
    and hold every stream up for as long. What a request makes is mostly freed by its references.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
