"""Authentication by another gateway, for the standalone AI Proxy.

The AI Proxy alone knows no tokens. It asks the gateway behind it for its OpenAPI document, which
needs a valid token: 200, or 401.
"""

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar

import aiohttp

from aibridged.config.proxy_url import ProxyUrl
from aibridged.core.auth import TOKEN_HEADERS
from aibridged.core.client_ip import PROXIED_FOR
from aibridged.core.targets import PREFIXES
from aibridged.errors import REASON
from aibridged.identity.base import Actor, Rejection, TokenRejectedError
from aibridged.identity.http_lookup import Service
from aibridged.identity.token_format import parse

CALLER_IP: ContextVar[str | None] = ContextVar("aibridged_caller_ip", default=None)
"""The caller's address, which is sent along: the gateway throttles by that, not by the proxy's."""


class RemoteAuthenticator:
    """Asks the gateway at `url` about every token, through `proxy` if there is one. The session's
    creator closes it.

    Only the gateway knows the user: an actor is named after the token's public part.
    """

    def __init__(
        self, url: str, session: aiohttp.ClientSession, proxy: ProxyUrl | None = None
    ) -> None:
        self._url = url
        name = f"The gateway at {url}"
        self._gateway = Service(name, "--aibridge-proxy-target", session, proxy)

    async def authenticate(self, token: str | None) -> Actor | None:
        """An actor if the gateway accepts the token, or None.

        Raises:
            TokenRejectedError: the gateway says that it is no longer valid.
            AuthUnavailableError: the gateway can't be reached, or can't tell.
        """
        # Anything else, such as a provider's key in the wrong place, must not be sent to the
        # gateway.
        if token is None or (parts := parse(token)) is None:
            return None
        headers = {TOKEN_HEADERS[0]: token}
        if (caller := CALLER_IP.get()) is not None:
            headers[PROXIED_FOR] = caller
        actor = Actor(parts.id, parts.id, parts.id)

        def tell_why(answer: Mapping[str, str]) -> None:
            with suppress(ValueError):  # it is refused for another reason
                raise TokenRejectedError(Rejection(answer.get(REASON, "")), actor)

        document = f"{self._url}{PREFIXES[0]}/openapi.json"
        accepted = await self._gateway.ask(document, headers, tell_why)
        return None if accepted is None else actor
