"""Detects revocations made elsewhere, such as on the command line."""

import asyncio
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress

from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.base import AuthUnavailableError, TokenRejectedError
from aibridged.identity.cache import CachedAuthenticator

INTERVAL_S = 5.0
PAUSE_S = 0.25


async def keep_revoking(
    cache: CachedAuthenticator,
    still_good: Callable[[Set[str]], Awaitable[set[str]]],
    active_requests: ActiveRequests,
    *,
    interval: float = INTERVAL_S,
    wanted: asyncio.Event | None = None,
) -> None:
    """Forget tokens that are no longer valid, and cut off their requests, every `interval` seconds.

    `still_good` returns those of the given token ids that are valid. When `wanted` is set it does
    so at once, but no more often than every `PAUSE_S`. It runs until cancelled.
    """
    wanted = wanted or asyncio.Event()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await asyncio.sleep(min(interval, PAUSE_S))
                await wanted.wait()
        wanted.clear()
        remembered, running = cache.remembered(), active_requests.tokens_to_check().keys()
        # New tokens meet the same failure, and the log tells of it.
        with suppress(AuthUnavailableError):
            if asked := remembered | running:
                good = await still_good(asked)
                if worthless := remembered - good:
                    cache.forget(worthless)
                active_requests.record_validity(running, good)
        active_requests.abort_overdue()


async def keep_rechecking(
    cache: CachedAuthenticator, active_requests: ActiveRequests, *, interval: float = INTERVAL_S
) -> None:
    """The same for a service that can only be asked about one token at a time.

    It is asked about active tokens whose cached result has been forgotten, one after the other.
    """
    while True:
        await asyncio.sleep(interval)
        remembered = cache.remembered()
        for token_id, token in active_requests.tokens_to_check().items():
            try:
                is_good = token_id in remembered or await cache.authenticate(token) is not None
            except TokenRejectedError:
                is_good = False
            except AuthUnavailableError:
                break  # the service is unavailable, for the others, too
            active_requests.record_validity({token_id}, {token_id} if is_good else set())
        active_requests.abort_overdue()
