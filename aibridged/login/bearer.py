"""A fresh bearer of a stored sign-in, refreshed once however many processes ask for it."""

from dataclasses import replace

from .clock import Clock
from .failure import LoginError, SignedOutError, UnreachableError
from .store import Login, Logins

# Agents keep a bearer for five minutes before they ask again.
_KEPT_S = 360.0
_FRACTION = 0.1
# All attempts together; less than how long the lock counts.
_REFRESH_S = 20.0
_WAIT_S = 30.0
_LONG_S = 10.0
_SHORT_S = 3.0
_PAUSE_S = 1.0


def fresh(logins: Logins, url: str | None, clock: Clock) -> Login:
    """The sign-in at a gateway (None: the default one) with a bearer that lasts a while.

    Where the gateway is away, one that is still valid has to do.

    Raises:
        SignedOutError: there is no sign-in, or it has ended.
        LoginError: the bearer has expired, and there is no new one now.
    """
    login = logins.chosen(url)
    if not _is_due(login, clock):
        return login
    if login.refresh_token is None:
        if _is_valid(login, clock):
            return login
        raise _ended(login)
    lock = logins.lock(login.url)
    if not lock.try_acquire():
        if _is_valid(login, clock):
            # Another process is at it, and this bearer serves until then.
            return login
        if not lock.acquire(_WAIT_S):
            raise LoginError(
                f"another process has been renewing the token for {_WAIT_S:.0f} s", "Try again."
            )
    try:
        # It may have been done while this process waited.
        login = logins.chosen(login.url)
        return _refreshed(logins, login, clock) if _is_due(login, clock) else login
    finally:
        lock.release()


def _refreshed(logins: Logins, login: Login, clock: Clock) -> Login:
    if login.refresh_token is None:
        raise _ended(login)
    # What speaks HTTP is loaded now only: most calls find a bearer that lasts.
    from . import oauth

    deadline = clock.monotonic() + _REFRESH_S
    while True:
        left = deadline - clock.monotonic()
        try:
            # Who asks may not wait long, and a bearer that is valid is at hand.
            patience = _SHORT_S if _is_valid(login, clock) else _LONG_S
            timeout = min(patience, max(left, 1.0))
            tokens = oauth.refresh(
                login.token_endpoint, login.refresh_token, login.ca_file, timeout
            )
        except SignedOutError:
            stored = logins.load(login.url)
            if stored is not None and stored.refresh_token != login.refresh_token:
                # Who took an outdated lock over was faster.
                return stored
            logins.delete(login)
            raise _ended(login) from None
        except UnreachableError:
            if _is_valid(login, clock):
                return login
            if clock.monotonic() + _PAUSE_S >= deadline:
                raise
            clock.sleep(_PAUSE_S)
        else:
            break
    renewed = replace(
        login,
        access_token=tokens.access,
        refresh_token=tokens.refresh or login.refresh_token,
        expires_at=clock.now() + tokens.lifetime,
        lifetime=tokens.lifetime,
        email=tokens.email or login.email,
    )
    logins.save(renewed)
    return renewed


def _is_due(login: Login, clock: Clock) -> bool:
    """Whether it is time for a new bearer: early enough that an agent never holds a dead one."""
    margin = min(max(_KEPT_S, login.lifetime * _FRACTION), login.lifetime / 2)
    return login.expires_at - clock.now() < margin or _is_from_the_future(login, clock)


def _is_valid(login: Login, clock: Clock) -> bool:
    return login.expires_at > clock.now() and not _is_from_the_future(login, clock)


def _is_from_the_future(login: Login, clock: Clock) -> bool:
    """Whether the clock was set back since: how long the bearer lasts is unknown."""
    return login.expires_at - clock.now() > login.lifetime + 60


def _ended(login: Login) -> SignedOutError:
    return SignedOutError(
        f"your sign-in at {login.url} has ended", f"Sign in again: `aibridged login {login.url}`."
    )
