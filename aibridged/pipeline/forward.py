"""Forwarding stage, the end of the pipeline: sends the request upstream and relays the response."""

from collections.abc import Awaitable

from aiohttp import web
from loguru import logger

from aibridged.core.auth import without_tokens
from aibridged.core.headers import (
    ACTOR_ID,
    ACTOR_USERNAME,
    end_to_end,
    of_request,
    raw_header,
)
from aibridged.errors import NOT_SUPPORTED, GatewayError
from aibridged.pipeline.bridge import outcome_of
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.dump import Dump
from aibridged.pipeline.ending import end_of_stream
from aibridged.pipeline.fingerprints import note_sent
from aibridged.pipeline.model_list import relay_granted
from aibridged.providers.base import KEY_REFUSALS
from aibridged.providers.unnamed import CANT_COUNT, COUNT_TOKENS
from aibridged.transport.abort import BrokenOffError
from aibridged.transport.read_backlog import Reader
from aibridged.transport.relay import relay
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_failure import (
    FAILURES,
    describe,
    is_failure,
    refusal_of,
    was_sent,
)
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse


def handler(components: Components) -> Handler:
    upstreams, dumper, monotonic = (
        components.upstreams,
        components.dumper,
        components.clock.monotonic,
    )
    send_actor = components.settings.send_actor_headers

    def forward(context: RequestContext) -> Awaitable[web.StreamResponse]:
        headers = upstream_headers(context, send_actor=send_actor)
        provider = context.route.provider
        upstream = upstreams[provider.name]
        if dumper is None or context.route.endpoint in provider.secret:
            return exchange(context, upstream, headers, None)
        return dumped(context, upstream, headers, dumper.begin(context, upstream, headers))

    async def dumped(
        context: RequestContext, upstream: Upstream, headers: RawHeaders, dump: Dump
    ) -> web.StreamResponse:
        with dump:
            return await exchange(context, upstream, headers, dump)

    async def exchange(
        context: RequestContext, upstream: Upstream, headers: RawHeaders, dump: Dump | None
    ) -> web.StreamResponse:
        context.sent_at = monotonic()
        reply = await ask(context, upstream, headers, components, dump)
        context.answered_at, context.upstream_status = monotonic(), reply.status
        context.let_body_go()
        try:
            if context.model_page is not None and 200 <= reply.status < 300:
                return await relay_granted(context, reply, dump, components)
            return await relay_response(context, reply, dump, components)
        finally:
            # Closes the connection unless the response has been read to its end.
            reply.close()

    return forward


async def ask(
    context: RequestContext,
    upstream: Upstream,
    headers: RawHeaders,
    components: Components,
    dump: Dump | None,
) -> UpstreamResponse:
    """Send the request and wait for the response's head.

    A POST is never sent twice, unless the provider has refused it for the gateway's own addition.

    Raises:
        GatewayError: there was none, or it only says that the gateway has no key.
    """
    interception = context.interception
    idle_timeout = components.settings.upstream_idle_timeout
    if interception is not None:
        interception.awaits_response = True
        interception.asked_bytes = len(context.body)
    try:
        response = await upstream.ask(
            context.request.method,
            context.upstream_target,
            headers,
            context.upstream_body,
            idle_timeout,
        )
        if components.fingerprints is not None:
            note_sent(context, components.fingerprints)
        if context.usage_ask is not None:
            response = await _unasked(context, upstream, headers, response, idle_timeout)
    except GatewayError:  # there is no file descriptor left, which isn't the provider's fault
        if interception is not None:
            interception.awaits_response = False
        raise
    except FAILURES as error:
        if interception is not None:
            interception.awaits_response = was_sent(error)
        if dump is not None:
            dump.fail(describe(error))
        if context.verdict is not None and is_failure(error):
            context.verdict.failure()
        where = upstream.shown_url(context.route.endpoint)
        raise refusal_of(error, f"The provider {context.route.provider.name}", where) from None
    if response.status in KEY_REFUSALS:
        _look_into(response, context, components, dump)
    elif response.status in CANT_COUNT and _is_count(context):
        context.upstream_status = response.status
        if dump is not None:
            dump.response(response)
        response.close()
        raise GatewayError(NOT_SUPPORTED)
    return response


def _is_count(context: RequestContext) -> bool:
    return context.is_unnamed and context.route.endpoint == COUNT_TOKENS


def _look_into(
    response: UpstreamResponse, context: RequestContext, components: Components, dump: Dump | None
) -> None:
    """Look into the refusal of a key, or GatewayError: the gateway has none."""
    context.upstream_status = response.status
    try:
        components.key_refusals.check(context, response.status)
    except GatewayError:
        if dump is not None:
            dump.response(response)
        response.close()
        if context.interception is not None:
            context.interception.awaits_response = False
        raise


async def _unasked(
    context: RequestContext,
    upstream: Upstream,
    headers: RawHeaders,
    response: UpstreamResponse,
    idle_timeout: float,
) -> UpstreamResponse:
    """The response, to a second request where the first was refused for asking for usage."""
    method, target, ask = context.request.method, context.upstream_target, context.usage_ask
    if ask is None or not await ask.is_refused(response):
        return response
    response.close()
    context.unasking, context.usage_ask = ask.unasking(context), None
    response = await upstream.ask(method, target, headers, context.upstream_body, idle_timeout)
    # No stream: it read the request otherwise, and refused what isn't for a blocking answer.
    if response.status < 400 and response.content_type == "text/event-stream":
        ask.remember(context)
    return response


async def relay_response(
    context: RequestContext, reply: UpstreamResponse, dump: Dump | None, components: Components
) -> web.StreamResponse:
    """Relay the response as it arrives; see `relay` for the errors."""
    readers: list[Reader] = []
    reading = context.observe(reply, components.clock)
    if reading is not None:
        readers.append(reading.feed)
    if dump is not None:
        dump.response(reply)
        readers.append(dump.feed)

    def before_end() -> None:
        if reading is not None:
            reading.complete = True
        record_end(context, reply.status)

    try:
        return await relay(
            context.request,
            reply,
            readers,
            components.settings.upstream_idle_timeout,
            components.turns,
            withhold_usage=context.asks_for_usage,
            before_end=before_end,
            ended_early=lambda pump: end_of_stream(context, components.clock, pump),
        )
    except BrokenOffError as error:
        warn_of_break(context, components, str(error))
        raise


def warn_of_break(context: RequestContext, components: Components, reason: str) -> None:
    """Log that the provider didn't end its response."""
    name = context.route.provider.name
    where = components.upstreams[name].shown_url(context.route.endpoint)
    logger.warning("Provider {} aborted its response: {}: {}", name, where, reason)


def record_end(context: RequestContext, status: int) -> None:
    """Record a whole answer, before the last of it is written: who has seen it finds it there."""
    if context.interception is not None:
        context.interception.end(outcome_of(status), status, context.observer, context.secrets)


def upstream_headers(context: RequestContext, *, send_actor: bool) -> list[tuple[bytes, bytes]]:
    """The caller's end-to-end headers, with the upstream credential."""
    sent = context.request.raw_headers
    kept = end_to_end(sent, of_request(sent))
    if context.recoded:
        kept = [header for header in kept if header[0].lower() != b"content-encoding"]
    kept = without_tokens(kept, context.presented.token)
    kept.append((b"Accept-Encoding", b"identity"))
    kept += context.credential.sent
    if send_actor:
        kept.append(raw_header(ACTOR_ID, context.actor.id))
        kept.append(raw_header(ACTOR_USERNAME, context.actor.username))
    return kept
