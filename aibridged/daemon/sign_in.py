"""Signing in, where an identity provider is configured: its parts, and what runs beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from loguru import logger
from yarl import URL

from aibridged.clock import Clock
from aibridged.config.check_sign_in import group_field
from aibridged.config.options import Settings
from aibridged.core.claims import Person, listed
from aibridged.core.limiters import Limiters
from aibridged.counted import counted
from aibridged.daemon.replicas import Replicas, telling
from aibridged.identity.base import AuthUnavailableError, Gatekeeper
from aibridged.identity.browser_sign_ins import BrowserSignIns
from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.credential_key import KEY_FILE, CredentialKey
from aibridged.identity.device_codes import DeviceCodes
from aibridged.identity.grants import Grants
from aibridged.identity.lookups import Lookups
from aibridged.identity.memberships import Memberships
from aibridged.identity.off_loop import OffLoop
from aibridged.identity.sign_in_purge import SignInPurge
from aibridged.identity.sign_ins import SignInStore
from aibridged.identity.sign_up import SignUps
from aibridged.identity.users import User
from aibridged.observe.metrics import Metrics
from aibridged.pipeline.components import LocalRoute
from aibridged.records.database import Engine
from aibridged.tasks import Tasks

if TYPE_CHECKING:
    from aibridged.sign_in.web_page import PageSignIn

PURGE_INTERVAL_S = 3600.0
_FINISH_S = 5.0


class MadeSignIn(NamedTuple):
    """The routes of signing in, and what the web page needs of it; nothing where it is off."""

    routes: Mapping[str, LocalRoute]
    page: "PageSignIn | None"


async def make_sign_in(
    settings: Settings,
    engine: Engine,
    clock: Clock,
    gatekeeper: Gatekeeper,
    policy_groups: Set[str],
    metrics: Metrics | None,
    limiters: Limiters,
    stack: AsyncExitStack,
    replicas: Replicas | None,
) -> MadeSignIn:
    """Make what people sign in by, if it is configured. `stack` closes what that uses.

    Groups of `policy_groups` are created where a claim names them: the members of a group that a
    policy is for must not get what the policy for everybody grants. Bearers of a sign-in that ends
    here are forgotten by `gatekeeper` at once, and by the other `replicas`.

    Raises:
        CredentialKeyError: the key is lost, or can't be created.
        StoreUnavailableError: the database failed.
    """
    if not settings.oidc_issuer_url or settings.access_url is None or settings.auth != "token":
        return MadeSignIn({}, None)
    # They need an extra.
    from aibridged.oidc.factory import make_provider
    from aibridged.sign_in.components import (
        GUESS_PERIOD_S,
        GUESSES,
        PLACES,
        REFRESH_PERIOD_S,
        REFRESHES,
        Components,
    )
    from aibridged.sign_in.cookies import Cookies
    from aibridged.sign_in.routes import paths
    from aibridged.sign_in.web_page import PageSignIn

    base = URL(settings.access_url)
    key = CredentialKey(settings.state_dir / KEY_FILE)
    provider = make_provider(settings, clock)
    stack.push_async_callback(provider.http.close)
    off_loop = OffLoop("sign-ins")
    stack.push_async_callback(off_loop.close)
    tasks, refreshes = Tasks(), Tasks()
    stack.push_async_callback(tasks.cancel)
    stack.push_async_callback(_finish, refreshes)
    grants = Grants(engine, key, clock)
    await asyncio.to_thread(grants.prepare)
    assert isinstance(gatekeeper, CachedAuthenticator), "tokens are looked up in the database"
    loop, forget = asyncio.get_running_loop(), telling(replicas, gatekeeper).forget

    def on_revoked(bearers: Set[str]) -> None:
        loop.call_soon_threadsafe(forget, bearers)

    sign_ins = SignInStore(engine, clock, bearer_ttl=settings.bearer_ttl, on_revoked=on_revoked)
    components = Components(
        base=base,
        provider=provider,
        provider_name=settings.oidc_sign_in_text,
        session_s=settings.session_duration,
        clock=clock,
        off_loop=off_loop,
        codes=DeviceCodes(engine, clock, sign_ins),
        sign_ins=sign_ins,
        grants=grants,
        cookies=Cookies(key, clock, is_secure=base.scheme == "https"),
        admit=_admitting(settings, SignUps(engine, clock), Memberships(engine), policy_groups),
        places=Lookups(PLACES, clock),
        guesses=limiters.guesses(GUESSES, GUESS_PERIOD_S, "device"),
        refreshes=limiters.guesses(REFRESHES, REFRESH_PERIOD_S, "refresh"),
        tasks=refreshes,
        count=metrics.signed_in if metrics is not None else _uncounted,
    )
    tasks.start(provider.discovery.until_found(), "discovery of the identity provider")
    tasks.start(keep_purging(partial(off_loop, SignInPurge(engine, clock))), "purge of sign-ins")
    routes = {
        path: LocalRoute(found.methods, found.serve, is_public=True)
        for path, found in paths(components).items()
    }
    page = PageSignIn(components, BrowserSignIns(engine, clock), settings.bearer_ttl)
    return MadeSignIn(routes, page)


async def keep_purging(
    purge: Callable[[], Awaitable[int]], interval: float = PURGE_INTERVAL_S
) -> None:
    """Delete what is expired, now and every `interval` seconds, until cancelled."""
    while True:
        total = 0
        with suppress(AuthUnavailableError):  # the next time is soon enough
            while deleted := await purge():
                total += deleted
                await asyncio.sleep(0.1)  # others write, too
        if total:
            logger.info("Deleted {} of sign-ins that are over", counted(total, "row"))
        await asyncio.sleep(interval)


def _admitting(
    settings: Settings, sign_ups: SignUps, memberships: Memberships, policy_groups: Set[str]
) -> Callable[[Person, bool], User]:
    creates_all = settings.oidc_group_auto_create

    def admit(person: Person, is_new: bool) -> User:
        user = sign_ups.admit(
            person,
            allow_signups=is_new and settings.oidc_allow_signups,
            may_create_group=lambda name: creates_all or name in policy_groups,
        )
        if is_new and person.groups is not None:
            _tell_of_groups(settings, user.username, person.groups, memberships)
        return user

    return admit


def _tell_of_groups(
    settings: Settings, username: str, claimed: Sequence[str], memberships: Memberships
) -> None:
    """Log what would otherwise be known by the policy alone that then counts."""
    if not claimed:
        logger.info(
            "The claim {} gives {} no groups: it is missing, empty or filtered",
            group_field(settings),
            username,
        )
    elif missing := memberships.missing(claimed):
        logger.info(
            "{} is not in {}: no such group exists here; `aibridged groups create` makes one, and "
            "--oidc-group-auto-create all",
            username,
            listed(missing),
        )


async def _finish(refreshes: Tasks) -> None:
    """Let refreshes end: the identity provider may have issued what must be kept."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_FINISH_S):
            await refreshes.idle()
    await refreshes.cancel()


def _uncounted(outcome: str) -> None:
    """Without metrics nothing is counted."""
