"""Who is calling, and with whose key the provider is asked. See `core.auth`."""

from aiohttp import web

from aibridged.core.auth import ByokDisabledError, MalformedCredentialsError, upstream_credential
from aibridged.errors import BYOK_DISABLED, UNAUTHENTICATED, GatewayError
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware


def stage(parts: Parts) -> Middleware:
    authenticate = parts.authenticator.authenticate
    allow_byok = parts.settings.allow_byok

    async def auth(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        try:
            presented = request.presented
        except MalformedCredentialsError as error:
            raise GatewayError(UNAUTHENTICATED, str(error)) from None
        actor = await authenticate(presented.token)
        if actor is None:
            raise GatewayError(UNAUTHENTICATED)
        provider = request.route.provider
        try:
            request.credential = upstream_credential(
                presented.own,
                allow_byok=allow_byok,
                preferred=provider.preferred_credential,
                organisation=provider.organisation_credential,
            )
        except ByokDisabledError:
            raise GatewayError(BYOK_DISABLED) from None
        request.actor = actor
        return await handler(request)

    return auth
