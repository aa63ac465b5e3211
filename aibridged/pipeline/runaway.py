"""Runaway stage: warns of sessions that have run away, or ends them. See `core.runaway`.

A request of a session that was ended goes nowhere: it is refused, and counted as such, but by a
response that its agent shows as the model's words. An error would be repeated, or hidden.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from aibridged.config.options import SessionSettings
from aibridged.core.runaway import MAX_CALLS, Call, Session, Sign, Turn, in_words
from aibridged.errors import REASON, SESSION_ENDED, GatewayError
from aibridged.observe.events import session_ran_away
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.records.facts import Metadata
from aibridged.transport.refusal import SERVER
from aibridged.wire.clients import WAITING_TOOLS, agent_of
from aibridged.wire.facts import RequestFacts, ResponseFacts, TokenUsage
from aibridged.wire.own_answers import Said, own_answer

_COMPACTION = "compaction"


def stage(components: Components, handler: Handler) -> Handler | None:
    policies, sessions = components.policies, components.sessions
    if policies is None or all(each.session is None for each in policies.settings):
        return None
    clock, metrics = components.clock, components.metrics

    def runaway(context: RequestContext) -> Awaitable[web.StreamResponse]:
        limits = context.policy.settings.session if context.policy is not None else None
        if limits is None or context.route.api is None:
            return handler(context)
        _, id = context.client
        if id is None:
            return handler(context)
        session = sessions.of(context.actor.id, id)
        sign = session.admit(limits)
        if sign is not None:
            if limits.ends:
                return ended(context, sign, limits)
            context.warn(f"{sign}: this session {in_words(sign, limits)}")
        context.watch = partial(observe, context, session, limits)
        return handler(context)

    async def ended(
        context: RequestContext, sign: Sign, limits: SessionSettings
    ) -> web.StreamResponse:
        text = (
            f"The gateway has ended this session, because it {in_words(sign, limits)}. Nothing of "
            "it is sent to the model any more. Please start a new session, or ask the operator of "
            "the gateway."
        )
        facts = context.facts
        said = Said(
            text,
            facts.model,
            context.scope.request_id,
            int(clock.wall().timestamp()),
            facts.include_usage,
        )
        answer = own_answer(context.route.api, said, stream=facts.stream)
        if answer is None or facts.background:
            raise GatewayError(SESSION_ENDED, text)
        context.refusal = SESSION_ENDED
        headers = {
            "Content-Type": answer.content_type,
            "Cache-Control": "no-store",
            REASON: SESSION_ENDED.code,
            "X-Aibridge-Request-Id": context.scope.request_id,
            "Server": SERVER,
        }
        return web.Response(body=answer.body, headers=headers)

    def observe(
        context: RequestContext,
        session: Session,
        limits: SessionSettings,
        answer: ResponseFacts,
        cost: int,
    ) -> Metadata:
        """Count what a request has come to; what is new goes on record with it."""
        turn = turn_of(
            context.facts,
            answer,
            began=context.began,
            agent=agent_of(context.request.headers),
            cost=cost,
            mark=sessions.mark,
        )
        sign = session.observe(turn, limits, clock.monotonic())
        if sign is None:
            return {}
        action = "end" if limits.ends else "warn"
        session_ran_away(
            username=context.actor.username,
            interception_id=context.scope.interception_id,
            sign=sign,
            action=action,
            what=in_words(sign, limits),
        )
        if metrics is not None:
            metrics.session_ran_away(sign, action)
        return {"runaway": str(sign), "runaway_action": action}

    return runaway


def turn_of(
    facts: RequestFacts,
    answer: ResponseFacts,
    *,
    began: float,
    agent: str | None,
    cost: int,
    mark: Callable[[str], int] = hash,
) -> Turn:
    """What a request and its response tell of a loop; `mark` makes numbers of ids."""
    tokens = _new_tokens(answer.usage) if answer.usage is not None else 0
    if not answer.complete:
        return Turn(began, cost, tokens)  # it is asked again
    calls = [call for call in answer.tool_calls if not call.server_side]
    return Turn(
        began,
        cost,
        tokens,
        mark(agent) if agent else 0,
        [mark(id) for id in facts.tool_result_ids[-MAX_CALLS:]],
        [
            Call(
                mark(call.call_id),
                mark(f"{call.name}\n{call.arguments}") if call.complete else None,
            )
            for call in calls
        ],
        facts.prompt is not None,
        facts.purpose == _COMPACTION,
        all(call.name in WAITING_TOOLS for call in calls),
    )


def _new_tokens(usage: TokenUsage) -> int:
    """All tokens but those that came from a cache."""
    own = usage.input + usage.cache_write + usage.output
    return own + sum(map(_new_tokens, usage.additional))
