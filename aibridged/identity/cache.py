"""Token cache: valid and rejected tokens are remembered for a while (TTL, single flight).

Good and bad answers live in two bounded maps, so that no flood of wrong tokens drives a right one
out. The keys are hashes: no token stays in memory for the cache's sake. Requests that come with
the same unknown token at the same time share one lookup.
"""

import asyncio
import math
from collections.abc import Set
from enum import Enum, auto
from hashlib import blake2b

from aibridged.clock import Clock
from aibridged.core.expiring import Expiring
from aibridged.identity.base import Actor, Authenticator, AuthUnavailableError

GOOD_TTL_S = 60.0
BAD_TTL_S = 10.0
MAX_ENTRIES = 10_000
_KEY_BYTES = 16


class _Ending(Enum):
    """How a lookup ends that brings no answer."""

    GIVEN_UP = auto()


# How a lookup ended, for those who wait for it; None is a token that is nobody's.
_Outcome = Actor | AuthUnavailableError | _Ending | None


class CachedAuthenticator:
    """Answers from memory for as long as an answer is good; TTLs in seconds, 0 remembers nothing.

    An answer ends with its token at the latest. What is revoked is noticed when the answer's time
    is over, or at once if it is forgotten.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        clock: Clock,
        *,
        good_ttl: float = GOOD_TTL_S,
        bad_ttl: float = BAD_TTL_S,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self.hits = 0
        self.misses = 0
        self._authenticator = authenticator
        self._clock = clock
        self._max_entries = max_entries
        self._good_ttl, self._bad_ttl = good_ttl, bad_ttl
        self._forget_all()
        self._lookups: dict[bytes, asyncio.Future[_Outcome]] = {}
        self._forgettings = 0

    def remember_for(self, *, good_ttl: float, bad_ttl: float) -> None:
        """Remember answers for so many seconds; if that is new, forget those there are."""
        if (good_ttl, bad_ttl) == (self._good_ttl, self._bad_ttl):
            return
        self._good_ttl, self._bad_ttl = good_ttl, bad_ttl
        self._forget_all()

    def _forget_all(self) -> None:
        self._good: Expiring[Actor] = Expiring(self._max_entries, self._clock)
        self._bad: Expiring[bool] = Expiring(self._max_entries, self._clock)

    async def authenticate(self, token: str | None) -> Actor | None:
        """The actor behind `token`, or None.

        Raises:
            AuthUnavailableError: as the authenticator behind it; this is never remembered.
        """
        if token is None:
            return await self._authenticator.authenticate(None)
        if (actor := self.known(token)) is not None:
            return actor
        if self.refuses(token):
            return None
        self.misses += 1
        return await self._look_up_once(_key(token), token)

    def known(self, token: str | None) -> Actor | None:
        """The actor behind a token that is remembered as good."""
        actor = self._good.get(_key(token)) if token is not None else None
        if actor is not None:
            self.hits += 1
        return actor

    def refuses(self, token: str) -> bool:
        """Whether a token is remembered as nobody's."""
        is_bad = self._bad.get(_key(token)) is not None
        self.hits += is_bad
        return is_bad

    def remembered(self) -> set[str]:
        """The ids of the tokens that are remembered as good."""
        return {actor.api_key_id for _, actor in self._good if actor.api_key_id is not None}

    def forget(self, api_key_ids: Set[str]) -> None:
        """Ask again about these tokens, even if they are being looked up now."""
        self._forgettings += 1
        for key in [key for key, actor in self._good if actor.api_key_id in api_key_ids]:
            self._good.drop(key)
        # Who was refused may have been let in again.
        self._bad = Expiring(self._max_entries, self._clock)

    async def _look_up_once(self, key: bytes, token: str) -> Actor | None:
        while True:
            running = self._lookups.get(key)
            if running is None:
                return await self._look_up(key, token)
            # Shielded: a request that is cancelled must not take the lookup from the others.
            outcome = await asyncio.shield(running)
            if isinstance(outcome, AuthUnavailableError):
                raise AuthUnavailableError(str(outcome))
            if outcome is not _Ending.GIVEN_UP:
                return outcome

    async def _look_up(self, key: bytes, token: str) -> Actor | None:
        """Look up, and tell those who wait for it how it ended, in whichever way it does."""
        shared = self._lookups[key] = asyncio.get_running_loop().create_future()
        outcome: _Outcome = _Ending.GIVEN_UP
        try:
            actor = outcome = await self._ask(token)
            if actor is not None:
                self._good.put(key, actor, min(self._good_ttl, self._left(actor)))
            else:
                self._bad.put(key, True, self._bad_ttl)
            return actor
        except AuthUnavailableError as error:
            outcome = error
            raise
        finally:
            del self._lookups[key]
            shared.set_result(outcome)

    async def _ask(self, token: str) -> Actor | None:
        """An answer that nothing was forgotten since it was asked for."""
        while True:
            forgettings = self._forgettings
            actor = await self._authenticator.authenticate(token)
            if forgettings == self._forgettings:
                return actor

    def _left(self, actor: Actor) -> float:
        """For how many seconds the actor's token is still good."""
        if actor.expires_at is None:
            return math.inf
        return (actor.expires_at - self._clock.wall()).total_seconds()


def _key(token: str) -> bytes:
    return blake2b(token.encode(), digest_size=_KEY_BYTES).digest()
