"""Soft budget stage: warns before a spend limit is reached, or asks a cheaper model.

It stands before all that looks at the model: the circuit, the record and what is reserved are those
of the model that is asked.
"""

from collections.abc import Awaitable

import msgspec
from aiohttp import web

from aibridged.core.auth import CredentialKind
from aibridged.core.expiring import Expiring
from aibridged.core.soft_budget import Step, step
from aibridged.observe.events import soft_budget_reached
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.wire.splice import Fields, UnsplittableError

_MODEL = b"X-Aibridge-Model"
_LOGGED_S = 60 * 60.0
"""A person's threshold is logged once within so many seconds."""
_LOGGED = 4096

_encode = msgspec.json.Encoder().encode


def stage(components: Components, handler: Handler) -> Handler | None:
    policies, metrics = components.policies, components.metrics
    if policies is None or not policies.soften_budgets:
        return None
    shares = components.used_shares
    logged: Expiring[bool] = Expiring(_LOGGED, components.clock)

    def soft_budget(context: RequestContext) -> Awaitable[web.StreamResponse]:
        settings = context.policy.settings.budget if context.policy is not None else None
        is_charged = context.credential.kind is CredentialKind.CENTRALIZED
        if settings is not None and is_charged and context.route.api is not None:
            actor = context.actor
            found = step(settings, shares.of(actor.id, actor.api_key_id), context.facts.model)
            if found is not None:
                take(context, found)
        return handler(context)

    def take(context: RequestContext, found: Step) -> None:
        model = found.model if found.model is not None and _switch(context, found.model) else None
        used = f"{found.percent}% of your spend limit is used"
        if model is None:
            context.warn(f"budget: {used}")
        else:
            context.warn(f"budget: {used}, so that {model} answers in place of the requested model")
            context.add_header(_MODEL, model)
        action = "warn" if model is None else "switch"
        if metrics is not None:
            metrics.soft_budget_reached(action)
        key = f"{action} {context.actor.id}".encode(errors="surrogatepass")
        if logged.get(key) is None:
            logged.put(key, True, _LOGGED_S)
            soft_budget_reached(username=context.actor.username, percent=found.percent, model=model)

    return soft_budget


def _switch(context: RequestContext, model: str) -> bool:
    """Ask another model; false where the body doesn't name one, or can't be edited."""
    try:
        fields = Fields(context.plain, context.members)
    except UnsplittableError:
        return False
    if not fields.starts("model", b'"'):
        return False
    context.change(fields.edit(fields.put("model", _encode(model))))
    context.requested_model = context.facts.model
    context.facts = msgspec.structs.replace(context.facts, model=model)
    return True
