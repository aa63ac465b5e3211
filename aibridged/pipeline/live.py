"""What is known of a request that runs now: for lists of them, and for one that is ended early."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from aibridged.identity.active_requests import LiveRequest, State
from aibridged.pipeline.bill import guessed
from aibridged.records.schema import MAX_NAME
from aibridged.wire.facts import TokenUsage

if TYPE_CHECKING:
    from aibridged.pipeline.bridge import Interception
    from aibridged.pipeline.context import RequestContext
    from aibridged.pipeline.response_observer import ResponseObserver
    from aibridged.wire.facts import RequestFacts

_UNKNOWN = "Unknown"


class Tokens(NamedTuple):
    """Tokens of all turns so far; estimated by sizes where their provider hasn't told them."""

    input: int = 0
    output: int = 0
    estimated: bool = False


def seen(context: "RequestContext", wall: datetime, monotonic: float) -> LiveRequest:
    """The request as it stands at this time."""
    facts: RequestFacts | None = getattr(context, "facts", None)
    actor, route, interception = context.actor, context.route, context.interception
    client, session = context.client if facts is not None else (_UNKNOWN, None)
    reading = _reading(context)
    shown = context.observer
    first = shown.first_byte_at if shown is not None else None
    seconds = max(monotonic - context.began, 0.0)
    tokens = tokens_so_far(context)
    return LiveRequest(
        id=context.scope.request_id,
        interception_id=interception.id if interception is not None else None,
        initiator_id=actor.id,
        username=actor.username,
        api_key_id=actor.api_key_id,
        client=client,
        session_id=(session or "")[:MAX_NAME] or None,
        provider=route.provider.name,
        model=facts.model[:MAX_NAME] if facts is not None else None,
        route=route.endpoint,
        streamed=facts is not None and facts.stream,
        state=_state(context, facts, interception, reading),
        tool=interception.tool if interception is not None else None,
        started_at=wall - timedelta(seconds=seconds),
        seconds=round(seconds, 3),
        first_byte_ms=None if first is None else round((first - context.began) * 1000),
        bytes=reading.size if reading is not None else 0,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        tokens_estimated=tokens.estimated,
        ended_by=context.ended_by.username if context.ended_by is not None else None,
    )


def tokens_so_far(context: "RequestContext") -> Tokens:
    """What was told, and a guess at the rest by the sizes of request and response."""
    interception = context.interception
    if interception is None:
        return Tokens()
    before = interception.answer.usage
    asked, came = (0, 0) if before is None else (_input(before), before.output)
    reading = _reading(context)
    if reading is None:
        if not interception.awaits_response:
            return Tokens(asked, came)
        return Tokens(asked + guessed(interception.asked_bytes).input, came, estimated=True)
    used = reading.usage_so_far
    if used is not None and not used.partial:
        return Tokens(asked + _input(used), came + used.output)
    guess = guessed(
        interception.asked_bytes, reading.size, reading.api, is_stream=reading.is_stream
    )
    told, output = (_input(used), used.output) if used is not None else (0, 0)
    return Tokens(asked + (told or guess.input), came + max(output, guess.output), estimated=True)


def _input(used: TokenUsage) -> int:
    return used.input + used.cache_read + used.cache_write


def _reading(context: "RequestContext") -> "ResponseObserver | None":
    """What reads the response under way, None between two turns."""
    reading, interception = context.observer, context.interception
    return None if interception is not None and interception.told is reading else reading


def _state(
    context: "RequestContext",
    facts: "RequestFacts | None",
    interception: "Interception | None",
    reading: "ResponseObserver | None",
) -> State:
    if context.route.api is None:
        return State.PROVIDER if context.answered_at is None else State.STREAMING
    if facts is None:
        return State.RECEIVING
    if interception is None:
        return State.ADMISSION
    if interception.tool is not None:
        return State.TOOL
    return State.PROVIDER if reading is None else State.STREAMING
