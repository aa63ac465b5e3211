"""Cache of an identity provider's public keys, which follows their rotation."""

import asyncio
from collections.abc import Awaitable, Callable

from joserfc.jwk import KeySet

from aibridged.clock import Clock
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.id_token import read_keys

MAX_AGE_S = 3600.0
"""After which the keys are fetched again, so that withdrawn ones are forgotten."""
INTERVAL_S = 30.0
"""Between two fetches, at least, whatever keys tokens name."""


class KeyCache:
    """The keys that `fetch` returns as a JWK set, or raises ProviderUnavailableError."""

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Clock) -> None:
        self._fetch = fetch
        self._now = clock.monotonic
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = -MAX_AGE_S
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failed: ProviderUnavailableError | None = None

    async def with_id(self, kid: str | None) -> KeySet:
        """The keys, fetched again for an id that isn't among them (None: a token without one).

        Raises:
            ProviderUnavailableError: they are needed, and can't be fetched.
        """
        failures = self._failures
        async with self._lock:
            keys = self._keys
            if keys is None and self._failed is not None and self._failures != failures:
                # Of those who waited for this fetch, none waits for another one.
                raise ProviderUnavailableError(self._failed.reason)
            is_known = keys is not None and (kid is None or any(key.kid == kid for key in keys))
            is_stale = keys is None or self._now() - self._fetched_at >= MAX_AGE_S
            may_ask = keys is None or self._now() - self._tried_at >= INTERVAL_S
            if keys is not None and (not may_ask or (is_known and not is_stale)):
                return keys
            self._tried_at = self._now()
            try:
                self._keys = read_keys(await self._fetch())
            except ProviderUnavailableError as error:
                self._failures += 1
                self._failed = error
                if keys is None or not is_known:
                    raise
                return keys
            self._fetched_at = self._now()
            return self._keys
