"""A device's sign-in: the codes that it gets, and the page on which its user confirms it."""

import re
import secrets
from collections.abc import Mapping

from aiohttp import web
from loguru import logger
from yarl import URL

from aibridged.core.client_ip import network_name
from aibridged.core.origins import is_opened_by_a_person, is_own_form
from aibridged.identity.device_codes import (
    INTERVAL_S,
    LIFETIME_S,
    TooManyPendingError,
    Waiting,
    user_code_of,
)
from aibridged.identity.sign_in import SignIn
from aibridged.identity.sign_ins import UNUSED_S
from aibridged.oidc.base import ClientRefusedError, ProviderUnavailableError
from aibridged.sign_in.components import Components
from aibridged.sign_in.cookies import Cookie, new_trip
from aibridged.sign_in.oauth import answer, unavailable
from aibridged.sign_in.pages import DEVICE, PageError, Pages
from aibridged.sign_in.refresh import NotVouchedForError, vouched

CALLBACK = "/oauth/callback"

_PRODUCT = re.compile(r"[A-Za-z0-9._-]{1,40}(?:/[A-Za-z0-9._+-]{1,20})?")
_NOT_THERE = (
    "No device waits with this code. Check the letters; a code is valid for "
    f"{LIFETIME_S // 60} minutes."
)


async def authorize(
    c: Components, request: web.BaseRequest, form: Mapping[str, str], address: bytes
) -> web.StreamResponse:
    """`POST /oauth/device_authorization`: new codes."""
    product = _PRODUCT.match(request.headers.get("User-Agent", ""))
    client = product[0] if product is not None else ""
    try:
        code = await c.off_loop(c.codes.create, client, network_name(address))
    except TooManyPendingError:
        c.count("too_many")
        raise unavailable(
            "Too many devices wait for their sign-in. Please try again.", 60
        ) from None
    c.count("started")
    page = c.url(DEVICE)
    return answer(
        {
            "device_code": code.secret.reveal(),
            "user_code": code.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={code.user_code}",
            "expires_in": LIFETIME_S,
            "interval": INTERVAL_S,
        }
    )


class DevicePage:
    """`GET` and `POST /device`."""

    def __init__(self, components: Components, pages: Pages) -> None:
        self._c = components
        self._pages = pages
        self._origin = str(components.base.origin())

    async def show(
        self, request: web.BaseRequest, query: Mapping[str, str], address: bytes
    ) -> web.StreamResponse:
        """The page: to type a code, or with the question about the one in the link."""
        typed = query.get("user_code", "")
        if not typed or not is_opened_by_a_person(request.headers):
            return self._pages.enter()
        browser = await self._browser(request)
        return await self._ask(typed, browser, address)

    async def submit(
        self, request: web.BaseRequest, form: Mapping[str, str], address: bytes
    ) -> web.StreamResponse:
        """What the page sends: a code that was typed, or the answer to the question."""
        if not is_own_form(request.headers, self._origin):
            self._c.count("cross_site")
            raise PageError(
                403,
                "This form is not ours",
                "The request came from another site, or from a browser that is too old to tell.",
            )
        browser = await self._browser(request)
        typed, said = form.get("user_code", ""), form.get("answer")
        if said not in ("yes", "other", "no"):
            return await self._ask(typed, browser, address)
        waiting = await self._look(typed, browser, address)
        if waiting is None:
            return self._pages.enter(status=400, typed=typed[:16], error=_NOT_THERE)
        if said == "no":
            await self._c.off_loop(self._c.codes.deny, waiting.user_code)
            self._c.count("denied")
            logger.info("A device in {} was refused by its user", waiting.address)
            return self._pages.message("Device refused", "You can close this page.")
        if said == "yes" and browser is not None and await self._connected(browser, waiting):
            return self._pages.message(*done(browser.email or browser.username))
        ended: list[Cookie] = []
        if browser is not None:
            reason = "another account was chosen" if said == "other" else "its user signs in again"
            await self._c.off_loop(self._c.sign_ins.end, browser.id, reason=reason)
            ended.append(self._c.cookies.end_session())
        return await self._leave(request, waiting, ended, choose=said == "other")

    async def _ask(self, typed: str, browser: SignIn | None, address: bytes) -> web.StreamResponse:
        waiting = await self._look(typed, browser, address)
        if waiting is None:
            return self._pages.enter(status=400, typed=typed[:16], error=_NOT_THERE)
        # Asked for its origin only: browsers hold a form's redirects against the policy.
        url = await self._authorization_url("", "", secrets.token_urlsafe(32))
        account = None if browser is None else browser.email or browser.username
        return self._pages.question(waiting, self._c.clock.wall(), account, str(URL(url).origin()))

    async def _look(self, typed: str, browser: SignIn | None, address: bytes) -> Waiting | None:
        """The device with this code; wrong ones are counted."""
        # Somebody who is signed in isn't kept out by others in the same network.
        guesses, who = self._c.guesses, address if browser is None else browser.user_id.encode()
        if not await guesses.taken(who):
            self._c.count("too_many")
            raise PageError(
                429,
                "Too many wrong codes",
                f"Please wait for {int(guesses.period_s) // 60} minutes.",
                retry_after=int(guesses.period_s),
            )
        code = user_code_of(typed)
        waiting = None if code is None else await self._c.off_loop(self._c.codes.look, code)
        if waiting is not None:
            guesses.give_back(who)
        return waiting

    async def _browser(self, request: web.BaseRequest) -> SignIn | None:
        """The sign-in of the browser, if it has one that goes on."""

        def look_up() -> SignIn | None:
            sign_in_id = self._c.cookies.session(request.cookies)
            return None if sign_in_id is None else self._c.sign_ins.browser(sign_in_id)

        return await self._c.off_loop(look_up)

    async def _connected(self, browser: SignIn, waiting: Waiting) -> bool:
        """Sign the device in as the browser's user, if the identity provider vouches for them now.

        Otherwise they are to sign in there again.
        """
        c = self._c
        try:
            if not await vouched(c, browser.identity):
                return False
        except NotVouchedForError:
            return False
        approved = await c.off_loop(
            c.codes.approve, waiting.user_code, browser.user_id, browser.identity, UNUSED_S
        )
        if not approved:
            raise not_waiting()
        c.count("signed_in")
        logger.info("{} signed in a device in {}", browser.username, waiting.address)
        return True

    async def _leave(
        self, request: web.BaseRequest, waiting: Waiting, cookies: list[Cookie], *, choose: bool
    ) -> web.StreamResponse:
        """Send the browser to the identity provider."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = URL(await self._authorization_url(state, nonce, verifier))
        if choose:
            url = url.update_query(prompt="login")
        trip = new_trip(state, nonce, verifier, waiting.user_code, self._c.clock)
        cookies += await self._c.off_loop(self._c.cookies.set_out, trip, request.cookies)
        return self._pages.leave(str(url), cookies)

    async def _authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        return await self._c.provider.authorization_url(
            redirect_uri=self._c.url(CALLBACK), state=state, nonce=nonce, verifier=verifier
        )


def provider_away(issuer: str, error: ProviderUnavailableError) -> PageError:
    """The page where the identity provider can't be asked; the log says why."""
    logger.warning("Nobody can sign in at {}: {}", issuer, error.reason)
    if isinstance(error, ClientRefusedError):
        return PageError(
            503,
            "Signing in is not possible at the moment",
            "The identity provider does not accept this gateway. Tell an administrator of the "
            "gateway.",
            retry_after=60,
        )
    return PageError(
        503,
        "Signing in is not possible at the moment",
        "The identity provider can't be reached. Please try again in a minute.",
        retry_after=60,
    )


def not_waiting() -> PageError:
    """The page where the device has given up meanwhile."""
    return PageError(
        400,
        "The device no longer waits",
        "Its code has expired, or was answered before. Start signing in on the device again.",
        again=False,
    )


def done(account: str) -> tuple[str, str]:
    """What the page says in the end."""
    return "You're signed in", f"The device is connected as {account}. You can close this page."
