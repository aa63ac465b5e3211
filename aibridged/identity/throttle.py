"""Authentication with throttled lookups. Fails closed: if the backend is down, requests get 503."""

from collections.abc import Callable

from loguru import logger
from msgspec.structs import replace

from aibridged.clock import Clock
from aibridged.errors import (
    AUTH_UNAVAILABLE,
    RATE_LIMITED,
    TOKEN_EXPIRED,
    TOKEN_REVOKED,
    UNAUTHENTICATED,
    USER_SUSPENDED,
    ErrorKind,
    GatewayError,
)
from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.base import (
    Actor,
    AuthUnavailableError,
    Gatekeeper,
    Rejection,
    TokenRejectedError,
)
from aibridged.identity.lookups import Lookups, NoRoomError

_LOG_EVERY_S = 10.0
_RETRY_S = 2
_KINDS = {
    Rejection.EXPIRED: TOKEN_EXPIRED,
    Rejection.REVOKED: TOKEN_REVOKED,
    Rejection.SUSPENDED: USER_SUSPENDED,
}


class TokenRefusedError(GatewayError):
    """The refusal of a token whose secret is right; `actor` is its user."""

    def __init__(self, rejected: TokenRejectedError, refusal: ErrorKind) -> None:
        kind = replace(_KINDS[rejected.rejection], status=refusal.status)
        id = rejected.actor.api_key_id
        super().__init__(kind, kind.sentence if id is None else f"{kind.sentence} Its id is {id}.")
        self.actor = rejected.actor

    def log(self, what: str) -> None:
        """Log it, where there is no line for each request."""
        fields = {"username": self.actor.username, "api_key_id": self.actor.api_key_id}
        logger.bind(**fields).warning("{} refused: {}", what, self.kind.code)


class Throttle:
    """Authentication for all listeners of the daemon, which guesses are counted over.

    Callers add what runs on a token's behalf to `active_requests`, and remove it when it has ended.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        lookups: Lookups,
        active_requests: ActiveRequests,
        clock: Clock,
    ) -> None:
        self.active_requests = active_requests
        self.known = gatekeeper.known
        """The actor of a token that is remembered as valid; nothing is looked up."""
        self._gatekeeper = gatekeeper
        self._lookups = lookups
        self._monotonic = clock.monotonic
        self._quiet_until = float("-inf")

    async def actor(
        self,
        token: str | None,
        address: Callable[[], bytes],
        refusal: ErrorKind = UNAUTHENTICATED,
    ) -> Actor:
        """The actor of a token; `address` is called for the caller's network if a lookup is needed.

        Raises:
            TokenRefusedError: the token is no longer valid; with the status of `refusal`.
            GatewayError: `refusal` if there is no such token, or that the address or the gateway is
                over its limits.
        """
        if (actor := self.known(token)) is not None:
            return actor
        try:
            return await self._look_up(token, address, refusal)
        except TokenRejectedError as error:
            raise TokenRefusedError(error, refusal) from None

    async def _look_up(
        self, token: str | None, address: Callable[[], bytes], refusal: ErrorKind
    ) -> Actor:
        if token is None or self._gatekeeper.refuses(token):
            raise GatewayError(refusal)
        try:
            async with self._lookups.place(address()):
                actor = await self._gatekeeper.authenticate(token)
        except NoRoomError:
            raise GatewayError(
                RATE_LIMITED,
                "Too many token lookups from this address are pending.",
                retry_after=_RETRY_S,
            ) from None
        except AuthUnavailableError as error:
            self._complain(error)
            raise GatewayError(AUTH_UNAVAILABLE, retry_after=_RETRY_S) from None
        if actor is None:
            raise GatewayError(refusal)
        return actor

    def _complain(self, error: AuthUnavailableError) -> None:
        """Log at intervals that the backend is unavailable: each request meets the same failure."""
        if self._monotonic() >= self._quiet_until:
            self._quiet_until = self._monotonic() + _LOG_EVERY_S
            logger.error("Authentication fails closed, requests get 503: {}", error)
