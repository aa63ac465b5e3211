"""Policy stage: what the caller's groups grant, and the person's own limits. See `core.policies`.

It stands behind the body, which names the model, and before anything that is recorded or sent.
"""

from collections.abc import Awaitable
from functools import partial

from aiohttp import web

from aibridged.core.auth import CredentialKind, sent_secrets
from aibridged.core.policies import Policies, Policy
from aibridged.core.rate_limit import RETRY_AFTER_S
from aibridged.core.targets import shown_path
from aibridged.errors import (
    BYOK_DISABLED,
    CONCURRENCY_LIMITED,
    MODEL_NOT_ALLOWED,
    MODEL_NOT_FOUND,
    PROVIDER_NOT_ALLOWED,
    RATE_LIMITED,
    GatewayError,
)
from aibridged.limits.redis_limits import RedisLimits
from aibridged.limits.redis_script import Code
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.model_list import ask_for_all
from aibridged.pipeline.shared_limits import ask_for_person
from aibridged.providers.base import READ, AboutModels
from aibridged.wire.named_models import UnseenModelError, other_models

_MAX_SHOWN = 20  # globs in a sentence, and characters of each
_MAX_GLOB = 80
_ASK = "Ask the operator of the gateway."


def stage(components: Components, handler: Handler) -> Handler | None:
    policies, limits = components.policies, components.person_limits
    shared = components.shared
    if policies is None:
        return None

    def policy(context: RequestContext) -> Awaitable[web.StreamResponse]:
        found = context.policy = _granted(policies, context)
        person, settings = context.actor.id, found.settings
        if shared is not None:
            return shared_limits(shared, context, found)
        if settings.rate_limit is not None and not limits.admit(person, settings.rate_limit):
            raise _too_fast(found)
        most = settings.max_concurrency
        if most is not None:
            if not limits.take(person, most):
                raise _no_place(found)
            context.at_end(partial(limits.release, person))
        return handler(context)

    async def shared_limits(
        shared: RedisLimits, context: RequestContext, found: Policy
    ) -> web.StreamResponse:
        code = await ask_for_person(shared, context, found)
        if code is Code.PERSON_TOO_FAST:
            raise _too_fast(found)
        if code is Code.PERSON_HAS_NO_PLACE:
            raise _no_place(found)
        return await handler(context)

    return policy


def _too_fast(policy: Policy) -> GatewayError:
    return GatewayError(
        RATE_LIMITED,
        f"Too many requests: your limit is {policy.settings.rate_limit} a second. Please slow "
        "down.",
        retry_after=RETRY_AFTER_S,
    )


def _no_place(policy: Policy) -> GatewayError:
    return GatewayError(
        CONCURRENCY_LIMITED,
        f"Too many of your requests are in progress: your limit is "
        f"{policy.settings.max_concurrency}. Please wait until one has ended.",
        retry_after=1,
    )


def _granted(policies: Policies, context: RequestContext) -> Policy:
    """The caller's policy, or GatewayError: it doesn't grant the request."""
    policy = policies.of(context.actor.groups)
    if policy is None:
        raise GatewayError(
            PROVIDER_NOT_ALLOWED,
            f"No policy of the gateway fits your groups, so nothing is granted to you. {_ASK}",
        )
    provider = context.route.provider.name
    if not policy.grants_provider(provider):
        granted = ", ".join(policy.settings.providers or ()) or "none"
        raise GatewayError(
            PROVIDER_NOT_ALLOWED,
            f"The provider {provider} is not granted to you. Granted: {granted}. {_ASK}",
        )
    if not policy.settings.allow_byok and context.credential.kind is CredentialKind.BYOK:
        raise GatewayError(
            BYOK_DISABLED,
            "Bringing your own provider key (BYOK) is not granted to you: send only the gateway "
            "token.",
        )
    if policy.restricts_models:
        _check_models(policy, context)
    return policy


def _check_models(policy: Policy, context: RequestContext) -> None:
    route = context.route
    match route.about_models:
        case AboutModels.LIST:
            ask_for_all(context)
        case AboutModels.ONE if route.path_model is not None:
            if not policy.grants_model(route.path_model):
                raise GatewayError(MODEL_NOT_FOUND)
        case AboutModels.UNSEEN if context.request.method not in READ:
            raise GatewayError(
                MODEL_NOT_ALLOWED,
                "Models are restricted for you, and this route may run one that the gateway "
                f"can't see. {_ASK}",
            )
        case _ if route.reads is not None or route.about_models is AboutModels.BODY:
            _check_named(policy, context)


def _check_named(policy: Policy, context: RequestContext) -> None:
    """GatewayError: a model that the request names isn't granted, or that can't be told."""
    for model in (context.facts.model, context.route.path_model):
        if model is not None and not policy.grants_model(model):
            raise GatewayError(MODEL_NOT_ALLOWED, _sentence(policy, context, model))
    try:
        for model in other_models(context.plain, context.members):
            if not policy.grants_model(model):
                raise GatewayError(MODEL_NOT_ALLOWED, _sentence(policy, context, model))
    except UnseenModelError as error:
        raise GatewayError(MODEL_NOT_ALLOWED, str(error)) from None


def _sentence(policy: Policy, context: RequestContext, model: str) -> str:
    globs = policy.settings.models or ()
    granted = ", ".join(glob[:_MAX_GLOB] for glob in globs[:_MAX_SHOWN]) or "none"
    if len(globs) > _MAX_SHOWN:
        granted += f" and {len(globs) - _MAX_SHOWN} more"
    if not model:
        return f"The request names no model, and models are restricted for you. Granted: {granted}."
    # Nothing that may be a key is repeated.
    shown = shown_path(f"/{model}", sent_secrets(context.request.headers))[1:]
    return f"The model {shown} is not granted to you. Granted: {granted}. {_ASK}"
