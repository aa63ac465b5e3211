"""Token lookup over HTTP at another service, with a deadline and a size limit; fails closed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import aiohttp

from aibridged.config.proxy_url import ProxyUrl
from aibridged.identity.base import AuthUnavailableError
from aibridged.observe.client_failure import in_words
from aibridged.observe.descriptors import at_capacity, is_shortage

if TYPE_CHECKING:
    from aiohttp.client import _RequestContextManager

TIMEOUT_S = 5.0
LOOKUPS_AT_ONCE = 32
_MAX_ANSWER_BYTES = 256 * 1024
_REFUSED = frozenset({401, 403})


def make_session(timeout: float = TIMEOUT_S) -> aiohttp.ClientSession:
    """A session without cookies or redirects; a lookup may take `timeout` seconds."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=LOOKUPS_AT_ONCE),
        # One caller's session cookies must not be sent with another one's token.
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
    )


class Service:
    """Another service: `name` is for people, `setting` is the flag that has its address.

    The session's creator closes it. Requests go through `proxy`, if there is one.
    """

    def __init__(
        self,
        name: str,
        setting: str,
        session: aiohttp.ClientSession,
        proxy: ProxyUrl | None = None,
    ) -> None:
        self._name = name
        self._setting = setting
        self._session = session
        self._proxy = proxy

    async def ask(
        self,
        url: str,
        headers: dict[str, str],
        on_refusal: Callable[[Mapping[str, str]], object] = lambda headers: None,
    ) -> bytes | None:
        """The body of a 200, or None for a refusal, whose headers `on_refusal` is called with.

        Raises:
            AuthUnavailableError: the service can't be reached, or returns neither.
            GatewayError: there is no file descriptor left.
        """
        try:
            async with self._get(url, headers) as response:
                if response.status in _REFUSED:
                    on_refusal(response.headers)
                    return None
                if response.status != 200:
                    raise self.unavailable(f"responded with {response.status}")
                return await self._read(response)
        except TimeoutError:
            raise self.unavailable("did not respond in time") from None
        except aiohttp.ClientError as error:
            if is_shortage(error):
                raise at_capacity() from None
            raise self.unavailable(f"could not be reached: {in_words(error)}") from None

    def _get(self, url: str, headers: dict[str, str]) -> "_RequestContextManager":
        proxy = self._proxy
        arguments = {"headers": headers} if proxy is None else proxy.arguments(url, headers)
        # A redirect would carry the token to wherever it points.
        return self._session.get(url, allow_redirects=False, **arguments)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                raise self.unavailable("returned an oversized response")
        return bytes(body)

    def unavailable(self, what: str) -> AuthUnavailableError:
        """The error that says `what` is wrong with the service."""
        return AuthUnavailableError(f"{self._name} {what}; check {self._setting}")
