"""Active requests per token, to be cut off after the token's revocation.

A token that is revoked or expired, or whose user was suspended or deleted, admits nothing new. What
it admitted before goes on for `grace` seconds more, counted from when that was noticed.
"""

import math
from collections.abc import Mapping, Sequence, Set
from typing import Protocol

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


class ActiveRequests:
    """The requests and tunnels of all tokens, for the event loop only.

    `grace` may be changed, and applies to all at once. Requests are grouped by token only when
    tokens are checked, so that adding one costs little.
    """

    def __init__(self, clock: Clock, *, grace: float = UNLIMITED) -> None:
        self.grace = grace
        self._monotonic = clock.monotonic
        self._running: dict[int, tuple[Actor, str, Abortable]] = {}
        self._invalid_since: dict[str, float] = {}  # monotonic, by the tokens' ids

    def add(self, actor: Actor, token: str | None, running: Abortable) -> None:
        """Add what runs on behalf of a token; without a token there is nothing to revoke."""
        if actor.api_key_id is not None and token is not None:
            self._running[id(running)] = actor, token, running

    def remove(self, running: Abortable) -> None:
        """Remove what has ended."""
        self._running.pop(id(running), None)

    def tokens_to_check(self) -> Mapping[str, str]:
        """The tokens, by their ids, whose requests may have to be cut off."""
        if self.grace == UNLIMITED:
            return {}
        return {actor.api_key_id or "": token for actor, token, _ in self._running.values()}

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
        by_id: dict[str, list[tuple[Actor, str, Abortable]]] = {}
        for each in self._running.values():
            by_id.setdefault(each[0].api_key_id or "", []).append(each)
        latest = self._monotonic() - self.grace
        for token_id, since in list(self._invalid_since.items()):
            if token_id not in by_id:
                del self._invalid_since[token_id]  # all of its requests have ended by themselves
            elif since <= latest:
                del self._invalid_since[token_id]
                self._end(by_id[token_id])

    def _end(self, doomed: Sequence[tuple[Actor, str, Abortable]]) -> None:
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
