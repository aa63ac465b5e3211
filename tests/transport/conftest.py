"""Both event loops, for what touches transports."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

# What these test touches transports, which each of the event loops has its own of.
ON_BOTH_LOOPS = {
    "test_acceptor.py",
    "test_client_buffers.py",
    "test_response.py",
    "test_relay.py",
    "test_serial_handler.py",
    "test_upstream.py",
    "test_upstream_connection.py",
}


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ON_BOTH_LOOPS:
        with suppress(ImportError):
            import uvloop

            factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(autouse=True)
def _nothing_goes_untold(nothing_goes_untold: None) -> None:
    """Here each test's event loop is listened to."""
