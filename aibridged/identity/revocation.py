"""Detects revocations made elsewhere, such as by the command line."""

import asyncio
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress

from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.cache import CachedAuthenticator

INTERVAL_S = 5.0


async def keep_revoking(
    cache: CachedAuthenticator,
    still_good: Callable[[Set[str]], Awaitable[set[str]]],
    active_requests: ActiveRequests,
    *,
    interval: float = INTERVAL_S,
) -> None:
    """Forget, and in the end cut off, what is good no more, every `interval` seconds.

    `still_good` tells of ids of tokens which of them would be let in now. It runs until cancelled.
    """
    while True:
        await asyncio.sleep(interval)
        remembered, running = cache.remembered(), active_requests.tokens_to_check().keys()
        # Who isn't remembered meets the same trouble, and the log tells of it.
        with suppress(AuthUnavailableError):
            if asked := remembered | running:
                good = await still_good(asked)
                if worthless := remembered - good:
                    cache.forget(worthless)
                active_requests.record_validity(running, good)
        active_requests.abort_overdue()


async def keep_asking(
    cache: CachedAuthenticator, active_requests: ActiveRequests, *, interval: float = INTERVAL_S
) -> None:
    """As `keep_revoking`, where another service knows the tokens and can be asked for one only.

    It is asked about what runs once the answer before that is forgotten, one after the other.
    """
    while True:
        await asyncio.sleep(interval)
        remembered = cache.remembered()
        for token_id, token in active_requests.tokens_to_check().items():
            try:
                is_good = token_id in remembered or await cache.authenticate(token) is not None
            except AuthUnavailableError:
                break  # nobody can tell now, of the others neither
            active_requests.record_validity({token_id}, {token_id} if is_good else set())
        active_requests.abort_overdue()
