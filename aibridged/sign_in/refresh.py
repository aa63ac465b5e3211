"""Refreshes: the identity provider is asked again, and then there is a new pair of tokens.

One refresh of a person runs at a time, on all replicas. Whoever waits for another one's finds the
refresh token used a moment ago, and gets the same successor.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn, TypeVar

from loguru import logger

from aibridged.config.secret import Secret
from aibridged.core.claims import SignInRefusedError
from aibridged.counted import counted
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.credential_key import CredentialKeyError
from aibridged.identity.grants import Grant, Identity
from aibridged.identity.sign_in import Pair, Presented, Standing
from aibridged.identity.sign_ins import UNUSED_S
from aibridged.oidc.base import GrantEndedError, ProviderUnavailableError
from aibridged.sign_in.components import Components
from aibridged.sign_in.oauth import OAuthError, invalid_grant, unavailable

T = TypeVar("T")

GATEWAY = "gateway"
"""The actor of what nobody did by hand, in the audit log."""

_AGAIN = "Sign in again."
_LEASE_WAIT_S, _LEASE_POLL_S = 10.0, 0.2
# With what the provider may take, less than the lease.
_KEEP_S, _KEEP_PAUSE_S = 15.0, 0.5


class NotVouchedForError(Exception):
    """The identity provider no longer vouches for a person: all their sign-ins have ended."""


_ORDINARY = (
    OAuthError,
    NotVouchedForError,
    ProviderUnavailableError,
    AuthUnavailableError,
    CredentialKeyError,
)


async def refreshed(c: Components, refresh_token: str) -> Pair:
    """The successors of a refresh token.

    Raises:
        OAuthError: 401 if it is worth nothing, 503 if that can't be told at present.
    """
    presented = await c.off_loop(c.sign_ins.present, refresh_token)
    if presented is None:
        c.count("refresh_refused")
        raise invalid_grant(f"The refresh token is not valid. {_AGAIN}")
    if presented.standing is not Standing.GOOD:
        return await _not_good(c, presented)
    if not await c.refreshes.taken(presented.sign_in.id.encode()):
        raise unavailable("This sign-in was refreshed too often.", int(c.refreshes.period_s / 10))
    return await _to_the_end(c, _with_lease(c, presented))


async def vouched(c: Components, identity: Identity) -> bool:
    """Ask the identity provider about a person; False: it has granted no way to ask.

    Their name, groups and role follow its answer.

    Raises:
        NotVouchedForError: it no longer vouches for them.
        ProviderUnavailableError, AuthUnavailableError: that can't be told at present.
    """

    async def ask() -> bool:
        async with _lease(c, identity):
            return await _ask(c, identity)

    return await _to_the_end(c, ask())


async def _to_the_end(c: Components, asking: Coroutine[Any, Any, T]) -> T:
    """Await what asks the identity provider.

    It goes on when the client leaves: what the provider has issued must be kept.
    """

    async def outcome() -> T | Exception:
        try:
            return await asking
        except _ORDINARY as error:
            return error  # for the client, and no failure of the task

    found = await asyncio.shield(c.tasks.start(outcome(), "refresh of a sign-in"))
    if isinstance(found, _ORDINARY):
        raise found
    assert not isinstance(found, Exception)
    return found


async def _with_lease(c: Components, presented: Presented) -> Pair:
    sign_in, token = presented.sign_in, presented.token
    try:
        async with _lease(c, sign_in.identity):
            now = await c.off_loop(c.sign_ins.present, token.text)
            if now is None or now.standing is not Standing.GOOD:
                return await _not_good(c, now or presented)
            lifetime = UNUSED_S if await _ask(c, sign_in.identity) else None
            pair = await c.off_loop(c.sign_ins.rotate, token, sign_in.id, lifetime)
    except NotVouchedForError as error:
        c.count("refresh_refused")
        raise invalid_grant(f"{error} {_AGAIN}") from None
    except ProviderUnavailableError as error:
        c.count("refresh_unavailable")
        logger.warning("A sign-in of {} can't be refreshed: {}", sign_in.username, error.reason)
        raise unavailable("The identity provider can't be reached. Please try again.") from None
    if pair is None:
        c.count("refresh_refused")
        raise invalid_grant(f"The sign-in has ended. {_AGAIN}")
    c.count("refreshed")
    return pair


async def _not_good(c: Components, presented: Presented) -> Pair:
    sign_in = presented.sign_in
    if presented.standing is Standing.REPEATED:
        pair = await c.off_loop(c.sign_ins.repeat, presented)
        if pair is not None:
            c.count("refreshed")
            return pair
    if presented.standing is Standing.REUSED:
        c.count("reused")
        ended = await c.off_loop(
            c.sign_ins.end, sign_in.id, reason="a refresh token was used twice", actor=GATEWAY
        )
        if ended:
            logger.warning(
                "The sign-in {} of {} has ended: its refresh token {} was used before, so that "
                "somebody else may have a copy",
                sign_in.id,
                sign_in.username,
                presented.token.id,
            )
    c.count("refresh_refused")
    raise invalid_grant(f"The sign-in has ended. {_AGAIN}")


async def _ask(c: Components, identity: Identity) -> bool:
    """Ask the identity provider, under the person's lease."""
    for _ in range(2):
        grant = await c.off_loop(c.grants.of, identity)
        if grant is None:
            return False
        try:
            person, successor = await c.provider.refresh(grant.refresh_token, identity.subject)
        except GrantEndedError:
            if await c.off_loop(c.grants.drop, grant):
                await _end(c, identity, "the identity provider has ended it")
                sentence = "The identity provider no longer accepts your sign-in."
                raise NotVouchedForError(sentence) from None
            continue  # they have signed in again meanwhile
        except SignInRefusedError as error:
            await _refuse(c, identity, error)
        except ProviderUnavailableError as error:
            if error.successor is not None:
                await _keep(c, grant, error.successor)
            raise
        if successor is not None:
            await _keep(c, grant, successor)
        if (person.issuer, person.subject) != (identity.issuer, identity.subject):
            await _refuse(c, identity, SignInRefusedError("The account is another one's."))
        try:
            await c.off_loop(c.admit, person, False)
        except SignInRefusedError as error:
            await _refuse(c, identity, error)
        return True
    return False


async def _keep(c: Components, grant: Grant, successor: Secret) -> None:
    """Store the identity provider's next refresh token: it exists nowhere else.

    A database that fails, or is locked, is tried again for a while.
    """
    deadline = c.clock.monotonic() + _KEEP_S
    while True:
        try:
            return await c.off_loop(c.grants.replace, grant, successor)
        except AuthUnavailableError:
            if c.clock.monotonic() >= deadline:
                raise
            await asyncio.sleep(_KEEP_PAUSE_S)


async def _refuse(c: Components, identity: Identity, error: SignInRefusedError) -> NoReturn:
    await _end(c, identity, "the identity provider's claims no longer allow it")
    raise NotVouchedForError(error.sentence) from None


async def _end(c: Components, identity: Identity, reason: str) -> None:
    ended = await c.off_loop(c.sign_ins.end_of, identity, reason=reason, actor=GATEWAY)
    sign_ins = counted(ended, "sign-in has", "sign-ins have")
    logger.info("For the subject {}, {} ended: {}", identity.subject, sign_ins, reason)


@asynccontextmanager
async def _lease(c: Components, identity: Identity) -> AsyncIterator[None]:
    """The person's lease for the duration of the block.

    Raises:
        OAuthError: another refresh has had it for too long.
    """
    for _ in range(int(_LEASE_WAIT_S / _LEASE_POLL_S)):
        lease = await c.off_loop(c.grants.lease, identity)
        if lease is not None:
            break
        await asyncio.sleep(_LEASE_POLL_S)
    else:
        raise unavailable("Another refresh of yours is under way. Please try again.", 2)
    try:
        yield
    finally:
        with suppress(AuthUnavailableError):  # it ends by itself
            await c.off_loop(c.grants.release, identity, lease)
