"""The stages of a request, in order; nothing else defines it."""

from collections.abc import Callable, Sequence

from aibridged.pipeline import (
    auth,
    body,
    breaker,
    budget,
    concurrency,
    errors,
    finish,
    forward,
    lifecycle,
    local_routes,
    origin,
    ownership,
    policy,
    rate_limit,
    record,
    route,
    runaway,
    shared_limits,
    soft_budget,
    tools,
    web_page,
)
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.transport.request import Handler as RequestHandler

__all__ = ["STAGES", "Components", "build", "build_web_page"]

STAGES = (
    finish.stage,  # outermost: it assigns the id, and logs, counts and traces the end
    errors.stage,  # turns refusals of all later stages into error responses
    lifecycle.stage,  # probes must not depend on any limit; a draining gateway accepts nothing new
    origin.stage,  # cross-origin requests from a web page must not reach anything behind this
    local_routes.stage,  # queries of the record take no slot; no provider has these names
    route.stage,  # unknown routes take no slot, and later stages need the provider
    shared_limits.stage,  # with Redis, in the place of the next two: both in one round trip
    concurrency.stage,  # the cheapest limit comes first, before anything is read
    rate_limit.stage,  # before the token is looked up: what is refused here costs no lookup
    auth.stage,  # an unauthenticated caller may not make the gateway read a body
    body.stage,  # the breaker needs the model, which is in the body
    policy.stage,  # it grants models, and nothing that it refuses is looked up, recorded or sent
    runaway.stage,  # the policy has its limits; what it ends is neither looked up nor recorded
    soft_budget.stage,  # the policy has its map; from here on the model is the one that is asked
    ownership.stage,  # the body may refer to what another caller has stored
    budget.stage,  # what it refuses takes no probe's place; what it reserves is recorded soon
    breaker.stage,  # late, so that only what would really go upstream takes a probe's place
    record.stage,  # nothing goes upstream unrecorded
    tools.stage,  # last: all that it sends and calls is recorded
)
# Those of the web page's own listener.
_WEB_PAGE = (finish.stage, errors.stage, lifecycle.stage, origin.stage, local_routes.stage)


def build(components: Components) -> RequestHandler:
    """The handler that `aiohttp.web.Server` calls: all stages around `forward`."""
    return _built(components, STAGES, forward.handler(components))


def build_web_page(components: Components) -> RequestHandler:
    """The handler of the web page's own listener, whose local routes are the page's alone."""
    return _built(components, _WEB_PAGE, web_page.handler(components))


def _built(
    components: Components,
    stages: Sequence[Callable[[Components, Handler], Handler | None]],
    handler: Handler,
) -> RequestHandler:
    """The stages around a handler. One that returns None is disabled, and left out."""
    for stage in reversed(stages):
        handler = stage(components, handler) or handler
    return lambda request: handler(RequestContext(request))
