"""Limits that replicas share by Redis: slots, the rate per caller, and the person's own limits.

One round trip asks for all of them: a person whose token is known needs no second one at the policy
stage, which refuses what was refused here. See `limits.redis_limits`.
"""

from functools import partial

from aiohttp import web

from aibridged.core.auth import MalformedCredentialsError
from aibridged.core.policies import Policies, Policy
from aibridged.core.rate_limit import RETRY_AFTER_S
from aibridged.errors import AT_CAPACITY, RATE_LIMITED, GatewayError
from aibridged.identity.throttle import Throttle
from aibridged.limits.redis_limits import Person, RedisLimits, Wanted
from aibridged.limits.redis_script import Code
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.rate_limit import caller


def stage(components: Components, handler: Handler) -> Handler | None:
    if (shared := components.shared) is None:
        return None
    settings, rates = components.settings, components.rate_limiter
    policies, gate = components.policies, components.gate

    async def shared_limits(context: RequestContext) -> web.StreamResponse:
        person = None if policies is None else _known(policies, gate, context)
        key = b"" if rates is None else caller(context, settings)
        wanted = Wanted(slot=True, caller=key, rate=settings.rate_limit, person=person)
        code = await shared.admit(wanted, rates)
        if code is Code.NO_SLOT:
            raise GatewayError(AT_CAPACITY, retry_after=1)
        if code is Code.TOO_FAST:
            raise GatewayError(RATE_LIMITED, retry_after=RETRY_AFTER_S)
        context.at_end(shared.release_slot)
        if person is not None:
            _note(shared, context, person, code)
        return await handler(context)

    return shared_limits


async def ask_for_person(shared: RedisLimits, context: RequestContext, policy: Policy) -> Code:
    """What the shared limits say of the caller's own, which may be known already."""
    if context.person_limits is not None:
        return context.person_limits
    person = person_of(context.actor.id, policy)
    if person is None:
        return Code.ADMITTED
    code = await shared.admit(Wanted(person=person), None)
    _note(shared, context, person, code)
    return code


def person_of(id: str, policy: Policy) -> Person | None:
    """The person with the limits of their policy; None: it has none."""
    rate, most = policy.settings.rate_limit, policy.settings.max_concurrency
    return None if rate is None and most is None else Person(id, rate or 0, most or 0)


def _known(policies: Policies, gate: Throttle, context: RequestContext) -> Person | None:
    try:
        actor = gate.known(context.presented.token)
    except MalformedCredentialsError:
        return None
    if actor is None or (policy := policies.of(actor.groups)) is None:
        return None
    return person_of(actor.id, policy)


def _note(shared: RedisLimits, context: RequestContext, person: Person, code: Code) -> None:
    context.person_limits = code
    if person.most and code is Code.ADMITTED:
        context.at_end(partial(shared.release_place, person.id))
