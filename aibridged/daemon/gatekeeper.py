"""The configured authentication backend, for the daemon and for the standalone AI Proxy."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.limiters import share
from aibridged.daemon.replicas import Replicas
from aibridged.daemon.shared_cache import SharedCache
from aibridged.daemon.workers.siblings import Siblings
from aibridged.identity import coder, http_lookup, remote, token_authenticator
from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.anonymous import NoneAuthenticator
from aibridged.identity.base import Authenticator, Gatekeeper
from aibridged.identity.lookups import Lookups
from aibridged.identity.revocation import keep_rechecking, keep_revoking
from aibridged.identity.throttle import Throttle
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import Engine, make_engine
from aibridged.tasks import Tasks

_LEAST_LOOKUPS = 2  # of which one address has half


def make_gatekeeper(
    settings: Settings,
    engine: Engine | None,
    clock: Clock,
    stack: AsyncExitStack,
    siblings: Siblings | None = None,
    replicas: Replicas | None = None,
) -> tuple[Gatekeeper, Throttle]:
    """The gatekeeper, and the throttle in front of it; `stack` closes what they use.

    Tokens are looked up in the database of `engine`, if this daemon has its own, else at Coder,
    else at the gateway that the AI Proxy hands over to. What one of `siblings` forgets, all do, and
    what changes in other `replicas` is looked up again.
    """
    tokens = None
    if engine is not None and settings.auth == "token":
        kept = make_engine(engine.url, kept=token_authenticator.CONNECTIONS)
        stack.callback(kept.dispose)
        tokens = TokenStore(kept, clock)
    active_requests = ActiveRequests(clock, grace=settings.revocation_grace)
    siblings = siblings or Siblings()
    gatekeeper = _make(settings, tokens, clock, active_requests, stack, siblings, replicas)
    at_once = lookups_at_once(siblings.count, has_own_database=tokens is not None)
    lookups = Lookups(at_once, clock)
    return gatekeeper, Throttle(gatekeeper, lookups, active_requests, clock)


def lookups_at_once(workers: int, *, has_own_database: bool) -> int:
    """How many tokens one of so many workers looks up at a time.

    The own database has connections for each; what is asked elsewhere is asked by all together.
    """
    if has_own_database:
        return token_authenticator.LOOKUPS_AT_ONCE
    return max(_LEAST_LOOKUPS, share(http_lookup.LOOKUPS_AT_ONCE, workers))


def _make(
    settings: Settings,
    tokens: TokenStore | None,
    clock: Clock,
    active_requests: ActiveRequests,
    stack: AsyncExitStack,
    siblings: Siblings,
    replicas: Replicas | None,
) -> Gatekeeper:
    if settings.auth == "none":
        return NoneAuthenticator()
    remember = partial(
        SharedCache,
        siblings,
        clock=clock,
        good_ttl=settings.auth_cache_ttl,
        bad_ttl=settings.auth_cache_bad_ttl,
        max_entries=settings.auth_cache_size,
    )
    if tokens is not None:
        own = token_authenticator.TokenAuthenticator(tokens, clock)
        stack.push_async_callback(own.close)
        cache = remember(own)
        wanted = asyncio.Event()
        if replicas is not None:
            replicas.follow(cache, wanted.set)
        watching = keep_revoking(cache, own.still_good, active_requests, wanted=wanted)
    else:
        cache = remember(_ask_elsewhere(settings, stack))
        watching = keep_rechecking(cache, active_requests)
    tasks = Tasks()
    stack.push_async_callback(tasks.cancel)
    tasks.start(watching, "revocation of tokens")
    return cache


def _ask_elsewhere(settings: Settings, stack: AsyncExitStack) -> Authenticator:
    session = http_lookup.make_session()
    stack.push_async_callback(session.close)
    way = settings.outbound.for_url
    if (url := settings.coder_url) is not None:
        return coder.CoderAuthenticator(url, session, way(url))
    assert settings.proxy_target is not None
    target = settings.proxy_target
    return remote.RemoteAuthenticator(target, session, way(target))
