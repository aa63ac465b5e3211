"""Requests that run at other processes of the same daemon, beside those of this one."""

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from aibridged.clock import Clock
from aibridged.identity.active_requests import ActiveRequests, Listed, LiveRequest
from aibridged.identity.base import Actor

MAX_TOLD = 2000
"""Requests that one process tells another of, the oldest ones."""
AT_ONCE = 32
"""Requests that are looked at between two slices."""


class Ending(msgspec.Struct):
    """What became of a request to end one: how it was before, and whether it ends by that."""

    before: LiveRequest
    is_ending: bool


class Others(Protocol):
    """The other processes."""

    async def running(self, owner: str | None) -> list[LiveRequest]:
        """Their requests, those of one person, or None: of all."""
        ...

    async def end(self, id: str, owner: str | None, by: Actor) -> Ending | None:
        """End one of them; None: none has this id."""
        ...


class NoOthers:
    """The others of a process that serves alone."""

    async def running(self, owner: str | None) -> list[LiveRequest]:
        return []

    async def end(self, id: str, owner: str | None, by: Actor) -> Ending | None:
        return None


class Seen(Listed):
    """A request that was looked at already."""

    def __init__(self, row: LiveRequest) -> None:
        self.row = row

    def seen(self, wall: datetime, monotonic: float) -> LiveRequest:
        return self.row


def seen_rows(
    found: Sequence[Listed], clock: Clock, most: int
) -> Generator[None, None, list[LiveRequest]]:
    """Look at so many of them, in steps; those that have ended meanwhile are left out."""
    wall, monotonic = clock.wall(), clock.monotonic()
    rows = []
    for number, each in enumerate(found[:most]):
        if number % AT_ONCE == 0:
            yield
        row = each.seen(wall, monotonic)
        if row.id:
            rows.append(row)
    return rows


def merged(
    found: Sequence[Listed], others: Sequence[LiveRequest], clock: Clock
) -> Generator[None, None, list[Listed]]:
    """Those of this process and of others, the oldest first, in steps."""
    rows = yield from seen_rows(found, clock, len(found))
    return [Seen(row) for row in sorted((*rows, *others), key=lambda row: row.started_at)]


def end_here(
    active: ActiveRequests, clock: Clock, id: str, owner: str | None, by: Actor
) -> Ending | None:
    """End a request of this process; None: none has this id."""
    running = next((each for each in active.listed(owner) if each.is_called(id)), None)
    if running is None:
        return None
    before = running.seen(clock.wall(), clock.monotonic())
    return Ending(before, running.end_early(by))
