"""Running requests of all workers in the HTTP API: their routes, and the feed behind them."""

from contextlib import AsyncExitStack
from functools import partial

import msgspec

from aibridged.api import Api
from aibridged.api.live import LiveApi, routes
from aibridged.api.live_feed import LiveFeed
from aibridged.api.live_others import MAX_TOLD, Ending, end_here, seen_rows
from aibridged.clock import Clock
from aibridged.daemon.workers.siblings import Siblings
from aibridged.identity.active_requests import ActiveRequests, LiveRequest
from aibridged.identity.audit import append
from aibridged.identity.base import Actor
from aibridged.records.database import Engine
from aibridged.transport.in_flight import InFlight
from aibridged.transport.time_slices import TimeSlices

ANSWER_S = 1.0
"""For a worker's requests: of one that takes longer, they are left out."""
END = "request.end"
"""The action in the audit log."""


RUNNING = "running requests"
"""To another worker, with the id of their owner or None: its requests."""
END_ONE = "end a request"
"""To another worker, with an `EndOne`: whether it is one of its own, as a list of `Ending`."""


class EndOne(msgspec.Struct):
    """The id of a request, whose owner is this person, or anyone; and who ends it."""

    id: str
    owner: str | None
    by: Actor


class OtherWorkers:
    """The running requests of the siblings; and tells them of this process's."""

    def __init__(
        self, siblings: Siblings, active: ActiveRequests, clock: Clock, slices: TimeSlices
    ) -> None:
        self._siblings = siblings
        self._active = active
        self._clock = clock
        self._slices = slices
        siblings.on(RUNNING, self._tell, str | None)
        siblings.on(END_ONE, self._end, EndOne)

    async def running(self, owner: str | None) -> list[LiveRequest]:
        answers = await self._siblings.ask(RUNNING, owner, gives=list[LiveRequest], within=ANSWER_S)
        return [row for rows in answers for row in rows]

    async def end(self, id: str, owner: str | None, by: Actor) -> Ending | None:
        question = EndOne(id, owner, by)
        answers = await self._siblings.ask(END_ONE, question, gives=list[Ending], within=ANSWER_S)
        return next((ending for endings in answers for ending in endings), None)

    async def _tell(self, owner: str | None) -> list[LiveRequest]:
        found = self._active.listed(owner)
        return await self._slices.run(seen_rows(found, self._clock, MAX_TOLD), "others")

    async def _end(self, asked: EndOne) -> list[Ending]:
        ending = end_here(self._active, self._clock, asked.id, asked.owner, asked.by)
        return [] if ending is None else [ending]


def serve_live(
    api: Api,
    engine: Engine,
    clock: Clock,
    active: ActiveRequests,
    slices: TimeSlices,
    in_flight: InFlight,
    siblings: Siblings,
    stack: AsyncExitStack,
) -> None:
    """Have `api` serve them; a shutdown ends what watches them at once."""
    others = OtherWorkers(siblings, active, clock, slices)
    feed = LiveFeed(active, clock, slices, lambda: in_flight.draining, others)
    stack.push_async_callback(feed.close)
    note_end = partial(append, engine, clock, END)
    api.serve(routes(LiveApi(active, clock, slices, feed, note_end, others)))
