"""Forwarding stage, the end of the pipeline: sends the request upstream and relays the response."""

import re

import aiohttp
from aiohttp import web
from loguru import logger

from aibridged.core.auth import without_tokens
from aibridged.core.headers import (
    ACTOR_ID,
    ACTOR_USERNAME,
    end_to_end,
    request_header_passes,
)
from aibridged.errors import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.dump import Dump
from aibridged.pipeline.response_observer import ResponseObserver
from aibridged.transport.abort import BrokenOffError
from aibridged.transport.read_backlog import Reader
from aibridged.transport.relay import relay
from aibridged.transport.request import GatewayRequest, Handler
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse

_LINE_BREAK = re.compile(r"[\r\n\0]")

_NOTHING_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
)


def handler(components: Components) -> Handler:
    upstreams, dumper, monotonic = (
        components.upstreams,
        components.dumper,
        components.clock.monotonic,
    )
    send_actor = components.settings.send_actor_headers
    idle_timeout = components.settings.upstream_idle_timeout

    async def forward(request: GatewayRequest) -> web.StreamResponse:
        headers = upstream_headers(request, send_actor=send_actor)
        upstream = upstreams[request.route.provider.name]
        dump = dumper.begin(request, upstream, headers) if dumper is not None else None
        try:
            request.sent_at = monotonic()
            reply = await ask(request, upstream, headers, idle_timeout)
            request.answered_at, request.upstream_status = monotonic(), reply.status
            request.let_body_go()
            try:
                return await answer(request, reply, dump, components)
            finally:
                # Gives up the connection unless the answer has been read to its end.
                reply.close()
        finally:
            if dump is not None:
                await dump.finish()

    return forward


async def ask(
    request: GatewayRequest, upstream: Upstream, headers: RawHeaders, idle_timeout: float
) -> UpstreamResponse:
    """Send the request and wait for the answer's head, or GatewayError: there came none.

    A POST is never sent twice.
    """
    name, interception = request.route.provider.name, request.interception
    if interception is not None:
        interception.awaits_answer = True
    reason: Exception
    try:
        return await upstream.ask(
            request.method, request.upstream_target, headers, request.body, idle_timeout
        )
    except GatewayError:  # there is no descriptor left, which is no fault of the provider's
        if interception is not None:
            interception.awaits_answer = False
        raise
    except _NOTHING_SENT as error:
        failure, reason = UPSTREAM_UNREACHABLE, error
        if interception is not None:
            interception.awaits_answer = False
    except TimeoutError as error:
        failure, reason = UPSTREAM_TIMEOUT, error
    except (aiohttp.ClientError, OSError) as error:
        failure, reason = UPSTREAM_UNREACHABLE, error
    # Not the error's own text: it may quote a header of the provider's.
    logger.warning("Provider {} did not respond: {}", name, type(reason).__name__)
    if request.verdict is not None:
        request.verdict.failure()
    sentence = failure.sentence.replace("The provider", f"The provider {name}", 1)
    raise GatewayError(failure, sentence)


async def answer(
    request: GatewayRequest, reply: UpstreamResponse, dump: Dump | None, components: Components
) -> web.StreamResponse:
    """Relay the answer as it comes; see `relay` for what is raised."""
    readers: list[Reader] = []
    reading = None
    if (api := request.route.api) is not None:
        reading = request.reading = ResponseObserver(request, api, reply, components.clock)
        readers.append(reading.feed)
    if dump is not None:
        dump.response(reply)
        readers.append(dump.feed)
    try:
        response = await relay(
            request, reply, readers, components.settings.upstream_idle_timeout, components.turns
        )
    except BrokenOffError as error:
        name = request.route.provider.name
        logger.warning("Provider {} aborted its response: {}", name, error)
        raise
    if reading is not None:
        reading.complete = True
    return response


def upstream_headers(request: GatewayRequest, *, send_actor: bool) -> list[tuple[bytes, bytes]]:
    """What the caller sent, end to end, with the credential that goes on."""
    kept = end_to_end(request.raw_headers, request_header_passes)
    if request.recoded:
        kept = [header for header in kept if header[0].lower() != b"content-encoding"]
    kept = without_tokens(kept, request.presented.token)
    kept.append((b"Accept-Encoding", b"identity"))
    credential = request.credential
    if credential.header is not None and credential.value is not None:
        kept.append(_header(credential.header, credential.value))
    if send_actor:
        kept.append(_header(ACTOR_ID, request.actor.id))
        kept.append(_header(ACTOR_USERNAME, request.actor.username))
    return kept


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    if _LINE_BREAK.search(value) is not None:
        raise ValueError(f"The {name} header contains a line break.")
    return name.encode(), value.encode(errors="surrogateescape")
