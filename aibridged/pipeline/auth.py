"""Who is calling, and with whose key the provider is asked. See `core.auth` and `core.guessing`."""

from aiohttp import web
from loguru import logger

from aibridged.core.auth import ByokDisabledError, MalformedCredentialsError, upstream_credential
from aibridged.core.client_ip import client_ip, rate_limit_key
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


def stage(parts: Parts) -> Middleware:
    settings, gatekeeper, guesses = parts.settings, parts.gatekeeper, parts.guesses
    unavailable = _Complaint(parts)

    async def look_up(request: GatewayRequest, token: str | None) -> Actor:
        if token is None:
            raise GatewayError(UNAUTHENTICATED)
        address = rate_limit_key(
            client_ip(
                request.remote,
                request.headers,
                settings.proxy_trusted_headers,
                settings.proxy_trusted_origins,
            )
        )
        if guesses.blocked(address):
            raise GatewayError(
                RATE_LIMITED,
                "Too many wrong tokens came from this address.",
                retry_after=max(1, guesses.retry_after(address)),
            )
        try:
            actor = await gatekeeper.authenticate(token)
        except AuthUnavailableError as error:
            unavailable(error)
            raise GatewayError(AUTH_UNAVAILABLE, retry_after=_RETRY_S) from None
        if actor is None:
            guesses.wrong(address)
            raise GatewayError(UNAUTHENTICATED)
        return actor

    async def auth(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        try:
            presented = request.presented
        except MalformedCredentialsError as error:
            raise GatewayError(UNAUTHENTICATED, str(error)) from None
        token = presented.token
        request.actor = gatekeeper.known(token) or await look_up(request, token)
        provider = request.route.provider
        try:
            request.credential = upstream_credential(
                presented.own,
                allow_byok=settings.allow_byok,
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
