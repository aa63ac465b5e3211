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
    lifecycle,
    measure,
    origin,
    rate_limit,
    record,
    records_api,
    route,
    tools,
)
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import Handler

__all__ = ["STAGES", "Parts", "build"]

STAGES = (
    finish.stage,  # outermost: it names the request, and says at its end what became of it
    errors.stage,  # whatever refuses further in is answered in the clients' own shape
    lifecycle.stage,  # probes must not depend on any limit; a draining gateway takes nothing new
    origin.stage,  # what a web page has a browser send may not use what is behind it
    records_api.stage,  # people's questions take no agent's slot; no provider has their names
    route.stage,  # what isn't served costs nobody a slot, and later stages need the provider
    concurrency.stage,  # the cheapest limit comes first, before anything is read
    rate_limit.stage,  # before the token is looked up: what is refused here costs no look-up
    auth.stage,  # nobody unknown may make the gateway read a body
    body.stage,  # the breaker needs the model, which only the body tells
    breaker.stage,  # late, so that only what would really go upstream takes a probe's place
    measure.stage,  # an interception is under way as soon as nothing can refuse it any more
    record.stage,  # what has been recorded goes upstream, and nothing else does
    tools.stage,  # last: all that it sends and runs is part of what is on record
)


def build(parts: Parts) -> Handler:
    """The handler that `aiohttp.web.Server` calls: all stages around `forward`.

    A stage that makes nothing is switched off, and left out.
    """
    handler = forward.handler(parts)
    for stage in reversed(STAGES):
        middleware = stage(parts)
        if middleware is not None:
            handler = partial(middleware, handler=handler)
    return handler
