"""Notices what other processes take back, such as a token that the command line revokes."""

import asyncio
from contextlib import suppress

from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.tokens import TokenStore

INTERVAL_S = 5.0


async def keep_revoking(
    cache: CachedAuthenticator, store: TokenStore, *, interval: float = INTERVAL_S
) -> None:
    """Every `interval` seconds, forget the tokens that are good no more, until cancelled."""
    while True:
        await asyncio.sleep(interval)
        remembered = cache.remembered()
        if not remembered:
            continue
        # Whoever isn't remembered meets the same trouble, and the log tells of it.
        with suppress(AuthUnavailableError):
            good = await asyncio.to_thread(store.still_good, remembered)
            if worthless := remembered - good:
                cache.forget(worthless)
