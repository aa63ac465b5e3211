"""Recording stage, fails closed: the start is committed before anything goes upstream."""

import asyncio
from collections.abc import Iterable

from aiohttp import web
from loguru import logger

from aibridged.errors import INTERNAL_ERROR, RECORDING_FAILED, GatewayError
from aibridged.pipeline.bridge import Interception, outcome_of
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, Middleware, RequestContext
from aibridged.pipeline.failure import INTERNAL, of_break, of_gateway
from aibridged.pipeline.storing import STORED_APIS
from aibridged.records.facts import Outcome
from aibridged.records.jobs import RecordingFailedError
from aibridged.transport.abort import BrokenOffError
from aibridged.transport.in_flight import InFlight


def stage(components: Components) -> Middleware:
    pool, in_flight = components.bridges, components.in_flight
    note = _Anomalies()

    async def record(context: RequestContext, handler: Handler) -> web.StreamResponse:
        if context.route.api is None:
            return await handler(context)
        actor = context.actor
        key, trace = BridgeKey(actor.id, actor.api_key_id), context.trace
        if trace is not None:
            trace.acquire(key, context.route.pattern)
        lease = pool.acquire(key)
        if trace is not None:
            trace.acquired()
        try:
            interception = await lease.bridge.begin(
                context.request.headers,
                context.facts,
                context.route.provider,
                actor.username,
                context.credential,
                context.scope,
                trace,
                stores=context.route.api in STORED_APIS and context.facts.store,
            )
            context.bridge, context.interception = lease.bridge, interception
            return await _until_its_end(context, handler, interception)
        except RecordingFailedError:
            raise GatewayError(RECORDING_FAILED, retry_after=1) from None
        finally:
            lease.release()

    async def _until_its_end(
        context: RequestContext, handler: Handler, interception: Interception
    ) -> web.StreamResponse:
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
            outcome = _left(context, in_flight)
            raise
        except Exception:
            status = INTERNAL_ERROR.status  # as in the error response
            interception.failure = INTERNAL
            raise
        finally:
            reading = context.observer
            if status is None and reading is not None:
                status = reading.status
            facts = interception.end(outcome, status, reading, context.secrets)
            note(facts.anomalies)

    return record


def _left(context: RequestContext, in_flight: InFlight) -> Outcome:
    """The outcome of a request whose client connection is gone: the client's or the daemon's doing.

    It is the daemon's when it shuts down, and when the token is no longer valid.
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
