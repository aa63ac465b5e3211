"""Signing in to the web page: the browser's way to the identity provider, and who comes back.

The sign-in is a browser's. It ends as all of its person's do, and the identity provider is asked
about them as often as for a device, where it has granted a way to ask.
"""

import asyncio
import secrets

from aiohttp import web
from loguru import logger

from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.browser_sign_ins import BrowserSignIn, BrowserSignIns
from aibridged.identity.credential_key import CredentialKeyError
from aibridged.identity.lookups import NoRoomError
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.sign_in.components import Components
from aibridged.sign_in.cookies import MAX_PAGE, new_trip
from aibridged.sign_in.device import CALLBACK, provider_away
from aibridged.sign_in.oauth import OAuthError
from aibridged.sign_in.pages import Pages, busy, store_away
from aibridged.sign_in.refresh import NotVouchedForError, vouched

AWAY = "The identity provider can't be reached. Please try again in a minute."


class PageSignIn:
    """What the web page needs of signing in. `check_s`: how long the provider's word counts."""

    def __init__(self, components: Components, browsers: BrowserSignIns, check_s: float) -> None:
        self._c = components
        self._pages = Pages(
            components.base, components.provider_name, is_secure=components.cookies.is_secure
        )
        self._browsers = browsers
        self._check_s = check_s
        self._checks: dict[str, asyncio.Task[Actor | AuthUnavailableError | None]] = {}

    @property
    def provider_name(self) -> str:
        """What people call the identity provider."""
        return self._c.provider_name

    async def leave(
        self, request: web.BaseRequest, path: str, address: bytes
    ) -> web.StreamResponse:
        """Send the browser to the identity provider; it is to come back to `path` of the page.

        Raises:
            PageError: that isn't possible now.
        """
        c = self._c
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            async with c.places.place(address):
                url = await c.provider.authorization_url(
                    redirect_uri=c.url(CALLBACK), state=state, nonce=nonce, verifier=verifier
                )
                trip = new_trip(
                    state, nonce, verifier, "", c.clock, page=path if len(path) <= MAX_PAGE else "/"
                )
                cookies = await c.off_loop(c.cookies.set_out, trip, request.cookies)
        except NoRoomError:
            raise busy() from None
        except ProviderUnavailableError as error:
            c.count("provider_unavailable")
            raise provider_away(c.provider.issuer, error) from None
        except (AuthUnavailableError, CredentialKeyError) as error:
            raise store_away(error) from None
        return self._pages.leave(url, cookies)

    async def arrived(self, request: web.BaseRequest) -> str | None:
        """The sign-in with which a browser comes back.

        Raises:
            PageError: that can't be told now.
        """
        try:
            return await self._c.off_loop(self._c.cookies.arrival, request.cookies)
        except AuthUnavailableError as error:
            raise store_away(error) from None

    def end_arrival(self, response: web.Response) -> None:
        """Have the browser forget with what it came."""
        self._pages.with_cookies(response, [self._c.cookies.end_arrival()])

    async def actor(self, sign_in_id: str) -> Actor | None:
        """Who has signed in; None once that has ended.

        Raises:
            AuthUnavailableError: it can't be told now.
        """
        found = await self._c.off_loop(self._browsers.find, sign_in_id)
        if found is None:
            return None
        age = (self._c.clock.wall() - found.checked_at).total_seconds()
        if age < self._check_s:
            return found.actor
        checking = self._checks.get(sign_in_id)
        if checking is None:
            # It goes on when the browser leaves; the others of its requests wait for it.
            checking = self._c.tasks.start(self._check(sign_in_id, found), "check of a sign-in")
            self._checks[sign_in_id] = checking
            checking.add_done_callback(lambda _: self._checks.pop(sign_in_id, None))
        outcome = await asyncio.shield(checking)
        if isinstance(outcome, AuthUnavailableError):
            raise AuthUnavailableError(str(outcome))
        return outcome

    async def end(self, sign_in_id: str) -> None:
        """Sign out.

        Raises:
            AuthUnavailableError: the database failed.
        """
        await self._c.off_loop(self._c.sign_ins.end, sign_in_id, reason="signed out")

    async def _check(
        self, sign_in_id: str, found: BrowserSignIn
    ) -> Actor | AuthUnavailableError | None:
        c = self._c
        try:
            await vouched(c, found.identity)
            await c.off_loop(self._browsers.checked, sign_in_id)
            now = await c.off_loop(self._browsers.find, sign_in_id)
        except NotVouchedForError:
            return None
        except ProviderUnavailableError as error:
            c.count("provider_unavailable")
            logger.warning("The sign-in of {} can't be checked: {}", _name(found), error.reason)
            return AuthUnavailableError(AWAY)
        except OAuthError as error:  # another refresh of the same person
            return AuthUnavailableError(error.sentence)
        except CredentialKeyError as error:
            return AuthUnavailableError(str(error))
        except AuthUnavailableError as error:
            return error
        return None if now is None else now.actor


def _name(found: BrowserSignIn) -> str:
    return found.actor.username
