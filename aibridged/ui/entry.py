"""Signing in to the page, and out of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, unquote

from aiohttp import web
from loguru import logger
from yarl import URL

from aibridged.clock import Clock
from aibridged.core.auth import why_refused
from aibridged.core.guesses import Guesses
from aibridged.core.origins import is_loopback_name, is_of_another_origin, is_own_form
from aibridged.errors import (
    AUTH_UNAVAILABLE,
    METHOD_NOT_ALLOWED,
    ORIGIN_REFUSED,
    RATE_LIMITED,
    UNAUTHENTICATED,
    GatewayError,
)
from aibridged.identity.anonymous import LOCAL_ACTOR
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.throttle import Throttle
from aibridged.sign_in.forms import fields
from aibridged.sign_in.pages import PageError
from aibridged.sign_in.web_page import PageSignIn
from aibridged.ui import single_use_code
from aibridged.ui.render import Renderer
from aibridged.ui.session import Session, Sessions

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
AT_PROVIDER, ARRIVED, BY_CODE = "/sign-in/provider", "/sign-in/arrived", "/sign-in/code"
PATHS: Mapping[str, frozenset[str]] = {
    SIGN_IN: frozenset({"GET", "HEAD", "POST"}),
    AT_PROVIDER: frozenset({"GET"}),
    ARRIVED: frozenset({"GET"}),
    BY_CODE: frozenset({"POST"}),
    SIGN_OUT: frozenset({"POST"}),
}
"""What is served here, to those who aren't signed in, too, with the methods."""

GUESSES, GUESS_PERIOD_S = 20, 600.0
"""Wrong tokens of an address within the period."""

_MAX_TOKEN = 512
_MAX_PATH = 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may come in: `auth` as in the settings, and where the page is.

    `base` is the gateway's own URL, where it is known. `state_dir` is where codes are left.
    """

    auth: str
    base: URL | None
    state_dir: Path


class Entry:
    """Who is let in: with `auth` none everybody as the local actor, else by a token, or by a
    sign-in at the identity provider, if there is one.

    `guesses` has `GUESSES` in `GUESS_PERIOD_S`.
    """

    def __init__(
        self,
        rules: Rules,
        renderer: Renderer,
        sessions: Sessions,
        gate: Throttle,
        provider: PageSignIn | None,
        clock: Clock,
        guesses: Guesses,
    ) -> None:
        self._renderer = renderer
        self._sessions = sessions
        self._gate = gate
        self._provider = provider
        self._clock = clock
        self._guesses = guesses
        self._auth = rules.auth
        self._origin = None if rules.base is None else str(rules.base.origin())
        self._state_dir = rules.state_dir
        self.can_sign_out = rules.auth != "none"
        self.has_users = rules.auth == "token"

    def admitted(self) -> Session | None:
        """The session of a browser that has none and needs no sign-in."""
        return self._sessions.begin() if self._auth == "none" else None

    async def actor(self, session: Session, address: bytes) -> Actor | None:
        """Who is behind a session, None if that is over.

        Raises:
            GatewayError: it can't be told now.
        """
        if session.sign_in_id is not None:
            return await self._signed_in(session.sign_in_id)
        if session.token is None:
            return LOCAL_ACTOR if self._auth == "none" else None
        try:
            return await self._gate.actor(session.token, lambda: address)
        except GatewayError as error:
            if error.kind.status != 401:
                raise
            return None

    async def _signed_in(self, sign_in_id: str) -> Actor | None:
        if self._provider is None:
            return None
        try:
            return await self._provider.actor(sign_in_id)
        except AuthUnavailableError as error:
            logger.error("A visitor of the web page can't be told: {}", error)
            raise GatewayError(AUTH_UNAVAILABLE, retry_after=5) from None

    def check_origin(self, request: web.BaseRequest) -> None:
        """Check that a form comes from a page of our own.

        A reverse proxy may have another host than its visitors see: the access URL tells.

        Raises:
            GatewayError: it comes from elsewhere.
        """
        headers = request.headers
        if not is_of_another_origin(headers):
            return
        if self._origin is None or not is_own_form(headers, self._origin):
            raise GatewayError(ORIGIN_REFUSED)

    def ask(self, path: str, raw_query: str, method: str) -> web.Response:
        """Lead to the form, and from there to what was asked for."""
        wanted = f"{path}?{raw_query}" if raw_query else path
        if method == "POST" or wanted == "/" or not _local(wanted):
            return self._renderer.redirect(SIGN_IN)
        return self._renderer.redirect(f"{SIGN_IN}?to={quote(wanted, safe='')}")

    async def serve(
        self,
        request: web.BaseRequest,
        path: str,
        form: Mapping[str, str],
        session: Session | None,
        raw_query: str,
        address: bytes,
    ) -> web.StreamResponse:
        """Serve one of the `PATHS`. `session` is that of a visitor who is signed in.

        Raises:
            GatewayError: it isn't possible, or not now.
        """
        if request.method not in PATHS[path]:
            raise GatewayError(METHOD_NOT_ALLOWED, allow=", ".join(sorted(PATHS[path])))
        query = fields(raw_query)
        to = _local(query.get("to", ""))
        try:
            match path, request.method:
                case ("/sign-out", _):
                    return await self._sign_out(form, session)
                case ("/sign-in/code", _):
                    return await self._spend(form, request, address)
                case ("/sign-in", "POST"):
                    return await self._sign_in(form, _local(form.get("to", "")), address)
                case ("/sign-in/arrived", _):
                    return await self._arrive(request, to)
            if session is not None:
                return self._renderer.redirect(to or "/")
            if path == AT_PROVIDER:
                return await self._leave(request, to, address)
        except PageError as error:
            response = self._form(to, error.text, error.status)
            if error.retry_after is not None:
                response.headers["Retry-After"] = str(error.retry_after)
            return response
        return self._form(to, code=query.get("code", ""))

    def problem(self, message: str, status: int) -> web.Response:
        """What went wrong, for a visitor who isn't signed in."""
        return self._form("", message, status)

    def set_cookie(self, response: web.StreamResponse, value: str) -> None:
        """Set the cookie of a session, until the browser is closed."""
        response.set_cookie(
            self._sessions.cookie_name,
            value,
            path="/",
            secure=self._sessions.is_secure,
            httponly=True,
            samesite="Lax",
        )

    async def _sign_in(self, form: Mapping[str, str], to: str, address: bytes) -> web.Response:
        token = form.get("token", "").strip()
        if self._auth == "none" or not 0 < len(token) <= _MAX_TOKEN:
            return self._form(to, "Paste a gateway token.", 400)
        await self._take(address)
        try:
            actor = await self._gate.actor(token, lambda: address)
        except GatewayError as error:
            if error.kind.status != 401:
                self._guesses.give_back(address)
            message = error.message
            if error.kind is UNAUTHENTICATED:
                message = why_refused(token, own_tokens=self._auth == "token")
            return self._form(to, message, error.kind.status)
        self._guesses.give_back(address)
        logger.info("{} signed in to the web page with a token", actor.username)
        return self._begin(self._sessions.begin(token=token), to)

    async def _spend(
        self, form: Mapping[str, str], request: web.BaseRequest, address: bytes
    ) -> web.Response:
        """Sign in by a code that a command on this machine has left."""
        if not _is_local(request, address):
            raise GatewayError(ORIGIN_REFUSED, "A code is for this machine's own browsers.")
        await self._take(address)
        code = form.get("code", "")
        token = await asyncio.to_thread(single_use_code.spend, self._state_dir, code, self._clock)
        if token is None:
            return self._form(
                "",
                "This code was used before, or is older than a minute: get another one.",
                401,
            )
        self._guesses.give_back(address)
        return await self._sign_in({"token": token}, "", address)

    async def _leave(self, request: web.BaseRequest, to: str, address: bytes) -> web.StreamResponse:
        """Send the browser to the identity provider, if a person wants that, and no other site."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if self._provider is None or site not in ("same-origin", "none"):
            return self._form(to)
        return await self._provider.leave(request, to or "/", address)

    async def _arrive(self, request: web.BaseRequest, to: str) -> web.Response:
        sign_in_id = None if self._provider is None else await self._provider.arrived(request)
        if self._provider is None or sign_in_id is None:
            return self._renderer.redirect(SIGN_IN)
        response = self._begin(self._sessions.begin(sign_in_id=sign_in_id), to)
        self._provider.end_arrival(response)
        return response

    def _begin(self, session: Session, to: str) -> web.Response:
        response = self._renderer.redirect(to or "/")
        self.set_cookie(response, self._sessions.sealed(session))
        return response

    async def _sign_out(self, form: Mapping[str, str], session: Session | None) -> web.Response:
        response = self._renderer.redirect(SIGN_IN)
        if session is None:
            return response
        if not self._sessions.is_csrf(session, form.get("csrf", "")):
            raise GatewayError(ORIGIN_REFUSED, "This form is out of date: reload the page.")
        self._sessions.end(session)
        if session.sign_in_id is not None and self._provider is not None:
            try:
                await self._provider.end(session.sign_in_id)
            except AuthUnavailableError as error:
                logger.error("A sign-in could not be ended: {}", error)
                raise GatewayError(AUTH_UNAVAILABLE, retry_after=5) from None
        response.del_cookie(self._sessions.cookie_name, path="/", secure=self._sessions.is_secure)
        return response

    async def _take(self, address: bytes) -> None:
        if not await self._guesses.taken(address):
            raise GatewayError(
                RATE_LIMITED, "Too many wrong tokens came from your network.", retry_after=60
            )

    def _form(self, to: str, error: str = "", status: int = 200, code: str = "") -> web.Response:
        values = {
            "to": to,
            "code": code[:_MAX_PATH],
            "error": error,
            "auth": self._auth,
            "provider": None if self._provider is None else self._provider.provider_name,
            "title": "Sign in",
        }
        return self._renderer.html("sign_in.html", values, status=status)


def _local(path: str) -> str:
    """A path of the page to go on to; "" where it could be another site's."""
    is_own = path.startswith("/") and not path.startswith("//")
    is_plain = path.isascii() and path.isprintable() and not {*path} & {"\\", '"', " "}
    # Browsers resolve dots: they lead out of the page, to what else its host has.
    segments = unquote(path.partition("?")[0]).split("/")
    is_below = {".", ".."}.isdisjoint(segments)
    return path if is_own and is_plain and is_below and len(path) <= _MAX_PATH else ""


def _is_local(request: web.BaseRequest, address: bytes) -> bool:
    """Whether a browser on this machine asks, and for a name of this machine."""
    try:
        is_loopback = ip_address(address).is_loopback
    except ValueError:
        # An IPv6 network is half of an address; the loopback address is alone in its own.
        is_loopback = address == bytes(8) and request.remote == "::1"
    return is_loopback and all(map(is_loopback_name, request.headers.getall("Host", ())))
