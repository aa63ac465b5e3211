"""Recording stage, fails closed: the start is committed before anything goes upstream.

It counts the interceptions in flight, too; `finish` counts them at their end.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from functools import partial

from aiohttp import web
from loguru import logger

from aibridged.errors import INTERNAL_ERROR, RECORDING_FAILED, GatewayError
from aibridged.pipeline import ending
from aibridged.pipeline.bridge import outcome_of
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.failure import INTERNAL, of_break, of_gateway
from aibridged.records.facts import Outcome
from aibridged.records.jobs import BudgetExceededError, RecordingFailedError
from aibridged.transport.abort import BrokenOffError
from aibridged.transport.in_flight import InFlight


def stage(components: Components, handler: Handler) -> Handler:
    pool, in_flight, running = components.bridges, components.in_flight, components.running
    note = _Anomalies()

    def record(context: RequestContext) -> Awaitable[web.StreamResponse]:
        route = context.route
        if route.api is None:
            return handler(context)
        # It is in flight as soon as nothing but its own record can refuse it any more.
        provider = route.provider
        kind = (provider.name, context.facts.model, provider.prefix + route.endpoint)
        running.began(kind)
        context.at_end(partial(running.ended, kind))
        return recorded(context)

    async def recorded(context: RequestContext) -> web.StreamResponse:
        actor, policy = context.actor, context.policy
        servers = policy.settings.mcp_servers if policy is not None else None
        key, trace = BridgeKey(actor.id, actor.api_key_id, servers), context.trace
        if trace is not None:
            trace.acquire(key, context.route.pattern)
        lease = pool.acquire(key)
        context.at_end(lease.release)
        if trace is not None:
            trace.acquired()
        bridge = context.bridge = lease.bridge
        try:
            interception = context.interception = await bridge.begin(context)
        except RecordingFailedError:
            raise GatewayError(RECORDING_FAILED, retry_after=1) from None
        except BudgetExceededError as error:
            assert context.on_refused is not None, "nothing was to be reserved"
            raise context.on_refused(context, error.used) from None
        interception.watch = context.watch
        outcome, status = Outcome.FAILED, None
        try:
            response = await handler(context)
            outcome, status = outcome_of(response.status), response.status
            return response
        except GatewayError as error:
            status = error.kind.status
            interception.failure = of_gateway(error)
            raise
        except BrokenOffError as error:
            interception.failure = of_break(str(error))
            raise
        except (asyncio.CancelledError, ConnectionError):
            outcome, status = _left(context, in_flight), ending.status_of_answer(context)
            ending.note(context)
            raise
        except Exception:
            status = INTERNAL_ERROR.status  # as in the error response
            interception.failure = INTERNAL
            raise
        finally:
            reading = context.observer
            if status is None and reading is not None:
                status = reading.status
            answer = interception.end(outcome, status, reading, context.secrets)
            if answer.anomalies:
                note(answer.anomalies)

    return record


def _left(context: RequestContext, in_flight: InFlight) -> Outcome:
    """The outcome of a request whose client connection is gone: the client's or the daemon's doing.

    It is the daemon's when it shuts down, when the token is no longer valid, and when the request
    is ended by an administrator, or by who made it, and not by its client.
    """
    cut_off = in_flight.cut_off or context.is_cut_off
    return Outcome.INTERRUPTED if cut_off else Outcome.CLIENT_CLOSED


class _Anomalies:
    """Logs what a reader couldn't parse, once per kind, so that new events don't fill the disk."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            if kind not in self._seen:
                self._seen.add(kind)
                logger.warning("Part of a response could not be parsed for the record: {}", kind)
