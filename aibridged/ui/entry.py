"""Signing in to the page, and out of it."""

from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import web
from loguru import logger

from aibridged.core.auth import why_refused
from aibridged.core.guesses import Guesses
from aibridged.errors import RATE_LIMITED, UNAUTHENTICATED, GatewayError
from aibridged.identity.anonymous import LOCAL_ACTOR
from aibridged.identity.base import Actor
from aibridged.identity.throttle import Throttle
from aibridged.sign_in.forms import fields, read_form
from aibridged.ui.render import Renderer
from aibridged.ui.session import Session, Sessions

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
GUESSES, GUESS_PERIOD_S = 20, 600.0
"""Wrong tokens of an address within the period."""

_MAX_TOKEN = 512
_MAX_PATH = 2048


class Entry:
    """Who is let in: with `auth` none everybody as the local actor, else by a token."""

    def __init__(
        self,
        renderer: Renderer,
        sessions: Sessions,
        gate: Throttle,
        guesses: Guesses,
        auth: str,
    ) -> None:
        self._renderer = renderer
        self._sessions = sessions
        self._gate = gate
        self._guesses = guesses
        self._auth = auth
        self.can_sign_out = auth != "none"

    def admitted(self) -> Session | None:
        """The session of a browser that has none and needs no sign-in."""
        return self._sessions.begin() if self._auth == "none" else None

    async def actor(self, session: Session, address: bytes) -> Actor | None:
        """Who is behind a session, None if that is over.

        Raises:
            GatewayError: it can't be told now.
        """
        if session.token is None:
            return LOCAL_ACTOR if self._auth == "none" else None
        try:
            return await self._gate.actor(session.token, lambda: address)
        except GatewayError as error:
            if error.kind.status != 401:
                raise
            return None

    def ask(self, path: str, raw_query: str, method: str) -> web.Response:
        """Lead to the form, and from there to what was asked for."""
        wanted = f"{path}?{raw_query}" if raw_query else path
        if method == "POST" or path == "/" or len(wanted) > _MAX_PATH:
            return self._renderer.redirect(SIGN_IN)
        return self._renderer.redirect(f"{SIGN_IN}?to={quote(wanted, safe='')}")

    async def serve(
        self,
        request: web.BaseRequest,
        path: str,
        session: Session | None,
        raw_query: str,
        address: bytes,
    ) -> web.Response:
        """Serve the form, and what it and the button to sign out send."""
        if path == SIGN_OUT:
            return await self._sign_out(request, session)
        query = fields(raw_query)
        if request.method != "POST":
            if session is not None:
                return self._renderer.redirect("/")
            return self._form(_local(query.get("to", "")))
        form = await read_form(request)
        return await self._sign_in(form, _local(form.get("to", "")), address)

    def problem(self, message: str, status: int) -> web.Response:
        """What went wrong, for somebody who isn't signed in."""
        return self._form("", message, status)

    def set_cookie(self, response: web.Response, value: str) -> None:
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
        if not 0 < len(token) <= _MAX_TOKEN:
            return self._form(to, "Paste a gateway token.", 400)
        if not self._guesses.take(address):
            raise GatewayError(
                RATE_LIMITED, "Too many wrong tokens came from your network.", retry_after=60
            )
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
        response = self._renderer.redirect(to or "/")
        self.set_cookie(response, self._sessions.sealed(self._sessions.begin(token=token)))
        return response

    async def _sign_out(self, request: web.BaseRequest, session: Session | None) -> web.Response:
        response = self._renderer.redirect(SIGN_IN)
        if request.method == "POST" and session is not None:
            form = await read_form(request)
            if self._sessions.is_csrf(session, form.get("csrf", "")):
                self._sessions.end(session)
                response.del_cookie(
                    self._sessions.cookie_name, path="/", secure=self._sessions.is_secure
                )
        return response

    def _form(self, to: str, error: str = "", status: int = 200) -> web.Response:
        values = {"to": to, "error": error, "is_coder": self._auth == "coder", "title": "Sign in"}
        return self._renderer.html("sign_in.html", values, status=status)


def _local(path: str) -> str:
    """A path of the page to go on to; "" where it could be another site's."""
    is_own = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return (
        path if is_own and path.isascii() and path.isprintable() and len(path) <= _MAX_PATH else ""
    )
