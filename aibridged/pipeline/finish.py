"""Request ids, and the access log, metrics and trace at the end of each request."""

import asyncio
import re
from collections.abc import Callable
from random import getrandbits

from aiohttp import web
from loguru import logger

from aibridged.core.client_ip import is_trusted
from aibridged.gateway_tokens import holds_token
from aibridged.observe.request_summary import RequestOutcome
from aibridged.observe.scope import SCOPE, Scope
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.summary import Summarizer
from aibridged.transport.abort import BrokenOffError

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def stage(components: Components, handler: Handler) -> Handler:
    monotonic, traces, listeners = (
        components.clock.monotonic,
        components.traces,
        components.on_finished,
    )
    in_flight, account, name = components.in_flight, Summarizer(components), _naming(components)

    async def finish(context: RequestContext) -> web.StreamResponse:
        context.began = monotonic()
        scope = context.scope = Scope(name(context))
        SCOPE.set(scope)
        if traces is not None:
            context.trace = traces.begin(context.request.headers, scope, context.began)
        status, broken = None, None
        try:
            response = await handler(context)
            status = response.status
            return response
        except BrokenOffError:
            broken = RequestOutcome.FAILED
            raise
        except (asyncio.CancelledError, ConnectionError):
            cut_off = in_flight.cut_off or context.is_cut_off
            broken = RequestOutcome.INTERRUPTED if cut_off else RequestOutcome.CLIENT_CLOSED
            raise
        finally:
            context.end()
            if not context.is_probe:
                finished = account(context, status, broken, monotonic())
                for listener in listeners:
                    try:
                        listener(finished)
                    except Exception:  # noqa: BLE001 - the client has its response already
                        logger.exception("Failed to log a finished request")
                if context.trace is not None:
                    context.trace.end(finished, lambda: context.route.provider.base_url)
            scope.leave()

    return finish


def _naming(components: Components) -> Callable[[RequestContext], str]:
    """The policy for request ids: from the AI Proxy, from a trusted reverse proxy, or a new one."""
    origins = components.settings.proxy_trusted_origins

    def name(context: RequestContext) -> str:
        if context.request.given_id is not None:
            return context.request.given_id
        if origins and is_trusted(context.request.remote, origins):
            given = context.request.headers.getall("X-Request-Id", ())
            if len(given) == 1 and _ID.fullmatch(given[0]) and not holds_token(given[0]):
                return given[0]
        return f"{getrandbits(64):016x}"

    return name
