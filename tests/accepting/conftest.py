"""Both event loops: their transports close sockets in ways of their own."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories = {"asyncio": asyncio.new_event_loop}
    with suppress(ImportError):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories
