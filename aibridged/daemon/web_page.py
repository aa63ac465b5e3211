"""The web page: whether it is served, and its parts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from loguru import logger
from yarl import URL

from aibridged.api.handler import Api
from aibridged.api.spend_limits import SpendLimitApi
from aibridged.clock import Clock
from aibridged.config import extras
from aibridged.config.kinds import is_loopback
from aibridged.config.options import Settings
from aibridged.core.guesses import Guesses
from aibridged.errors import INTERNAL_ERROR, GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.credential_key import CredentialKey, CredentialKeyError
from aibridged.identity.throttle import Throttle
from aibridged.pipeline.components import LocalHandler, LocalRoute

ROOT = "/ui"
KEY_FILE = "web-page.key"
"""In the state directory; daemons behind one address need the same."""
_METHODS = frozenset({"GET", "HEAD", "POST"})


def is_wanted(settings: Settings) -> bool:
    """Whether the gateway serves the page."""
    if settings.ui_enabled == "auto":
        return is_loopback(settings.http_address.host)
    return settings.ui_enabled == "true"


def make_ui(
    settings: Settings, api: Api, spend_limits: SpendLimitApi, gate: Throttle, clock: Clock
) -> Mapping[str, LocalRoute]:
    """The routes of the page; none where it isn't wanted, or its libraries are missing."""
    if not is_wanted(settings):
        return {}
    if missing := extras.sentences("ui", "The web page is off"):
        logger.info("{}", missing)
        return {}

    async def make() -> LocalHandler:
        return await asyncio.to_thread(_make, settings, api, spend_limits, gate, clock)

    ui = LocalRoute(_METHODS, _OnDemand(make), is_public=True)
    return {ROOT: ui, f"{ROOT}/": ui}


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
    settings: Settings, api: Api, spend_limits: SpendLimitApi, gate: Throttle, clock: Clock
) -> LocalHandler:
    # They need an extra.
    from aibridged.ui.entry import GUESS_PERIOD_S, GUESSES, Entry
    from aibridged.ui.render import Renderer
    from aibridged.ui.routes import Ui
    from aibridged.ui.session import Sessions

    base = URL(settings.access_url) if settings.access_url is not None else None
    is_secure = base.scheme == "https" if base is not None else settings.tls_cert_file is not None
    key = _key(CredentialKey(settings.state_dir / KEY_FILE))
    sessions = Sessions(key, clock, settings.session_duration, is_secure=is_secure)
    guesses = Guesses(GUESSES, GUESS_PERIOD_S, clock)
    root = f"{base.path.rstrip('/') if base is not None else ''}{ROOT}"
    renderer = Renderer(root, clock)
    entry = Entry(renderer, sessions, gate, guesses, settings.auth)
    return Ui(ROOT, api, spend_limits, clock, sessions, renderer, entry)


def _key(file: CredentialKey) -> bytes:
    if not file.exists:
        file.make()
    return file.read()
