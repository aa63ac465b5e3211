"""Who is calling, and with whose key the provider is asked. See `core.auth` and `core.guessing`."""

from aiohttp import web
from loguru import logger

from aibridged.core.auth import ByokDisabledError, MalformedCredentialsError, upstream_credential
from aibridged.errors import (
    AUTH_UNAVAILABLE,
    BYOK_DISABLED,
    RATE_LIMITED,
    UNAUTHENTICATED,
    GatewayError,
)
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware

_LOG_EVERY_S = 10.0
_RETRY_S = 2


class Gate:
    """Finds out who is calling, and bounds how often an address may be wrong about it."""

    def __init__(self, parts: Parts) -> None:
        self._settings = parts.settings
        self._gatekeeper = parts.gatekeeper
        self._guesses = parts.guesses
        self._complain = _Complaint(parts)

    async def actor(self, request: GatewayRequest) -> Actor:
        """The caller, or GatewayError: the headers are malformed, or the token is nobody's."""
        try:
            token = request.presented.token
        except MalformedCredentialsError as error:
            raise GatewayError(UNAUTHENTICATED, str(error)) from None
        return self._gatekeeper.known(token) or await self._look_up(request, token)

    async def _look_up(self, request: GatewayRequest, token: str | None) -> Actor:
        if token is None:
            raise GatewayError(UNAUTHENTICATED)
        address = request.address(self._settings)
        if self._guesses.blocked(address):
            raise GatewayError(
                RATE_LIMITED,
                "Too many wrong tokens came from this address.",
                retry_after=max(1, self._guesses.retry_after(address)),
            )
        try:
            actor = await self._gatekeeper.authenticate(token)
        except AuthUnavailableError as error:
            self._complain(error)
            raise GatewayError(AUTH_UNAVAILABLE, retry_after=_RETRY_S) from None
        if actor is None:
            self._guesses.wrong(address)
            raise GatewayError(UNAUTHENTICATED)
        return actor


def stage(parts: Parts) -> Middleware:
    gate = Gate(parts)
    allow_byok = parts.settings.allow_byok

    async def auth(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        request.actor = await gate.actor(request)
        provider = request.route.provider
        try:
            request.credential = upstream_credential(
                request.presented.own,
                allow_byok=allow_byok,
                preferred=provider.preferred_credential,
                organisation=provider.organisation_credential,
            )
        except ByokDisabledError:
            raise GatewayError(BYOK_DISABLED) from None
        return await handler(request)

    return auth


class _Complaint:
    """Logs why nobody can be let in, now and then: each request meets the same trouble."""

    def __init__(self, parts: Parts) -> None:
        self._monotonic = parts.clock.monotonic
        self._quiet_until = float("-inf")

    def __call__(self, error: AuthUnavailableError) -> None:
        if self._monotonic() >= self._quiet_until:
            self._quiet_until = self._monotonic() + _LOG_EVERY_S
            logger.error("Tokens can't be checked: {}", error)
