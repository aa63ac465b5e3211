"""The way of a request through the gateway, written down once."""

from functools import partial

from aibridged.pipeline import (
    auth,
    body,
    breaker,
    concurrency,
    errors,
    finish,
    forward,
    in_flight_gauge,
    lifecycle,
    local_routes,
    origin,
    rate_limit,
    record,
    route,
    tools,
)
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.transport.request import Handler as RequestHandler

__all__ = ["STAGES", "Components", "build"]

STAGES = (
    finish.stage,  # outermost: it names the request, and says at its end what became of it
    errors.stage,  # whatever refuses further in is answered in the clients' own shape
    lifecycle.stage,  # probes must not depend on any limit; a draining gateway takes nothing new
    origin.stage,  # what a web page has a browser send may not use what is behind it
    local_routes.stage,  # people's questions take no agent's slot; no provider has their names
    route.stage,  # what isn't served costs nobody a slot, and later stages need the provider
    concurrency.stage,  # the cheapest limit comes first, before anything is read
    rate_limit.stage,  # before the token is looked up: what is refused here costs no look-up
    auth.stage,  # nobody unknown may make the gateway read a body
    body.stage,  # the breaker needs the model, which only the body tells
    breaker.stage,  # late, so that only what would really go upstream takes a probe's place
    in_flight_gauge.stage,  # an interception is under way as soon as nothing can refuse it any more
    record.stage,  # what has been recorded goes upstream, and nothing else does
    tools.stage,  # last: all that it sends and runs is part of what is on record
)


def build(components: Components) -> RequestHandler:
    """The handler that `aiohttp.web.Server` calls: all stages around `forward`.

    A stage that makes nothing is switched off, and left out.
    """
    handler: Handler = forward.handler(components)
    for stage in reversed(STAGES):
        middleware = stage(components)
        if middleware is not None:
            handler = partial(middleware, handler=handler)
    return lambda request: handler(RequestContext(request))
