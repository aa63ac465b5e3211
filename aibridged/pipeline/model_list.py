"""Relays a provider's list of models without those that the caller isn't granted."""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp import web

from aibridged.errors import UPSTREAM_INVALID, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import RequestContext
from aibridged.pipeline.dump import Dump
from aibridged.transport.response import DownstreamResponse
from aibridged.transport.upstream_failure import refusal_of
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.coding import CodingError, decode_body
from aibridged.wire.model_lists import MAX_BYTES, NoListError, Page, granted_only, split_query

# They describe the provider's bytes.
_WITHOUT = (
    b"content-encoding",
    b"content-length",
    b"content-md5",
    b"content-digest",
    b"repr-digest",
    b"digest",
    b"etag",
    b"last-modified",
)


def ask_for_all(context: RequestContext) -> None:
    """Ask the provider for its whole list; `model_page` is then the page that the client wants."""
    whole = context.route.provider.whole_list
    context.model_page = Page()
    if whole is not None:
        context.model_page, context.raw_query = split_query(context.raw_query, whole)


async def relay_granted(
    context: RequestContext, reply: UpstreamResponse, dump: Dump | None, components: Components
) -> web.StreamResponse:
    """Relay the list, once all of it is there, with the granted models only.

    Raises:
        GatewayError: it broke off, is no list, or is too long: nothing of it is shown then.
    """
    policy = context.policy
    assert policy is not None, "the policy stage has asked for the list"
    if dump is not None:
        dump.response(reply)
    shown = b""
    if context.request.method != "HEAD":
        body = await _whole(context, reply, dump, components)
        shown = await _filtered(context, reply, body, policy.grants_model, components)
    length = None if context.request.method == "HEAD" else len(shown)
    response = DownstreamResponse(reply, without=_WITHOUT, length=length)
    await response.prepare(context.request)
    await response.write_eof(shown)
    return response


async def _whole(
    context: RequestContext, reply: UpstreamResponse, dump: Dump | None, components: Components
) -> bytes:
    name = context.route.provider.name
    pieces: list[bytes] = []
    left = MAX_BYTES
    try:
        async with asyncio.timeout(components.settings.upstream_idle_timeout):
            while piece := await reply.read():
                if dump is not None:
                    dump.feed(piece)
                left -= len(piece)
                if left < 0:
                    raise _unusable(context)
                context.hold.take(len(piece))
                pieces.append(piece)
    except (aiohttp.ClientError, TimeoutError) as error:
        where = components.upstreams[name].shown_url(context.route.endpoint)
        raise refusal_of(error, f"The provider {name}", where) from None
    return b"".join(pieces)


async def _filtered(
    context: RequestContext,
    reply: UpstreamResponse,
    body: bytes,
    grants: Callable[[str], bool],
    components: Components,
) -> bytes:
    run, person, page = components.slices.run, context.actor.id, context.model_page or Page()
    try:
        async with asyncio.timeout(components.settings.http_read_timeout):
            if reply.content_coding is not None:
                body = await run(decode_body(body, reply.content_coding, MAX_BYTES), person)
            return await run(granted_only(body, grants, page), person)
    except (CodingError, NoListError, TimeoutError):
        raise _unusable(context) from None


def _unusable(context: RequestContext) -> GatewayError:
    return GatewayError(
        UPSTREAM_INVALID,
        f"The provider {context.route.provider.name} sent a list of models that the gateway can't "
        "read, or that is too long, so that it can't be limited to those that are granted to you.",
    )
