"""`GET /oauth/callback`: the browser comes back from the identity provider."""

from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import web
from loguru import logger

from aibridged.config.secret import Secret
from aibridged.core.claims import SignInRefusedError
from aibridged.core.targets import WEB_PAGE
from aibridged.identity.grants import Identity
from aibridged.identity.sign_ins import UNUSED_S
from aibridged.identity.users import User, UserStatus
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.sign_in.components import Components
from aibridged.sign_in.cookies import Cookie, Trip
from aibridged.sign_in.device import CALLBACK, done, not_waiting, provider_away
from aibridged.sign_in.pages import PageError, Pages

_MAX_PARAMETER = 4096


class Callback:
    """The end of a browser's trip."""

    def __init__(self, components: Components, pages: Pages) -> None:
        self._c = components
        self._pages = pages

    async def arrive(
        self, request: web.BaseRequest, query: Mapping[str, str], address: bytes
    ) -> web.StreamResponse:
        """Sign the browser in, and its device."""
        c = self._c
        state = query.get("state", "")
        trip = await c.off_loop(c.cookies.trip, state, request.cookies) if state else None
        if trip is None:
            c.count("wrong_state")
            raise PageError(
                400,
                "This sign-in was not started here",
                "It took too long, or was started in another browser or under another address. "
                f"For a device, open {c.url('/device')} and enter the code again; for the web "
                "page, sign in there again.",
                again=False,
            )
        over = c.cookies.arrived(trip)
        try:
            response = await self._finish(trip, query)
        except PageError as error:
            error.cookies = (*error.cookies, over)
            if trip.page is not None:
                error.again, error.where = True, self._c.path(f"{WEB_PAGE}/sign-in")
            raise
        return self._pages.with_cookies(response, [over])

    async def _finish(self, trip: Trip, query: Mapping[str, str]) -> web.Response:
        c = self._c
        if (said := query.get("error")) is not None:
            raise await self._not_let_in(trip, said)
        code = query.get("code", "")
        if not 0 < len(code) <= _MAX_PARAMETER:
            raise PageError(400, "Not signed in", "The identity provider sent no code.")
        try:
            person, refresh_token = await c.provider.exchange(
                code=code,
                redirect_uri=c.url(CALLBACK),
                nonce=trip.nonce,
                verifier=trip.verifier,
            )
            user = await c.off_loop(c.admit, person, True)
            if user.status is not UserStatus.ACTIVE:
                raise SignInRefusedError("Your account is suspended: ask an administrator.")
        except SignInRefusedError as error:
            raise await self._refused(trip, error) from None
        except ProviderUnavailableError as error:
            c.count("provider_unavailable")
            raise provider_away(c.provider.issuer, error) from None
        identity = Identity(person.issuer, person.subject)
        if refresh_token is not None:
            await c.off_loop(c.grants.put, identity, refresh_token)
        if trip.page is not None:
            return await self._to_page(trip.page, user, identity)
        session = await self._sign_in(trip, identity, refresh_token, user)
        page = self._pages.message(*done(user.email or user.username))
        return self._pages.with_cookies(page, [session])

    async def _to_page(self, path: str, user: User, identity: Identity) -> web.Response:
        """Sign the browser in for the web page, and send it there."""
        c = self._c

        def open_session() -> Cookie:
            return c.cookies.arrive(c.sign_ins.open_browser(user.id, identity, c.session_s))

        arrival = await c.off_loop(open_session)
        c.count("signed_in")
        logger.info("{} signed in to the web page with a browser", user.username)
        there = f"{c.path(WEB_PAGE)}/sign-in/arrived?to={quote(path, safe='')}"
        return self._pages.leave(there, [arrival])

    async def _sign_in(
        self, trip: Trip, identity: Identity, refresh_token: Secret | None, user: User
    ) -> Cookie:
        c = self._c
        has_grant = refresh_token is not None or await c.off_loop(c.grants.of, identity) is not None
        lifetime = UNUSED_S if has_grant else c.session_s
        if not await c.off_loop(c.codes.approve, trip.user_code, user.id, identity, lifetime):
            raise not_waiting()
        c.count("signed_in")
        logger.info("{} signed in with a browser, and a device with it", user.username)

        def open_session() -> Cookie:
            sign_in_id = c.sign_ins.open_browser(user.id, identity, c.session_s)
            return c.cookies.begin_session(sign_in_id, c.session_s)

        return await c.off_loop(open_session)

    async def _not_let_in(self, trip: Trip, said: str) -> PageError:
        """The identity provider's own refusal; the words that it sent could be anybody's."""
        if said == "access_denied":
            await self._deny(trip)
            self._c.count("denied")
            where = "on the device" if trip.page is None else "on the web page"
            return PageError(
                403,
                "Not signed in",
                "The sign-in was cancelled, or the identity provider refused it. Start again "
                f"{where}.",
                again=False,
            )
        self._c.count("provider_unavailable")
        logger.warning("The identity provider answered a sign-in with an error")
        return PageError(
            502, "Not signed in", "The identity provider answered with an error. Please try again."
        )

    async def _deny(self, trip: Trip) -> None:
        """Have the device wait no longer, if there is one."""
        if trip.page is None:
            await self._c.off_loop(self._c.codes.deny, trip.user_code)

    async def _refused(self, trip: Trip, error: SignInRefusedError) -> PageError:
        await self._deny(trip)
        self._c.count("refused")
        whose = f"The sign-in of {error.who}" if error.who else "A sign-in"
        claimed = f" ({error.claimed})" if error.claimed else ""
        logger.warning("{} was refused: {}{}", whose, error.sentence, claimed)
        return PageError(403, "Not signed in", error.sentence, again=False)
