"""Active requests: all that run now, to be listed, ended, and cut off after a token's revocation.

A token that is revoked or expired, or whose user was suspended or deleted, admits nothing new. What
it admitted before goes on for `grace` seconds more, counted from when that was noticed.
"""

import math
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec
from loguru import logger

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.identity.base import Actor

UNLIMITED = math.inf
"""The grace that lets every request end by itself."""


class Abortable(Protocol):
    """A request or a tunnel that can be cut off."""

    def abort(self) -> None:
        """End it at once, so that its client doesn't take it as complete."""
        ...


class State(StrEnum):
    """What a request waits for."""

    RECEIVING = "receiving"
    ADMISSION = "admission"
    PROVIDER = "provider"
    STREAMING = "streaming"
    TOOL = "tool"


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that runs now.

    `state` says what it waits for: its body (receiving), its limits and its record (admission), the
    provider, more of the response (streaming), or the gateway's `tool`. `bytes` are those of the
    response, of the present turn. Tokens are of all turns; of what the provider hasn't told they
    are estimated by the size, and `tokens_estimated` says so. `ends` is how ending it ends it: with
    an answer, or, on routes that are only forwarded, by cutting it off.
    """

    id: str
    interception_id: str | None
    initiator_id: str
    username: str
    api_key_id: str | None
    client: str
    session_id: str | None
    provider: str
    model: str | None
    route: str
    streamed: bool
    state: State
    tool: str | None
    started_at: datetime
    seconds: float
    first_byte_ms: int | None
    bytes: int
    input_tokens: int
    output_tokens: int
    tokens_estimated: bool
    ended_by: str | None


class Listed:
    """A request that can be listed and ended, as tunnels can't."""

    def is_called(self, id: str) -> bool:
        """Whether it has this id, be it the request's or the interception's."""
        raise NotImplementedError

    def seen(self, wall: datetime, monotonic: float) -> LiveRequest:
        """What is known of it at this time."""
        raise NotImplementedError

    def end_early(self, by: Actor) -> bool:
        """Have it ended, or False: it has ended by itself. A second time changes nothing."""
        raise NotImplementedError


class ActiveRequests:
    """The requests of all, and the tunnels, for the event loop only.

    `grace` may be changed, and applies to all at once. Requests are grouped by token only when
    tokens are checked, so that adding one costs little.
    """

    def __init__(self, clock: Clock, *, grace: float = UNLIMITED) -> None:
        self.grace = grace
        self._monotonic = clock.monotonic
        self._running: dict[int, tuple[Actor, str | None, Abortable]] = {}
        self._invalid_since: dict[str, float] = {}  # monotonic, by the tokens' ids

    def add(self, actor: Actor, token: str | None, running: Abortable) -> None:
        """Add what runs; without a token there is nothing to revoke."""
        self._running[id(running)] = actor, token, running

    def remove(self, running: Abortable) -> None:
        """Remove what has ended."""
        self._running.pop(id(running), None)

    def listed(self, owner: str | None = None) -> list[Listed]:
        """The requests that run, the oldest first; those of one person, or None: of all."""
        return [
            running
            for actor, _, running in self._running.values()
            if isinstance(running, Listed) and (owner is None or actor.id == owner)
        ]

    def tokens_to_check(self) -> Mapping[str, str]:
        """The tokens, by their ids, whose requests may have to be cut off."""
        if self.grace == UNLIMITED:
            return {}
        return {
            actor.api_key_id: token
            for actor, token, _ in self._running.values()
            if actor.api_key_id is not None and token is not None
        }

    def record_validity(self, token_ids: Set[str], good: Set[str]) -> None:
        """Note which of these tokens, by their ids, are still valid."""
        now = self._monotonic()
        for token_id in token_ids:
            if token_id in good:
                self._invalid_since.pop(token_id, None)
            else:
                self._invalid_since.setdefault(token_id, now)

    def abort_overdue(self) -> None:
        """Abort what has run for longer than the grace."""
        if not self._invalid_since:
            return
        by_id: dict[str, list[tuple[Actor, str | None, Abortable]]] = {}
        for each in self._running.values():
            if each[0].api_key_id is not None:
                by_id.setdefault(each[0].api_key_id, []).append(each)
        latest = self._monotonic() - self.grace
        for token_id, since in list(self._invalid_since.items()):
            if token_id not in by_id:
                del self._invalid_since[token_id]  # all of its requests have ended by themselves
            elif since <= latest:
                del self._invalid_since[token_id]
                self._end(by_id[token_id])

    def _end(self, doomed: Sequence[tuple[Actor, str | None, Abortable]]) -> None:
        actor = doomed[0][0]
        logger.warning(
            "The token {} of {} is no longer valid: cutting off {} (--aibridge-revocation-grace)",
            actor.api_key_id,
            actor.username,
            counted(len(doomed), "running request"),
        )
        for _, _, running in doomed:
            self.remove(running)
            running.abort()
