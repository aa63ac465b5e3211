"""Ownership stage: what a provider stores is for the person who made it. See `stored_objects`.

With the organisation's key a provider shows anyone what another caller has stored. To all but its
maker the gateway says that it isn't there. A response in the background is read here, too, when it
is fetched.
"""

from collections.abc import Awaitable, Iterator

from aiohttp import web

from aibridged.core.auth import CredentialKind
from aibridged.errors import (
    INVALID_REQUEST,
    LOOKUP_FAILED,
    PREVIOUS_RESPONSE_NOT_FOUND,
    STORED_OBJECT_NOT_FOUND,
    ErrorKind,
    GatewayError,
)
from aibridged.pipeline.bill import Bill
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.failure import of_response, redacted
from aibridged.pipeline.storing import OUTCOMES, background_records
from aibridged.records.facts import Outcome, StoredObjectRecord
from aibridged.records.ids import made_at
from aibridged.records.lookups import LookupFailedError
from aibridged.records.stored_objects import Maker
from aibridged.wire.facts import RESPONSES_APIS
from aibridged.wire.splice import Fields, UnsplittableError

_ERRORS = 400
# What a body must hold to name one of them twice, however it spells the names.
_MARKS = (b"previous_response", b"conversation", b"\\u00")


def stage(components: Components, handler: Handler) -> Handler:
    stored, clock, pricing = components.stored_objects, components.clock, components.pricing
    # Without authentication all callers are the same person.
    is_single = components.settings.auth == "none"

    def ownership(context: RequestContext) -> Awaitable[web.StreamResponse]:
        route = context.route
        is_read_so = (route.api or route.refers) in RESPONSES_APIS
        if not is_read_so and route.about is None and route.makes is None:
            return handler(context)  # at once: most routes have nothing to do with it
        return among_owners(context)

    async def among_owners(context: RequestContext) -> web.StreamResponse:
        route, maker = context.route, None
        if route.reads in RESPONSES_APIS:
            for id, missing in _referred(context):
                await owned(context, id, missing)
        if route.about is not None:
            maker = await owned(context, route.about.id, STORED_OBJECT_NOT_FOUND)
        is_awaited = maker is not None and maker.is_background
        if not is_awaited and route.makes is None:
            return await handler(context)
        context.reads_stored = True
        try:
            return await handler(context)
        finally:
            note(context, maker)

    async def owned(context: RequestContext, id: str, missing: ErrorKind) -> Maker | None:
        """Its maker if that is the caller; None where the caller may see it anyway.

        Raises:
            GatewayError: it isn't the caller's, or that can't be told.
        """
        actor, own_key = context.actor.id, _has_own_key(context)
        if own_key and context.route.about is None:
            return None  # with their own key they go on from whatever that shows them
        try:
            maker = await stored.find(
                actor, context.route.provider.name, id, patient=not (own_key or is_single)
            )
        except LookupFailedError:
            raise GatewayError(LOOKUP_FAILED, retry_after=1) from None
        if maker is not None and maker.initiator_id == actor:
            return maker
        if own_key or (maker is None and is_single):
            return None
        raise GatewayError(missing)

    def note(context: RequestContext, maker: Maker | None) -> None:
        """Note what has been made, or what something in the background has come to."""
        reading, route, actor = context.observer, context.route, context.actor
        if reading is None or reading.status >= _ERRORS:
            return
        name, facts = route.provider.name, reading.facts()
        if route.makes is not None and facts.response_id and not _has_own_key(context):
            stored.made(
                StoredObjectRecord(
                    provider_name=name,
                    object_id=facts.response_id,
                    initiator_id=actor.id,
                    created_at=clock.wall(),
                )
            )
        if (
            maker is not None
            and maker.interception_id is not None
            and facts.status is not None
            and facts.status in OUTCOMES
            and route.about is not None
            and stored.told(name, route.about.id)
        ):
            context.fetched = facts
            failure = None
            if OUTCOMES[facts.status] is Outcome.FAILED:
                failure = redacted(of_response(reading.status, facts.error), context.secrets())
            bill = Bill(pricing, name, maker.model, made_at(maker.interception_id))
            records = background_records(
                maker.interception_id, facts, clock.wall(), bill, is_fetched=True, failure=failure
            )
            context.fetched_cost = bill.total
            stored.record(*records, initiator_id=actor.id)

    return ownership


def _has_own_key(context: RequestContext) -> bool:
    return context.credential.kind is CredentialKind.BYOK


def _referred(context: RequestContext) -> Iterator[tuple[str, ErrorKind]]:
    """The ids that the body goes on from, and what to say where they aren't the caller's.

    Raises:
        GatewayError: a field may be there twice, so that the provider would take the other one.
    """
    facts, plain = context.facts, context.plain
    if any(mark in plain for mark in _MARKS):
        try:
            Fields(plain, context.members)
        except UnsplittableError:
            raise GatewayError(
                INVALID_REQUEST, "The request has a field twice, or too many of them."
            ) from None
    if facts.previous_response is not None:
        yield facts.previous_response, PREVIOUS_RESPONSE_NOT_FOUND
    if facts.conversation is not None:
        yield facts.conversation, STORED_OBJECT_NOT_FOUND
