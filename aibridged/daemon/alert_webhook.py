"""Posts budget alerts to a webhook, with a deadline, and never tells its URL or secret."""

from typing import NamedTuple

import aiohttp

from aibridged.config.kinds import origin_of
from aibridged.config.options import Settings
from aibridged.core.budget_alerts import Told, as_json, as_slack
from aibridged.observe.client_failure import in_words

REQUEST_S = 10.0
"""Deadline of a request."""
MAX_RETRY_AFTER_S = 900.0
_MAX_ANSWER = 64 * 1024  # bytes; a longer answer closes the connection
_AT_ONCE = 4
_SHAPES = {"json": as_json, "slack": as_slack}


class Posted(NamedTuple):
    """What became of it: `failure` says why it isn't there, and `retry_after` when to try again."""

    failure: str | None = None
    retry_after: float = 0.0


class Webhook:
    """The webhook of the settings, if there is one. It is for the event loop."""

    def __init__(self) -> None:
        self.origin: str | None = None
        """Where alerts are posted to, for people; None if nowhere."""
        self._settings: Settings | None = None
        self._session: aiohttp.ClientSession | None = None

    def configure(self, settings: Settings) -> None:
        """Post as these settings say from now on."""
        url = settings.budget_webhook_url
        self.origin = None if url is None else origin_of(url.reveal())
        self._settings = settings

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, told: Told) -> Posted:
        """Post an alert; never raises."""
        settings = self._settings
        if settings is None or settings.budget_webhook_url is None:
            return Posted("there is no webhook")
        url, secret = settings.budget_webhook_url.reveal(), settings.budget_webhook_secret
        headers = {"Content-Type": "application/json"}
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        proxy = settings.outbound.for_url(url)
        arguments = {"headers": headers} if proxy is None else proxy.arguments(url, headers)
        body = _SHAPES[settings.budget_webhook_format](told)
        try:
            # A redirect would carry the secret to wherever it points.
            async with self._opened().post(
                url, data=body, allow_redirects=False, **arguments
            ) as response:
                await response.content.read(_MAX_ANSWER)
                if 200 <= response.status < 300:
                    return Posted()
                return Posted(f"it responded with {response.status}", _retry_after(response))
        except TimeoutError:
            return Posted("it didn't respond in time")
        except aiohttp.ClientError as error:
            return Posted(in_words(error))
        except OSError:
            return Posted("the connection failed")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_AT_ONCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=REQUEST_S),
            )
        return self._session


def _retry_after(response: aiohttp.ClientResponse) -> float:
    given = response.headers.get("Retry-After", "")
    is_short = given.isascii() and given.isdecimal() and len(given) < 6
    return min(float(given), MAX_RETRY_AFTER_S) if is_short else 0.0
