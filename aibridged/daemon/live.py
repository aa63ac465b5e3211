"""Running requests in the HTTP API: their routes, and the feed behind them."""

from contextlib import AsyncExitStack
from functools import partial

from aibridged.api import Api
from aibridged.api.live import LiveApi, routes
from aibridged.api.live_feed import LiveFeed
from aibridged.clock import Clock
from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.audit import append
from aibridged.records.database import Engine
from aibridged.transport.in_flight import InFlight
from aibridged.transport.time_slices import TimeSlices

END = "request.end"
"""The action in the audit log."""


def serve_live(
    api: Api,
    engine: Engine,
    clock: Clock,
    active: ActiveRequests,
    slices: TimeSlices,
    in_flight: InFlight,
    stack: AsyncExitStack,
) -> None:
    """Have `api` serve them; a shutdown ends what watches them at once."""
    feed = LiveFeed(active, clock, slices, lambda: in_flight.draining)
    stack.push_async_callback(feed.close)
    api.serve(routes(LiveApi(active, clock, slices, feed, partial(append, engine, clock, END))))
