"""Builds the summary of a request from its context."""

import re

from aibridged.core.auth import MalformedCredentialsError, UpstreamCredential, sent_secrets
from aibridged.core.client_ip import client_ip
from aibridged.core.money import dollars
from aibridged.core.targets import shown_path
from aibridged.errors import (
    INTERNAL_ERROR,
    NOT_SUPPORTED,
    UPSTREAM_INVALID,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNREACHABLE,
)
from aibridged.identity.base import Actor
from aibridged.identity.token_format import public_id
from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import RequestContext
from aibridged.providers import Route
from aibridged.records.facts import Outcome
from aibridged.wire.clients import identify
from aibridged.wire.facts import ProviderError, RequestFacts, ResponseFacts, TokenUsage

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ANOTHER_METHOD = "_OTHER"  # as in OpenTelemetry

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
_MAX_TEXT = 256  # characters of what a caller or a provider chooses

# A request that ends with another error of ours has not reached the provider.
_FAILURES = (
    INTERNAL_ERROR,
    NOT_SUPPORTED,
    UPSTREAM_INVALID,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNREACHABLE,
)
# A limit refuses before the token is looked up; one that nobody has may be a typing error.
_UNVERIFIED = frozenset({401, 429, 503})
_NOTHING = ResponseFacts()
_OUTCOMES = {outcome: RequestOutcome(outcome) for outcome in Outcome}


class Summarizer:
    """Builds the summary of a request that has ended."""

    def __init__(self, components: Components) -> None:
        self._settings = components.settings
        self._is_proxied = bool(components.settings.proxy_trusted_origins)
        self._gate = components.gate
        self._upstreams = components.upstreams

    def __call__(
        self,
        context: RequestContext,
        status: int | None,
        broken: RequestOutcome | None,
        ended: float,
    ) -> RequestSummary:
        """`status` is that of the client's response; `broken` is the outcome if there was none."""
        # How far the request got decides which fields are set.
        actor: Actor | None = getattr(context, "actor", None) or context.rejected
        route: Route | None = getattr(context, "route", None)
        asked: RequestFacts | None = getattr(context, "facts", None)
        interception, refusal, reading = context.interception, context.refusal, context.observer
        failure = interception.failure if interception is not None else None
        answer = interception.answer if interception is not None else context.fetched or _NOTHING
        cost = interception.cost if interception is not None else context.fetched_cost
        credential: UpstreamCredential | None = getattr(context, "credential", None)
        claimed, usage = None, answer.usage
        if actor is None and refusal is not None and refusal.status in _UNVERIFIED:
            actor, claimed = self._who(context)
        method = context.request.method
        outcome = _outcome(context, status, broken)
        url = None
        if outcome is RequestOutcome.FAILED and route is not None and context.sent_at is not None:
            url = self._upstreams[route.provider.name].shown_url(route.endpoint)
        return RequestSummary(
            request_id=context.scope.request_id,
            outcome=outcome,
            method=method if method in _METHODS else _ANOTHER_METHOD,
            path=shown_path(context.request.target, sent_secrets(context.request.headers))
            if route is None
            else route.pattern,
            status=context.upstream_status if status is None else status,
            reason=refusal.code if refusal else None,
            remote=self._remote(context) if self._is_proxied else context.request.remote,
            initiator_id=actor.id if actor else None,
            username=actor.username if actor else None,
            groups=actor.groups if actor else (),
            api_key_id=actor.api_key_id if actor else None,
            claimed_api_key_id=claimed,
            credential_kind=str(credential.kind) if credential is not None else None,
            client=interception.start.client
            if interception
            else identify(context.request.headers)[0],
            user_agent=context.request.headers.get("User-Agent", "")[:_MAX_TEXT] or None,
            provider=route.provider.name if route else None,
            provider_type=route.provider.type if route else None,
            endpoint=route.endpoint if route else None,
            bridged=route is not None and route.api is not None,
            began=context.began,
            body_wait=context.body_wait,
            sent_at=context.sent_at,
            upstream_url=url,
            upstream_status=context.upstream_status,
            answered_at=context.answered_at,
            first_byte_at=reading.first_byte_at if reading else None,
            ended=ended,
            interception_id=interception.start.id if interception else None,
            model=asked.model[:_MAX_TEXT] if asked else None,
            streamed=bool(asked and asked.stream),
            has_prompt=bool(asked and asked.prompt is not None),
            response_id=answer.response_id and answer.response_id[:_MAX_TEXT],
            response_model=answer.model and answer.model[:_MAX_TEXT],
            tokens=_counts(usage) if usage is not None else None,
            additional_tokens=tuple(map(_counts, usage.additional))
            if usage is not None and usage.additional
            else (),
            cost=None if cost is None or cost.amount is None else dollars(cost.amount),
            cost_label=cost and str(cost.label),
            tools=tuple([call.name[:_MAX_TEXT] for call in answer.tool_calls]),
            provider_error=_error_type(answer.error) if answer.error is not None else None,
            error_type=failure.type.value if failure else None,
            error_source=failure.source.value if failure else None,
            unread=answer.unread,
            ended_by=context.ended_by.username if context.ended_by is not None else None,
        )

    def _who(self, context: RequestContext) -> tuple[Actor | None, str | None]:
        """Who was refused without a lookup or in vain: the actor if known, or the token's id."""
        try:
            token = context.presented.token
        except MalformedCredentialsError:
            return None, None
        actor = self._gate.known(token)
        return actor, None if actor is not None or token is None else public_id(token)

    def _remote(self, context: RequestContext) -> str | None:
        settings = self._settings
        return client_ip(
            context.request.remote,
            context.request.headers,
            settings.proxy_trusted_headers,
            settings.proxy_trusted_origins,
        )


def _outcome(
    context: RequestContext, status: int | None, broken: RequestOutcome | None
) -> RequestOutcome:
    if context.interception is not None:
        return _OUTCOMES[context.interception.outcome]
    if context.ended_by is not None:
        return RequestOutcome.INTERRUPTED
    if broken is not None:
        return broken
    if context.refusal is not None:
        refused = context.refusal not in _FAILURES
        return RequestOutcome.REJECTED if refused else RequestOutcome.FAILED
    answered = status is not None and status < 400
    return RequestOutcome.COMPLETED if answered else RequestOutcome.FAILED


def _counts(usage: TokenUsage) -> TokenCounts:
    return TokenCounts(
        usage.input,
        usage.output,
        usage.cache_read,
        usage.cache_write,
        usage.extra,
        _cut(usage.model),
    )


def _error_type(error: ProviderError) -> str | None:
    """An error's type, if it looks like one: a provider may quote anything there."""
    word = error.type or error.code
    return word if word is not None and _WORD.fullmatch(word) is not None else None


def _cut(text: str | None) -> str | None:
    return text and text[:_MAX_TEXT]
