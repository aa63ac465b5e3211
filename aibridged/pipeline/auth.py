"""Authentication stage: the caller, and the upstream credential. See `core.auth`."""

from collections.abc import Awaitable
from functools import partial

from aiohttp import web

from aibridged.core.auth import (
    ByokDisabledError,
    MalformedCredentialsError,
    OwnKeyRequiredError,
    Presented,
    upstream_credential,
    why_refused,
)
from aibridged.errors import BYOK_DISABLED, OWN_KEY_REQUIRED, UNAUTHENTICATED, GatewayError
from aibridged.identity.base import Actor
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext


async def authenticated(context: RequestContext, components: Components) -> Actor:
    """The caller, or GatewayError: the headers are malformed, or the token is invalid."""
    token = _presented(context).token
    try:
        return await components.gate.actor(token, lambda: context.address(components.settings))
    except GatewayError as error:
        if error.kind is not UNAUTHENTICATED:
            raise
        own_tokens = components.settings.auth == "token"
        raise GatewayError(UNAUTHENTICATED, why_refused(token, own_tokens=own_tokens)) from None


def _presented(context: RequestContext) -> Presented:
    try:
        return context.presented
    except MalformedCredentialsError as error:
        raise GatewayError(UNAUTHENTICATED, str(error)) from None


def stage(components: Components, handler: Handler) -> Handler:
    allow_byok, active_requests = components.settings.allow_byok, components.gate.active_requests
    known = components.gate.known

    def auth(context: RequestContext) -> Awaitable[web.StreamResponse]:
        presented = _presented(context)
        actor = known(presented.token, context.token_key)
        if actor is None:
            return looked_up(context, presented)
        return admitted(context, actor, presented)

    async def looked_up(context: RequestContext, presented: Presented) -> web.StreamResponse:
        return await admitted(context, await authenticated(context, components), presented)

    def admitted(
        context: RequestContext, actor: Actor, presented: Presented
    ) -> Awaitable[web.StreamResponse]:
        context.actor = actor
        route = context.route
        provider = route.provider
        try:
            context.credential = upstream_credential(
                presented.own,
                allow_byok=allow_byok,
                preferred=provider.preferred_credential,
                organisation=provider.organisation_credential(route.endpoint),
                own_key_only=route.endpoint in provider.own_key_only,
            )
        except ByokDisabledError:
            raise GatewayError(BYOK_DISABLED) from None
        except OwnKeyRequiredError:
            raise GatewayError(OWN_KEY_REQUIRED) from None
        active_requests.add(actor, presented.token, context)
        context.at_end(partial(active_requests.remove, context))
        return handler(context)

    return auth
