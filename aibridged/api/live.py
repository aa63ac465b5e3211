"""API routes of requests that run now: who has them, how far they are; and how one is ended."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec
from loguru import logger

from aibridged.api.filters import BadFilterError, whole_number
from aibridged.api.live_feed import LiveFeed
from aibridged.api.live_others import AT_ONCE, NoOthers, Others, end_here, merged
from aibridged.api.openapi import Parameter
from aibridged.api.routes import Call, Events, Route
from aibridged.clock import Clock
from aibridged.errors import REQUEST_ALREADY_ENDED, REQUEST_NOT_RUNNING, GatewayError
from aibridged.identity.active_requests import ActiveRequests, Listed, LiveRequest
from aibridged.identity.tables import StoreUnavailableError
from aibridged.transport.time_slices import TimeSlices

MAX_LIMIT = 1000
MAX_OFFSET = 100_000
AUDIT_S = 10.0
"""How long the database may take for a row of the audit log."""

_PAGE = 100
_NEWEST, _OLDEST = "newest", "oldest"

NoteEnd = Callable[[str, str, Mapping[str, Any]], None]
"""Appends to the audit log: the administrator's name, the request's id, and what it was. Blocks."""


class LiveRequests(msgspec.Struct, kw_only=True):
    """A page; `count` is the total over all pages, and `more` says whether there is a next page."""

    count: int
    results: list[LiveRequest]
    more: bool


class Event(msgspec.Struct):
    """A server-sent event: `snapshot` or `changes`, with JSON."""

    event: str
    data: str


class Ended(msgspec.Struct, kw_only=True):
    """A request that is being ended; its client gets the end of its response."""

    id: str
    interception_id: str | None
    ended_by: str | None


class LiveApi:
    """Answers for the requests in flight, at `others`, too; `note_end` writes to the audit log."""

    def __init__(
        self,
        active: ActiveRequests,
        clock: Clock,
        slices: TimeSlices,
        feed: LiveFeed,
        note_end: NoteEnd,
        others: Others | None = None,
    ) -> None:
        self._active = active
        self._clock = clock
        self._slices = slices
        self._feed = feed
        self._note_end = note_end
        self._others = others or NoOthers()

    async def page(self, call: Call) -> LiveRequests:
        """A page of those that the caller may see.

        Raises:
            BadFilterError: a parameter is invalid.
        """
        given = call.parameters
        order = given.get("order") or _NEWEST
        if order not in (_NEWEST, _OLDEST):
            raise BadFilterError(f"order is {_NEWEST} or {_OLDEST}.")
        limit = whole_number("limit", given.get("limit") or "0", 0, MAX_LIMIT) or _PAGE
        skipped = whole_number("offset", given.get("offset") or "0", 0, MAX_OFFSET)
        found = self._active.listed(call.owner)
        if others := await self._others.running(call.owner):
            steps = merged(found, others, self._clock)
            found = await self._slices.run(steps, ("live", call.actor.id))
        if order == _NEWEST:
            found.reverse()
        user = given.get("user") or None
        if user == "me":
            user = call.actor.id
        page = self._page(found, user, given.get("model") or None, skipped, limit)
        return await self._slices.run(page, ("live", call.actor.id))

    def _page(
        self, found: list[Listed], user: str | None, model: str | None, skipped: int, limit: int
    ) -> Generator[None, None, LiveRequests]:
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        matching, page = 0, []
        for number, each in enumerate(found):
            if number % AT_ONCE == 0:
                yield
            in_page = skipped <= matching < skipped + limit
            if user is None and model is None and not in_page:
                matching += 1
                continue
            seen = each.seen(wall, monotonic)
            if not seen.id:  # it has ended since
                continue
            if user not in (None, seen.username, seen.initiator_id):
                continue
            if model not in (None, seen.model):
                continue
            matching += 1
            if in_page:
                page.append(seen)
        return LiveRequests(count=matching, results=page, more=matching > skipped + len(page))

    async def events(self, call: Call) -> Events:
        """What changes, as server-sent events.

        Raises:
            GatewayError: the caller, or all together, watch too often already.
        """
        return Events(self._feed.watch(call.actor.id, call.owner))

    async def end(self, call: Call) -> Ended:
        """End one.

        Raises:
            GatewayError: no such request of the caller's runs, or it has just ended.
        """
        ending = end_here(self._active, self._clock, call.id, call.owner, call.actor)
        if ending is None:
            ending = await self._others.end(call.id, call.owner, call.actor)
        if ending is None:
            raise GatewayError(REQUEST_NOT_RUNNING)
        if not ending.is_ending:
            raise GatewayError(REQUEST_ALREADY_ENDED)
        before = ending.before
        if before.ended_by is None:
            await self._note(call.actor.username, before)
        return Ended(
            id=before.id,
            interception_id=before.interception_id,
            ended_by=before.ended_by or call.actor.username,
        )

    async def _note(self, actor: str, ended: LiveRequest) -> None:
        logger.info("{} ends the request {} of {}", actor, ended.id, ended.username)
        state = {
            "user": ended.initiator_id,
            "provider": ended.provider,
            "model": ended.model,
            "state": str(ended.state),
            "seconds": round(ended.seconds),
        }
        target = ended.interception_id or ended.id
        try:
            async with asyncio.timeout(AUDIT_S):
                await asyncio.to_thread(self._note_end, actor, target, state)
        except (StoreUnavailableError, TimeoutError) as error:
            # It has ended all the same: who ends one is in a hurry.
            logger.error("The audit log can't say that {} has ended {}: {}", actor, ended.id, error)


def routes(live: LiveApi) -> tuple[Route, ...]:
    """The routes, for `Api.serve`."""
    return (
        Route(
            "/live",
            "List the requests that run now; administrators see all, others their own",
            None,
            LiveRequests,
            (
                Parameter("order", f"{_NEWEST} first (the default), or {_OLDEST} first."),
                Parameter("user", "Only requests of this user: an id, a username or me."),
                Parameter("model", "Only requests for this model."),
                Parameter(
                    "limit",
                    f"Maximum page size, 0 for {_PAGE}.",
                    minimum=0,
                    maximum=MAX_LIMIT,
                ),
                Parameter("offset", "Number of items to skip.", minimum=0, maximum=MAX_OFFSET),
            ),
            serve=live.page,
        ),
        Route(
            "/live/events",
            "Follow the requests that run now, as server-sent events: a snapshot, then what has"
            " changed, at most once a second",
            None,
            Event,
            serve=live.events,
            content_type="text/event-stream",
        ),
        Route(
            "/live/{id}/end",
            "End a request that runs now: any for administrators, one's own for others",
            None,
            Ended,
            (Parameter("id", "The id of the request or of its interception.", where="path"),),
            method="post",
            serve=live.end,
        ),
    )
