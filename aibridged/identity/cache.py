"""Token cache: valid and rejected tokens are remembered for a while (TTL, single flight).

Valid and rejected tokens are in two bounded maps, so that no flood of wrong tokens evicts a right
one. The keys are hashes: the cache keeps no token in memory. Concurrent requests with the same
unknown token share one lookup.
"""

import asyncio
import math
from collections.abc import Set
from enum import Enum, auto

from aibridged.clock import Clock
from aibridged.core.auth import token_key
from aibridged.core.expiring import Expiring
from aibridged.identity.base import (
    Actor,
    Authenticator,
    AuthUnavailableError,
    TokenRejectedError,
)

GOOD_TTL_S = 60.0
BAD_TTL_S = 10.0
MAX_ENTRIES = 10_000


class _Ending(Enum):
    """The end of a lookup without a result."""

    GIVEN_UP = auto()


# The outcome of a lookup, for its waiters; None is an invalid token.
_Outcome = Actor | AuthUnavailableError | TokenRejectedError | _Ending | None


class CachedAuthenticator:
    """Caches the results of an authenticator; TTLs are in seconds, 0 disables caching.

    An entry expires with its token at the latest. A revocation is noticed when the entry expires,
    or at once if it is forgotten.
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
        self._lookups: dict[bytes, asyncio.Future[_Outcome]] = {}
        self._forgettings = 0
        self.forget_all()

    def limit(self, *, good_ttl: float, bad_ttl: float, max_entries: int) -> None:
        """Set the TTLs and the size; if a TTL is new, forget all entries."""
        self._max_entries = self._good.most = self._bad.most = max_entries
        if (good_ttl, bad_ttl) == (self._good_ttl, self._bad_ttl):
            return
        self._good_ttl, self._bad_ttl = good_ttl, bad_ttl
        self.forget_all()

    def forget_all(self) -> None:
        """Forget all tokens, even those that are being looked up now."""
        self._forgettings += 1
        self._good: Expiring[Actor] = Expiring(self._max_entries, self._clock)
        # The reason of a rejection, None for tokens that nobody has.
        self._bad: Expiring[tuple[TokenRejectedError | None]] = Expiring(
            self._max_entries, self._clock
        )

    async def authenticate(self, token: str | None) -> Actor | None:
        """The actor behind `token`, or None.

        Raises:
            TokenRejectedError: as the authenticator behind it, and from the cache.
            AuthUnavailableError: as the authenticator behind it; this is never cached.
        """
        if token is None:
            return await self._authenticator.authenticate(None)
        if (actor := self.known(token)) is not None:
            return actor
        if self.refuses(token):
            return None
        self.misses += 1
        return await self._look_up_once(token_key(token), token)

    def known(self, token: str | None, key: bytes | None = None) -> Actor | None:
        """The actor behind a token that is cached as valid; `key` is the token's, if at hand."""
        if token is None:
            return None
        actor = self._good.get(key or token_key(token))
        if actor is not None:
            self.hits += 1
        return actor

    def refuses(self, token: str) -> bool:
        """Whether a token is cached as rejected.

        Raises:
            TokenRejectedError: it is, with this reason.
        """
        bad = self._bad.get(token_key(token))
        if bad is None:
            return False
        self.hits += 1
        (rejected,) = bad
        if rejected is not None:
            raise _again(rejected)
        return True

    def remembered(self) -> set[str]:
        """The ids of the tokens that are cached as valid."""
        return {actor.api_key_id for _, actor in self._good if actor.api_key_id is not None}

    def forget(self, api_key_ids: Set[str]) -> None:
        """Forget these tokens, even if they are being looked up now."""
        self._forgettings += 1
        for key in [key for key, actor in self._good if actor.api_key_id in api_key_ids]:
            self._good.drop(key)
        # A rejected token may be valid again.
        self._bad = Expiring(self._max_entries, self._clock)

    def forget_users(self, user_ids: Set[str]) -> None:
        """Forget all tokens of these users, even those that are being looked up now."""
        self.forget(self.tokens_of(user_ids))

    async def settle(self) -> None:
        """Return once all that share what is forgotten have forgotten it: this process alone."""

    def tokens_of(self, user_ids: Set[str]) -> set[str]:
        """The ids of those tokens of these users that are cached as valid."""
        theirs = {actor.api_key_id for _, actor in self._good if actor.id in user_ids}
        return {id for id in theirs if id is not None}

    async def _look_up_once(self, key: bytes, token: str) -> Actor | None:
        while True:
            running = self._lookups.get(key)
            if running is None:
                return await self._look_up(key, token)
            # Shielded: a request that is cancelled must not cancel the lookup for the others.
            outcome = await asyncio.shield(running)
            if isinstance(outcome, AuthUnavailableError):
                raise AuthUnavailableError(str(outcome))
            if isinstance(outcome, TokenRejectedError):
                raise _again(outcome)
            if outcome is not _Ending.GIVEN_UP:
                return outcome

    async def _look_up(self, key: bytes, token: str) -> Actor | None:
        """Look up a token, and tell all waiters the outcome, whatever it is."""
        shared = self._lookups[key] = asyncio.get_running_loop().create_future()
        outcome: _Outcome = _Ending.GIVEN_UP
        try:
            actor = outcome = await self._ask(token)
            if actor is not None:
                self._good.put(key, actor, min(self._good_ttl, self._left(actor)))
            else:
                self._bad.put(key, (None,), self._bad_ttl)
            return actor
        except TokenRejectedError as error:
            outcome = _again(error)
            self._bad.put(key, (outcome,), self._bad_ttl)
            raise
        except AuthUnavailableError as error:
            outcome = error
            raise
        finally:
            del self._lookups[key]
            shared.set_result(outcome)

    async def _ask(self, token: str) -> Actor | None:
        """Look up a token, again if anything was forgotten meanwhile."""
        while True:
            forgettings = self._forgettings
            rejected, actor = None, None
            try:
                actor = await self._authenticator.authenticate(token)
            except TokenRejectedError as error:
                rejected = error
            if forgettings == self._forgettings:
                if rejected is not None:
                    raise rejected
                return actor

    def _left(self, actor: Actor) -> float:
        """Seconds until the actor's token expires."""
        if actor.expires_at is None:
            return math.inf
        return (actor.expires_at - self._clock.wall()).total_seconds()


def _again(error: TokenRejectedError) -> TokenRejectedError:
    """The same error without the frames that one request raised it in."""
    return TokenRejectedError(error.rejection, error.actor)
