"""Authentication by another gateway, for the standalone AI Proxy.

The AI Proxy alone knows no tokens. The gateway behind it is asked for its OpenAPI document, which
it shows to whoever has a token: 200, or 401.
"""

from contextvars import ContextVar

import aiohttp

from aibridged.core.auth import TOKEN_HEADERS
from aibridged.core.client_ip import PROXIED_FOR
from aibridged.core.targets import PREFIXES
from aibridged.identity.base import Actor
from aibridged.identity.http_lookup import Service
from aibridged.identity.token_format import parse

CALLER_IP: ContextVar[str | None] = ContextVar("aibridged_caller_ip", default=None)
"""Whoever shows the token: the gateway counts wrong ones by address, and mustn't by the proxy's."""


class RemoteAuthenticator:
    """Asks the gateway at `url` about every token. The session is the maker's to close.

    Whose token it is, only the gateway knows: an actor is named after the token's public part.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._gateway = Service(f"The gateway at {url}", "--aibridge-proxy-target", session)

    async def authenticate(self, token: str | None) -> Actor | None:
        """An actor if the gateway would let the token in, or None.

        Raises:
            AuthUnavailableError: the gateway can't be reached, or can't tell.
        """
        # Anything else, such as a provider's key in the wrong place, is not for it to see.
        if token is None or (parts := parse(token)) is None:
            return None
        headers = {TOKEN_HEADERS[0]: token}
        if (caller := CALLER_IP.get()) is not None:
            headers[PROXIED_FOR] = caller
        document = f"{self._url}{PREFIXES[0]}/openapi.json"
        if await self._gateway.ask(document, headers) is None:
            return None
        return Actor(parts.id, parts.id, parts.id)
