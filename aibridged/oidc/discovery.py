"""Discovery of an identity provider: at the start, again every hour, and retried with backoff."""

import asyncio
import random

from loguru import logger

from aibridged.clock import Clock
from aibridged.oidc import metadata
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.http import Http
from aibridged.oidc.metadata import Metadata

MAX_AGE_S = 3600.0
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0


class Discovery:
    """An issuer's metadata. What was discovered once is used until something newer is."""

    def __init__(
        self, issuer: str, http: Http, clock: Clock, *, first_backoff: float = FIRST_BACKOFF_S
    ) -> None:
        self._issuer = issuer
        self._http = http
        self._now = clock.monotonic
        self._found: Metadata | None = None
        self._found_at = 0.0
        self._failed: ProviderUnavailableError | None = None
        self._first_backoff = self._backoff = first_backoff
        self._not_before = self._now()
        self._lock = asyncio.Lock()

    async def get(self) -> Metadata:
        """The metadata.

        Raises:
            ProviderUnavailableError: there is none yet; asked again after a while at the earliest.
        """
        async with self._lock:
            is_fresh = self._found is not None and self._now() - self._found_at < MAX_AGE_S
            if not is_fresh and self._now() >= self._not_before:
                await self._discover()
            if self._found is not None:
                return self._found
            assert self._failed is not None
            raise ProviderUnavailableError(self._failed.reason)

    async def until_found(self) -> None:
        """Try until the issuer is discovered, and log what keeps it away."""
        while True:
            try:
                await self.get()
            except ProviderUnavailableError:
                await asyncio.sleep(max(self._not_before - self._now(), self._first_backoff))
            else:
                return

    async def _discover(self) -> None:
        url = metadata.well_known(self._issuer)
        try:
            answer = await self._http.get("discovery document", url)
            if answer.status != 200:
                raise ProviderUnavailableError(
                    f"{url} responded with status {answer.status}; check --oidc-issuer-url"
                )
            self._found = metadata.read(answer.body, self._issuer)
        except ProviderUnavailableError as error:
            self._failed_with(error)
            return
        self._found_at = self._now()
        if self._failed is not None:
            logger.info("The identity provider {} is back", self._issuer)
        self._failed, self._backoff = None, self._first_backoff

    def _failed_with(self, error: ProviderUnavailableError) -> None:
        if self._failed is None or self._failed.reason != error.reason:
            effect = "Nobody new can sign in" if self._found is None else "Its endpoints may be old"
            logger.error(
                "The identity provider {} is unavailable: {}. {} until it is back",
                self._issuer,
                error.reason,
                effect,
            )
        self._failed = error
        # Replicas that started together don't ask together.
        self._not_before = self._now() + self._backoff * random.uniform(0.5, 1.0)
        self._backoff = min(2 * self._backoff, MAX_BACKOFF_S)
