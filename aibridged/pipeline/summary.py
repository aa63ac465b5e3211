"""Builds the summary of a request from its context."""

import re
from typing import Any

import msgspec

from aibridged.core.auth import MalformedCredentialsError, UpstreamCredential, sent_secrets
from aibridged.core.client_ip import client_ip
from aibridged.core.money import exact_dollars
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
from aibridged.records.facts import Failure, Outcome
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
# The fields of a caller, a route, a request's facts and a cost, where there are none.
_NOBODY = None, None, (), None
_NOWHERE = None, None, None, False
_BLANK = None, False, False
_UNPRICED = None, None
_COMPLETED, _FAILED = RequestOutcome.COMPLETED, RequestOutcome.FAILED
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
        request, interception, refusal = context.request, context.interception, context.refusal
        # How far the request got decides which fields are set.
        if interception is None:
            actor: Actor | None = getattr(context, "actor", None) or context.rejected
            route: Route | None = getattr(context, "route", None)
            asked: RequestFacts | None = getattr(context, "facts", None)
            credential: UpstreamCredential | None = getattr(context, "credential", None)
            answer, cost = context.fetched or _NOTHING, context.fetched_cost
            id, client, failure = None, identify(request.headers)[0], None
        else:
            actor, route = context.actor, context.route
            asked, credential = context.facts, context.credential
            answer, cost = interception.answer, interception.cost
            id, client = interception.id, interception.start.client
            failure = interception.failure
        claimed = None
        if actor is None and refusal is not None and refusal.status in _UNVERIFIED:
            actor, claimed = self._who(context)
        method, outcome = request.method, _outcome(context, status, broken)
        reading, usage = context.observer, answer.usage
        who = (actor.id, actor.username, actor.groups, actor.api_key_id) if actor else _NOBODY
        where = (
            (route.provider.name, route.provider.type, route.endpoint, route.api is not None)
            if route
            else _NOWHERE
        )
        what = (
            (asked.model[:_MAX_TEXT], asked.stream, asked.prompt is not None) if asked else _BLANK
        )
        price = (exact_dollars(cost.amount), str(cost.label)) if cost else _UNPRICED
        # By position: names would take several times as long.
        finished = RequestSummary(
            context.scope.request_id,
            outcome,
            method if method in _METHODS else _ANOTHER_METHOD,
            route.pattern if route else shown_path(request.target, sent_secrets(request.headers)),
            context.began,
            ended,
            context.upstream_status if status is None else status,
            self._remote(context) if self._is_proxied else request.remote,
            client,
            request.headers.get("User-Agent", "")[:_MAX_TEXT] or None,
            None if credential is None else str(credential.kind),
            context.body_wait,
            context.sent_at,
            context.upstream_status,
            context.answered_at,
            None if reading is None else reading.first_byte_at,
            id,
            _cut(answer.response_id),
            _cut(answer.model),
            None if usage is None else _counts(usage),
            tuple([call.name[:_MAX_TEXT] for call in answer.tool_calls]),
            *who,
            *where,
            *what,
            *price,
        )
        if (
            outcome is _COMPLETED
            and refusal is None
            and failure is None
            and not answer.anomalies
            and answer.error is None
            and context.ended_by is None
            and (usage is None or not usage.additional)
        ):
            return finished
        return self._completed(finished, context, answer, failure, claimed)

    def _completed(
        self,
        finished: RequestSummary,
        context: RequestContext,
        answer: ResponseFacts,
        failure: Failure | None,
        claimed: str | None,
    ) -> RequestSummary:
        """The summary with the fields that most go without."""
        more: dict[str, Any] = {"claimed_api_key_id": claimed, "unread": answer.unread}
        if context.refusal is not None:
            more["reason"] = context.refusal.code
        if failure is not None:
            more["error_type"] = failure.type.value
            more["error_source"] = failure.source.value
        if answer.error is not None:
            more["provider_error"] = _error_type(answer.error)
        if answer.usage is not None:
            more["additional_tokens"] = tuple(map(_counts, answer.usage.additional))
        if context.ended_by is not None:
            more["ended_by"] = context.ended_by.username
        endpoint, was_sent = finished.endpoint, context.sent_at is not None
        if finished.outcome is _FAILED and was_sent and endpoint is not None:
            upstream = self._upstreams[context.route.provider.name]
            more["upstream_url"] = upstream.shown_url(endpoint)
        return msgspec.structs.replace(finished, **more)

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
