"""Budget stage: what a request may cost is reserved, if the caller's spend limits allow for it.

The reservation is made by the very transaction that records the start (see `records.ledger`), so
that requests in parallel can't overshoot a limit. Requests with a caller's own key count for
nobody, and neither do routes that aren't recorded. See `core.budgets` and `core.estimates`.
"""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from functools import partial
from math import inf

import msgspec
from aiohttp import web

from aibridged.core.auth import CredentialKind, sent_secrets
from aibridged.core.budgets import NO_CAPS, Cap, Caps, fullest, is_spent, standings
from aibridged.core.estimates import Ask, Model, Session
from aibridged.core.prices import RateCard, tier_of
from aibridged.core.targets import shown_path
from aibridged.core.usage_headers import (
    PROVIDERS_OWN,
    RawHeaders,
    codex_headers,
    unified_headers,
)
from aibridged.errors import GatewayError
from aibridged.pipeline.budget_refusals import over_budget, unknown, unpriced
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.records.facts import Reservation
from aibridged.records.spending import with_uncharged
from aibridged.transport.request import Replacement
from aibridged.wire.facts import RESPONSES_APIS, WireApi

_DENY, _ALLOW = "deny", "allow"
_PROVIDERS_GO = Replacement(PROVIDERS_OWN)


def stage(components: Components, handler: Handler) -> Handler:
    limits, estimates, pricing = components.limits, components.estimates, components.pricing
    clock, settings, note = components.clock, components.settings, components.note_standing
    spending = components.spending
    fails_closed, more = settings.budget_fail == "closed", settings.budget_message
    denies, allows = settings.unpriced == _DENY, settings.unpriced == _ALLOW
    softens = components.policies is not None and components.policies.soften_budgets
    shares = components.used_shares if softens else None
    # From so many percent of a cap on, there is something to be noted.
    noted_from = min(settings.budget_alerts, default=inf)

    def budget(context: RequestContext) -> Awaitable[web.StreamResponse]:
        actor = context.actor
        found = limits.current.caps(actor.id, actor.groups, actor.api_key_id)
        is_own_key = context.credential.kind is CredentialKind.BYOK
        if is_own_key or (found is NO_CAPS and not denies):
            return handler(context)
        if found.caps:
            context.request.replacement = _PROVIDERS_GO
        if context.route.api is None:
            return handler(context)
        if pricing.book is None:
            return once_priced(context, found, context.route.api)
        return within(context, found, context.route.api)

    async def once_priced(context: RequestContext, found: Caps, api: WireApi) -> web.StreamResponse:
        await pricing.loaded()
        return await within(context, found, api)

    def within(context: RequestContext, found: Caps, api: WireApi) -> Awaitable[web.StreamResponse]:
        caps, facts = found.caps, context.facts
        if caps and fails_closed and (limits.are_stale or pricing.book is None):
            raise unknown(api, more)
        at = clock.wall()
        session_id = context.client[1]
        tier = tier_of(facts.service_tier, facts.speed)
        model = Model(context.route.provider.name, facts.model, tier)
        ask = Ask(
            model,
            Session(context.actor.id, session_id, model) if session_id else None,
            len(context.plain),
            facts.max_tokens,
            facts.choices,
            facts.previous_response or facts.conversation,
        )
        amount = estimate(context, ask, at)
        if amount is None and pricing.book and (denies or (caps and not allows)):
            raise unpriced(_shown(context), has_cap=bool(caps))
        checks = found.checks(at)
        if uncharged := spending.uncharged(checks):
            checks = tuple(
                msgspec.structs.replace(check, cap=check.cap - nanos)
                for check, nanos in zip(checks, uncharged, strict=True)
            )
        if found is not NO_CAPS:
            context.reservation = Reservation(
                amount=amount or 0, checks=checks, charged_to=found.charged_to
            )
        if caps:
            context.on_recorded = partial(admitted, caps, uncharged, at, api)
            context.on_refused = partial(refused, ask, caps, uncharged, amount or 0, at, api)
        return handler(context)

    def admitted(
        caps: tuple[Cap, ...],
        uncharged: Sequence[int],
        at: datetime,
        api: WireApi,
        context: RequestContext,
        amounts: tuple[int, ...],
    ) -> None:
        """Have the answer tell how the limits stand, and note it for the next request."""
        amounts = with_uncharged(amounts, uncharged)
        context.caps_used = caps, amounts
        first = fullest(caps, amounts, at)
        if first.percent >= noted_from:
            for each in standings(caps, amounts, at):
                note(each, False)
        if shares is not None:
            actor = context.actor
            shares.note(actor.id, actor.api_key_id, first.percent, first.resets_at - at)
        headers: RawHeaders = ()
        if api is WireApi.MESSAGES:
            headers = unified_headers(first)
        elif api in RESPONSES_APIS:
            headers = codex_headers(standings(caps, amounts, at))
        context.request.replacement = Replacement(PROVIDERS_OWN, headers)

    def refused(
        ask: Ask,
        caps: tuple[Cap, ...],
        uncharged: Sequence[int],
        amount: int,
        at: datetime,
        api: WireApi,
        context: RequestContext,
        amounts: tuple[int, ...],
    ) -> GatewayError:
        """Note how the limits stand, and tell why the request isn't within them."""
        amounts = with_uncharged(amounts, uncharged)
        if not is_spent(caps, amounts, 0):
            estimates.relax(ask.model)
        found = standings(caps, amounts, at)
        for each in found:
            note(each, each.blocks(amount))
        return over_budget(found, amount, at, api, context.client[0], more)

    def estimate(context: RequestContext, ask: Ask, at: datetime) -> int | None:
        """What the request may cost, by the first card that tells, which then learns from it."""
        book = pricing.book
        if book is None:
            return None
        card = book.card(ask.model.provider, ask.model.name, at)
        amount = None if card is None else estimates.worst(card, ask)
        if amount is None and book.unpriced is not None:
            card = book.unpriced
            amount = estimates.worst(card, ask)
        if card is not None and amount is not None:
            context.at_end(partial(learn, context, card, ask))
        return amount

    def learn(context: RequestContext, card: RateCard, ask: Ask) -> None:
        interception = context.interception
        answer = interception.answer if interception is not None else None
        usage = answer.usage if answer is not None else None
        if answer is not None and usage is not None and not usage.partial:
            is_stored = context.route.api in RESPONSES_APIS
            ids = (answer.response_id, context.facts.conversation) if is_stored else ()
            estimates.learn(card, ask, usage, ids)

    return budget


def _shown(context: RequestContext) -> str:
    """The model's name; nothing that may be a key is repeated."""
    return shown_path(f"/{context.facts.model}", sent_secrets(context.request.headers))[1:]
