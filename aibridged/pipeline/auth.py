"""Who is calling, and with whose key the provider is asked. See `core.auth` and `identity.gate`."""

from aiohttp import web

from aibridged.core.auth import (
    ByokDisabledError,
    MalformedCredentialsError,
    OwnKeyRequiredError,
    upstream_credential,
)
from aibridged.errors import BYOK_DISABLED, OWN_KEY_REQUIRED, UNAUTHENTICATED, GatewayError
from aibridged.identity.base import Actor
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware


async def authenticated(request: GatewayRequest, parts: Parts) -> Actor:
    """The caller, or GatewayError: the headers are malformed, or the token is nobody's."""
    try:
        token = request.presented.token
    except MalformedCredentialsError as error:
        raise GatewayError(UNAUTHENTICATED, str(error)) from None
    return await parts.gate.actor(token, lambda: request.address(parts.settings))


def stage(parts: Parts) -> Middleware:
    allow_byok, admitted = parts.settings.allow_byok, parts.gate.admitted

    async def auth(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        actor = request.actor = await authenticated(request, parts)
        route = request.route
        provider = route.provider
        try:
            request.credential = upstream_credential(
                request.presented.own,
                allow_byok=allow_byok,
                preferred=provider.preferred_credential,
                organisation=provider.organisation_credential_for(route.endpoint),
                own_key_only=route.endpoint in provider.own_key_only,
            )
        except ByokDisabledError:
            raise GatewayError(BYOK_DISABLED) from None
        except OwnKeyRequiredError:
            raise GatewayError(OWN_KEY_REQUIRED) from None
        admitted.enter(actor, request.presented.token, request)
        try:
            return await handler(request)
        finally:
            admitted.leave(request)

    return auth
