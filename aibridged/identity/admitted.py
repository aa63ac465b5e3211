"""What runs on behalf of each token, so that it doesn't outlive the token for ever.

A token that is revoked, has expired, or whose user was suspended or deleted, lets nothing new in.
What it has let in before goes on for `grace` seconds more, counted from when that was noticed.
"""

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Protocol

from loguru import logger

from aibridged.clock import Clock
from aibridged.identity.base import Actor

FOR_EVER = math.inf
"""The grace that lets everything end by itself."""


class Running(Protocol):
    """A request, or a tunnel."""

    def abort(self) -> None:
        """End it at once, so that its client can't take it for whole."""
        ...


@dataclass(slots=True)
class _OfToken:
    """What runs on behalf of one token; `worthless_since` is monotonic."""

    actor: Actor
    token: str = field(repr=False)
    running: dict[int, Running] = field(default_factory=dict)
    worthless_since: float | None = None


class Admitted:
    """All of it belongs to the event loop. `grace` may be changed, and counts for all at once."""

    def __init__(self, clock: Clock, *, grace: float = FOR_EVER) -> None:
        self.grace = grace
        self._monotonic = clock.monotonic
        self._by_id: dict[str, _OfToken] = {}

    def enter(self, actor: Actor, token: str | None, running: Running) -> None:
        """It runs on behalf of this token from now on; without one there is nothing to revoke."""
        token_id = actor.api_key_id
        if token_id is None or token is None:
            return
        of_token = self._by_id.get(token_id)
        if of_token is None:
            of_token = self._by_id[token_id] = _OfToken(actor, token)
        of_token.running[id(running)] = running

    def leave(self, actor: Actor, running: Running) -> None:
        """It has ended."""
        of_token = self._by_id.get(actor.api_key_id or "")
        if of_token is not None:
            of_token.running.pop(id(running), None)
            if not of_token.running:
                del self._by_id[of_token.actor.api_key_id or ""]

    def to_check(self) -> Mapping[str, str]:
        """The tokens, by their ids, that something runs on behalf of and that may have to end."""
        if self.grace == FOR_EVER:
            return {}
        return {token_id: of_token.token for token_id, of_token in self._by_id.items()}

    def judge(self, token_ids: Set[str], good: Set[str]) -> None:
        """Note which of these tokens, by their ids, are good now."""
        for token_id in token_ids & self._by_id.keys():
            of_token = self._by_id[token_id]
            if token_id in good:
                of_token.worthless_since = None
            elif of_token.worthless_since is None:
                of_token.worthless_since = self._monotonic()

    def end_overdue(self) -> None:
        """End what has gone on for longer than the grace."""
        latest = self._monotonic() - self.grace
        for token_id, of_token in list(self._by_id.items()):
            since = of_token.worthless_since
            if since is not None and since <= latest:
                del self._by_id[token_id]
                self._end(token_id, of_token)

    def _end(self, token_id: str, of_token: _OfToken) -> None:
        logger.warning(
            "The token {} of {} is good no more: {} running requests are cut off"
            " (--aibridge-revocation-grace)",
            token_id,
            of_token.actor.username,
            len(of_token.running),
        )
        for running in list(of_token.running.values()):
            running.abort()
