"""Authenticates callers by asking another gateway whether it would let them in.

The AI Proxy alone knows no tokens. The gateway behind it is asked for its OpenAPI document, which
it shows to whoever has a token: 200, or 401.
"""

from contextvars import ContextVar

import aiohttp

from aibridged.core.auth import TOKEN_HEADERS
from aibridged.core.client_ip import PROXIED_FOR
from aibridged.core.targets import PREFIXES
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.token_format import parse

TIMEOUT_S = 5.0
_MAX_CONNECTIONS = 32
_REFUSED = frozenset({401, 403})

CALLER_IP: ContextVar[str | None] = ContextVar("aibridged_caller_ip", default=None)
"""Whoever shows the token: the gateway counts wrong ones by address, and mustn't by the proxy's."""


def make_session() -> aiohttp.ClientSession:
    """A session that keeps nothing between callers."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    )


class RemoteAuthenticator:
    """Asks the gateway at `url` about every token. The session is the maker's to close.

    Whose token it is, only the gateway knows: an actor is named after the token's public part.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

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
        try:
            async with self._session.get(
                f"{self._url}{PREFIXES[0]}/openapi.json",
                headers=headers,
                # A redirect would carry the token to wherever it points.
                allow_redirects=False,
            ) as response:
                if response.status in _REFUSED:
                    return None
                if response.status != 200:
                    raise self._unavailable(f"answered {response.status}")
        except TimeoutError:
            raise self._unavailable("did not answer in time") from None
        except aiohttp.ClientError as error:
            raise self._unavailable(f"could not be asked: {type(error).__name__}") from None
        return Actor(parts.id, parts.id, parts.id)

    def _unavailable(self, what: str) -> AuthUnavailableError:
        return AuthUnavailableError(
            f"The gateway at {self._url} {what}; is --aibridge-proxy-target right?"
        )
