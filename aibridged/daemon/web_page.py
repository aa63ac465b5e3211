"""The web page: whether it is served and where, and its parts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from loguru import logger
from yarl import URL

from aibridged.api.handler import Api
from aibridged.api.spend_limits import SpendLimitApi
from aibridged.clock import Clock
from aibridged.config import extras
from aibridged.config.options import Settings
from aibridged.core.limiters import Limiters
from aibridged.core.targets import WEB_PAGE
from aibridged.errors import INTERNAL_ERROR, GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.credential_key import CredentialKey, CredentialKeyError
from aibridged.identity.throttle import Throttle
from aibridged.pipeline.components import LocalHandler, LocalRoute
from aibridged.transport.time_slices import TimeSlices

if TYPE_CHECKING:
    from aibridged.sign_in.web_page import PageSignIn

KEY_FILE = "web-page.key"
"""In the state directory; daemons behind one address need the same."""

# Others are refused by a page of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def has_own_listener(settings: Settings) -> bool:
    """Whether it is served at an address of its own, and not at the gateway's."""
    return settings.ui_address is not None and settings.ui_enabled != "false"


def is_wanted(settings: Settings, *, is_local: bool) -> bool:
    """Whether the page is served. `is_local`: its listener has loopback addresses only."""
    if settings.ui_enabled == "auto":
        return settings.ui_address is not None or is_local
    return settings.ui_enabled == "true"


def root(settings: Settings) -> str:
    """The path of the page as browsers have it."""
    base = settings.access_url
    return f"{URL(base).path.rstrip('/') if base is not None else ''}{WEB_PAGE}"


def make_ui(
    settings: Settings,
    api: Api,
    spend_limits: SpendLimitApi,
    gate: Throttle,
    provider: "PageSignIn | None",
    clock: Clock,
    slices: TimeSlices,
    limiters: Limiters,
    *,
    is_on: bool,
) -> Mapping[str, LocalRoute]:
    """The routes of the page; none where it isn't on, or its libraries are missing."""
    if not is_on:
        return {}
    if missing := extras.sentences("ui", "The web page is off"):
        logger.info("{}", missing)
        return {}

    base = URL(settings.access_url) if settings.access_url is not None else None
    page = _Page(
        root=root(settings),
        base=base,
        is_secure=base.scheme == "https" if base else settings.tls_cert_file is not None,
        auth=settings.auth,
        state_dir=settings.state_dir,
        session_s=settings.session_duration,
    )

    async def make() -> LocalHandler:
        return await asyncio.to_thread(
            _make, page, api, spend_limits, gate, provider, clock, slices, limiters
        )

    ui = LocalRoute(_METHODS, _OnDemand(make), is_public=True)
    return {WEB_PAGE: ui, f"{WEB_PAGE}/": ui}


class _Page(msgspec.Struct, frozen=True):
    """What the page needs of the settings, none of which changes with a reload."""

    root: str
    base: URL | None
    is_secure: bool
    auth: str
    state_dir: Path
    session_s: float


class _OnDemand:
    """Makes the page at its first visit: its libraries take a while to import."""

    def __init__(self, make: Callable[[], Awaitable[LocalHandler]]) -> None:
        self._make = make
        self._made: LocalHandler | None = None
        self._making = asyncio.Lock()

    async def __call__(
        self, request: web.BaseRequest, actor: Actor | None, query: str, address: bytes
    ) -> web.StreamResponse:
        async with self._making:
            if self._made is None:
                try:
                    self._made = await self._make()
                except CredentialKeyError as error:
                    logger.error("The web page can't be served: {}", error)
                    raise GatewayError(INTERNAL_ERROR) from None
        return await self._made(request, actor, query, address)


def _make(
    page: _Page,
    api: Api,
    spend_limits: SpendLimitApi,
    gate: Throttle,
    provider: "PageSignIn | None",
    clock: Clock,
    slices: TimeSlices,
    limiters: Limiters,
) -> LocalHandler:
    # They need an extra.
    from aibridged.ui.admission import RATE, Admission
    from aibridged.ui.entry import GUESS_PERIOD_S, GUESSES, Entry, Rules
    from aibridged.ui.render import Renderer
    from aibridged.ui.routes import Ui
    from aibridged.ui.session import MAX_ENDED, Sessions

    key = _key(CredentialKey(page.state_dir / KEY_FILE))
    ended = limiters.kept(MAX_ENDED, "signed out")
    sessions = Sessions(key, clock, page.session_s, ended, is_secure=page.is_secure)
    renderer = Renderer(page.root, clock, slices)
    rules = Rules(page.auth, page.base, page.state_dir)
    guesses = limiters.guesses(GUESSES, GUESS_PERIOD_S, "page")
    entry = Entry(rules, renderer, sessions, gate, provider, clock, guesses)
    admission = Admission(limiters.rate_limiter(RATE, "page"))
    return Ui(WEB_PAGE, api, spend_limits, clock, sessions, renderer, entry, admission)


def _key(file: CredentialKey) -> bytes:
    if not file.exists:
        file.make()
    return file.read()
