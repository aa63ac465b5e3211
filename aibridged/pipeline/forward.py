"""The end of the pipeline: asks the provider and relays its answer."""

import asyncio
import io

import aiohttp
from aiohttp import web
from loguru import logger
from multidict import CIMultiDict
from yarl import URL

from aibridged.core.headers import (
    ACTOR_ID,
    ACTOR_USERNAME,
    end_to_end,
    request_header_passes,
)
from aibridged.errors import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, GatewayError
from aibridged.pipeline.dump import Dump
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.reading import Reading
from aibridged.pipeline.relay import relay
from aibridged.pipeline.request import GatewayRequest, Handler
from aibridged.relayed import BrokenOffError

_ONE_PIECE_BYTES = 1024 * 1024

_NOTHING_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
)


def handler(parts: Parts) -> Handler:
    sessions, dumper, monotonic = parts.sessions, parts.dumper, parts.clock.monotonic
    send_actor = parts.settings.send_actor_headers
    idle_timeout = parts.settings.upstream_idle_timeout

    async def forward(request: GatewayRequest) -> web.StreamResponse:
        route = request.route
        headers = upstream_headers(request, send_actor=send_actor)
        url = route.provider.url(route.path, request.raw_query)
        dump = dumper.begin(request, url, headers) if dumper is not None else None
        try:
            request.sent_at = monotonic()
            upstream = await ask(request, sessions[route.provider.name], url, headers, idle_timeout)
            request.answered_at, request.upstream_status = monotonic(), upstream.status
            try:
                return await answer(request, upstream, dump, parts)
            finally:
                # Gives up the connection unless the answer has been read to its end.
                upstream.close()
        finally:
            if dump is not None:
                await dump.finish()

    return forward


async def ask(
    request: GatewayRequest,
    session: aiohttp.ClientSession,
    url: URL,
    headers: CIMultiDict[str],
    idle_timeout: float,
) -> aiohttp.ClientResponse:
    """Send the request and wait for the answer's head, or GatewayError: there came none.

    A POST is never sent twice.
    """
    name, interception = request.route.provider.name, request.interception
    if interception is not None:
        interception.awaits_answer = True
    reason: Exception
    try:
        async with asyncio.timeout(idle_timeout):
            return await session.request(
                request.method,
                url,
                headers=headers,
                data=_payload(request),
                allow_redirects=False,
            )
    except _NOTHING_SENT as error:
        failure, reason = UPSTREAM_UNREACHABLE, error
        if interception is not None:
            interception.awaits_answer = False
    except TimeoutError as error:
        failure, reason = UPSTREAM_TIMEOUT, error
    except (aiohttp.ClientError, OSError) as error:
        failure, reason = UPSTREAM_UNREACHABLE, error
    # Not the error's own text: it may quote a header of the provider's.
    logger.warning("Provider {} gave no answer: {}", name, type(reason).__name__)
    if request.verdict is not None:
        request.verdict.failure()
    sentence = failure.sentence.replace("The provider", f"The provider {name}", 1)
    raise GatewayError(failure, sentence)


def _payload(request: GatewayRequest) -> bytes | io.BytesIO | None:
    """The body as aiohttp wants it: a large one in pieces, so that it doesn't hold up the loop."""
    body = request.body
    return (io.BytesIO(body) if len(body) > _ONE_PIECE_BYTES else body) or None


async def answer(
    request: GatewayRequest, upstream: aiohttp.ClientResponse, dump: Dump | None, parts: Parts
) -> web.StreamResponse:
    """Relay the answer as it comes; see `relay` for what is raised."""
    readers = []
    reading = None
    if (api := request.route.api) is not None:
        reading = request.reading = Reading(request, api, upstream, parts.clock)
        readers.append(reading.feed)
    if dump is not None:
        dump.response(upstream)
        readers.append(dump.feed)
    try:
        response = await relay(request, upstream, readers, parts.settings.upstream_idle_timeout)
    except BrokenOffError as error:
        name = request.route.provider.name
        logger.warning("Provider {} broke off in the middle of an answer: {}", name, error)
        raise
    if reading is not None:
        reading.complete = True
    return response


def upstream_headers(request: GatewayRequest, *, send_actor: bool) -> CIMultiDict[str]:
    """What the caller sent, end to end, with the credential that goes on."""
    kept = end_to_end(request.headers, request_header_passes)
    if request.recoded:
        kept = [(name, value) for name, value in kept if name.lower() != "content-encoding"]
    kept.append(("Accept-Encoding", "identity"))
    credential = request.credential
    if credential.header is not None and credential.value is not None:
        kept.append((credential.header, credential.value))
    if send_actor:
        kept.append((ACTOR_ID, request.actor.id))
        kept.append((ACTOR_USERNAME, request.actor.username))
    return CIMultiDict(kept)
