"""Requests to an identity provider, with a deadline and a bound on the answer's size."""

from typing import NamedTuple

import aiohttp

from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.observe.client_failure import in_words
from aibridged.oidc.base import ProviderUnavailableError

TIMEOUT_S = 5.0
"""Of one request; what a person waits for is at most four of them."""
MAX_ANSWER_BYTES = 1024 * 1024
_AT_ONCE = 16


class Answer(NamedTuple):
    """A whole response."""

    status: int
    content_type: str
    body: bytes


class Http:
    """The client towards an identity provider. Closed by its owner."""

    def __init__(self, outbound: OutboundProxies) -> None:
        self._outbound = outbound
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, what: str, url: str, bearer: str | None = None) -> Answer:
        """The answer to a GET; `what` names the endpoint, for people.

        Raises:
            ProviderUnavailableError: there is none, or it is too large.
        """
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self._ask("GET", what, url, headers, None)

    async def post(self, what: str, url: str, form: str, headers: dict[str, str]) -> Answer:
        """The answer to a POST of an encoded form.

        Raises:
            ProviderUnavailableError: there is none, or it is too large.
        """
        of_form = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._ask("POST", what, url, {**of_form, **headers}, form.encode())

    async def _ask(
        self, method: str, what: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> Answer:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        proxy = self._outbound.for_url(url)
        arguments = {"headers": headers} if proxy is None else proxy.arguments(url, headers)
        try:
            # A redirect would carry secrets to wherever it points.
            async with self._opened().request(
                method, url, data=data, allow_redirects=False, **arguments
            ) as response:
                return Answer(response.status, response.content_type, await _read(what, response))
        except TimeoutError:
            raise ProviderUnavailableError(
                f"its {what} did not respond within {TIMEOUT_S:g} s"
            ) from None
        except aiohttp.ClientError as error:
            raise ProviderUnavailableError(
                f"its {what} could not be reached: {in_words(error)}"
            ) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_AT_ONCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            )
        return self._session


async def _read(what: str, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ProviderUnavailableError(
                f"the response of its {what} is larger than {MAX_ANSWER_BYTES >> 20} MiB"
            )
    return bytes(body)
