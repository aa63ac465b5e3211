"""The pages that people see: templates that escape what they show, and headers that confine them.

They need no script, load nothing, and can't be framed. A form may lead to the gateway itself and to
the identity provider, with wherever that sends the browser: Chromium holds all redirects that
follow a form against `form-action`, and many providers pass people on to another one.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from loguru import logger
from markupsafe import Markup
from yarl import URL

from aibridged.identity.device_codes import Waiting
from aibridged.sign_in.cookies import Cookie

DEVICE = "/device"

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Type": "text/html; charset=utf-8",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every page, beside its content security policy."""
# A client chooses what it calls itself, so only known names are shown.
_PROGRAMS = {"claude-code": "Claude Code", "aibridged-login": "aibridged login"}
_MINUTE_S = 60


class PageError(Exception):
    """What ends in a page that says why; `again` offers another attempt, at the path `where`."""

    def __init__(
        self,
        status: int,
        title: str,
        text: str,
        *,
        again: bool = True,
        retry_after: int | None = None,
        cookies: Iterable[Cookie] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.text = text
        self.again = again
        self.retry_after = retry_after
        self.cookies = tuple(cookies)
        self.where: str | None = None


AWAY = "The gateway can't reach its database of sign-ins. Please try again."


def busy() -> PageError:
    """The page where too many of a network's requests wait."""
    text = "Too many requests from your network are waiting. Please try again."
    return PageError(503, "The gateway is busy", text, retry_after=5)


def store_away(error: Exception) -> PageError:
    """The page where the database or the key of sign-ins fails; the log says why."""
    logger.error("A sign-in failed: {}", error)
    return PageError(503, "Signing in is not possible", AWAY, retry_after=5)


class Pages:
    """Renders the pages of the gateway at `base`. `provider` is what people call the sign-in."""

    def __init__(self, base: URL, provider: str, *, is_secure: bool) -> None:
        self._environment = Environment(
            loader=PackageLoader("aibridged.sign_in"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        loader = self._environment.loader
        assert loader is not None
        style = loader.get_source(self._environment, "style.css")[0]
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._style = Markup(style)
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
            "frame-ancestors 'none'; form-action 'self'"
        )
        self._action = f"{base.path.rstrip('/')}{DEVICE}"
        self._provider = provider
        self._is_secure = is_secure

    def enter(self, *, status: int = 200, typed: str = "", error: str = "") -> web.Response:
        """The page on which a code is typed."""
        return self._page("enter.html", status, typed=typed, error=error, action=self._action)

    def question(
        self, waiting: Waiting, now: datetime, account: str | None, leads_to: str
    ) -> web.Response:
        """The question whether the device is one's own; the form may lead to that origin, too."""
        minutes = int((now - waiting.created_at).total_seconds()) // _MINUTE_S
        return self._page(
            "question.html",
            200,
            form_action=leads_to,
            code=waiting.user_code,
            client=_program(waiting.client),
            network=waiting.address,
            asked=f"{minutes} min ago" if minutes else "just now",
            account=account,
            provider=self._provider,
            action=self._action,
        )

    def message(
        self, title: str, text: str, *, status: int = 200, link: str | None = None
    ) -> web.Response:
        """A page with a sentence or two; the link is to another attempt."""
        return self._page(
            "message.html", status, title=title, text=text, link=link, is_error=status >= 400
        )

    def error(self, error: PageError) -> web.Response:
        """The page of an error."""
        link = (error.where or self._action) if error.again else None
        response = self.message(error.title, error.text, status=error.status, link=link)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return self.with_cookies(response, error.cookies)

    def leave(self, url: str, cookies: Iterable[Cookie]) -> web.Response:
        """Send the browser to the identity provider."""
        headers = {name: HEADERS[name] for name in ("Cache-Control", "Referrer-Policy")}
        response = web.Response(status=303, headers={**headers, "Location": url})
        return self.with_cookies(response, cookies)

    def with_cookies(self, response: web.Response, cookies: Iterable[Cookie]) -> web.Response:
        """The response, setting these cookies."""
        for cookie in cookies:
            response.set_cookie(
                cookie.name,
                cookie.value,
                max_age=cookie.max_age,
                path="/",
                secure=self._is_secure,
                httponly=True,
                samesite="Lax",
            )
        return response

    def _page(
        self, template: str, status: int, *, form_action: str = "", **values: object
    ) -> web.Response:
        text = self._environment.get_template(template).render(style=self._style, **values)
        policy = f"{self._policy} {form_action} https:" if form_action else self._policy
        headers = {**HEADERS, "Content-Security-Policy": policy}
        return web.Response(status=status, body=text.encode(), headers=headers)


def _program(client: str) -> str:
    name, _, version = client.partition("/")
    known = _PROGRAMS.get(name)
    if known is None:
        return "unknown"
    return f"{known} {version}" if version else known
