"""Requests that are ended from outside, by an administrator or by who made them.

Their clients get a valid end of the API, so that no agent takes it for a failure and repeats the
request: a whole answer where nothing was sent, else an early end of the stream, behind the event
that is under way. What can't be ended so is cut off: a stream that is compressed, or has told its
length, one whose provider stops within an event, and the rest of a response that isn't a stream.
"""

import asyncio

import aiohttp
from aiohttp import web

from aibridged.clock import Clock
from aibridged.errors import REASON, REQUEST_ENDED, GatewayError
from aibridged.pipeline.context import RequestContext
from aibridged.pipeline.live import tokens_so_far
from aibridged.records.facts import Outcome
from aibridged.transport.abort import break_off
from aibridged.transport.refusal import SERVER
from aibridged.transport.relay import Pump
from aibridged.wire.early_ends import whole
from aibridged.wire.facts import RequestFacts
from aibridged.wire.own_answers import OwnAnswer, Said, own_answer

EVENT_S = 2.0
"""How long the rest of an event may take, behind which a stream ends."""


def begin(context: RequestContext) -> None:
    """Return if the request was cancelled to end it; else raise the CancelledError again."""
    task = asyncio.current_task()
    wanted = context.ended_by is not None and not context.is_ending
    if not wanted or task is None or task.uncancel():  # the client has left, too
        raise asyncio.CancelledError
    context.is_ending = True


async def end_of_stream(context: RequestContext, clock: Clock, pump: Pump) -> bytes:
    """What ends the response in place of its rest, which is on record then.

    Raises:
        CancelledError: it was cancelled for another reason.
        ConnectionError: it can't be ended otherwise, and was cut off.
    """
    begin(context)
    reading = context.observer
    is_withheld = context.asks_for_usage  # then the client isn't told a length
    if reading is None or reading.is_coded or (reading.has_length and not is_withheld):
        raise cut_off(context)
    stream, said = reading.stream, said_at_end(context, clock)
    if stream is not None:
        try:
            await pump.finish_event(stream.splitter, EVENT_S)
        except (aiohttp.ClientError, TimeoutError):
            raise cut_off(context) from None
        last = stream.early_end(said)
    elif reading.is_stream and not reading.size and context.route.api is not None:
        last = whole(context.route.api, said)
    else:
        raise cut_off(context)
    record_end(context, said, is_early=bool(last))
    return last


def said_at_end(context: RequestContext, clock: Clock) -> Said:
    """What the client is told."""
    facts, tokens, reading = context.facts, tokens_so_far(context), context.observer
    return Said(
        notice(context),
        facts.model,
        context.scope.request_id,
        int(clock.wall().timestamp()),
        facts.include_usage,
        tokens.input,
        tokens.output,
        facts.choices,
        reading.size if reading is not None else 0,
    )


def record_end(context: RequestContext, said: Said, *, is_early: bool) -> None:
    """Record the end of a stream; it isn't early where the provider has ended it just now."""
    interception, reading = context.interception, context.observer
    if interception is None or reading is None:
        return
    outcome = Outcome.COMPLETED
    if is_early:
        outcome = Outcome.INTERRUPTED
        note(context)
    else:
        reading.complete = True
    interception.end(outcome, reading.status, reading, context.secrets)


def note(context: RequestContext) -> None:
    """Have the record say who has ended it."""
    if context.interception is not None and context.ended_by is not None:
        context.interception.ended_by = context.ended_by.id


def cut_off(context: RequestContext) -> ConnectionError:
    """Abort the client's connection; returns the error to raise."""
    break_off(context.request)
    return ConnectionResetError("the request was ended, and its response could only be cut off")


def status_of_answer(context: RequestContext) -> int | None:
    """The status of what a client gets that has got nothing yet; None: it is cut off."""
    if context.ended_by is None or context.is_ending or context.request.writer.output_size > 0:
        return None
    return REQUEST_ENDED.status if _answer(context, 0) is None else 200


def answer(context: RequestContext, clock: Clock) -> web.Response:
    """The response to a client that has got nothing yet.

    Raises:
        CancelledError: the request was cancelled for another reason.
        ConnectionError: the client has got something, and was cut off.
        GatewayError: the API has no text, in which it could be said.
    """
    begin(context)
    if context.request.writer.output_size > 0:
        raise cut_off(context)
    found = _answer(context, int(clock.wall().timestamp()))
    if found is None:
        raise GatewayError(REQUEST_ENDED, notice(context))
    headers = {
        "Content-Type": found.content_type,
        "Cache-Control": "no-store",
        REASON: REQUEST_ENDED.code,
        "X-Aibridge-Request-Id": context.scope.request_id,
        "Server": SERVER,
    }
    return web.Response(body=found.body, headers=headers)


def _answer(context: RequestContext, created: int) -> OwnAnswer | None:
    facts: RequestFacts | None = getattr(context, "facts", None)
    if facts is None or facts.background:
        return None
    id, text = context.scope.request_id, notice(context)
    said = Said(text, facts.model, id, created, facts.include_usage)
    return own_answer(context.route.api, said, stream=facts.stream)


def notice(context: RequestContext) -> str:
    """The sentence for the client."""
    by = context.ended_by
    if by is not None and by.id == context.actor.id:
        return "You have ended this request at the gateway."
    return "An administrator of the gateway has ended this request."
