"""HTTP handler of the API: runs queries, and cancels those whose client has disconnected."""

import asyncio
from collections.abc import Generator
from functools import partial

import msgspec
from aiohttp import web
from loguru import logger

from aibridged.api import spend_limits
from aibridged.api.channel import Channel
from aibridged.api.filters import BadFilterError
from aibridged.api.openapi import document
from aibridged.api.query_runner import QueryRunner
from aibridged.api.routes import ROUTES, Question, Route, find, read_query
from aibridged.clock import Clock
from aibridged.errors import (
    ADMIN_REQUIRED,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    QUERY_FAILED,
    ROUTE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.identity.base import Actor
from aibridged.records.cancel_scope import QueryFailedError, QueryTimeoutError
from aibridged.records.id_prefixes import AmbiguousIdError
from aibridged.records.query import NoSuchPageError, Query
from aibridged.transport.abort import broken_off
from aibridged.transport.refusal import SERVER

ANSWER_S = 60.0
"""Deadline of a response, from the request to its last byte.

A slow reader doesn't hold its place, or the database's snapshot, any longer.
"""

_JSON = "application/json"


class Api:
    """Serves `GET` to authenticated callers: admins see everything, others their own records."""

    def __init__(self, query: Query, clock: Clock) -> None:
        self._queries = QueryRunner(query, clock)
        self._document = msgspec.json.encode(document((*ROUTES, *spend_limits.ROUTES)))

    async def __call__(
        self, request: web.BaseRequest, actor: Actor, path: str, raw_query: str
    ) -> web.StreamResponse:
        """The response to `path` (`/interceptions`).

        Raises:
            GatewayError: there is no such resource, it is read-only or for admins, the filter is
                invalid, the caller is over its limits, or the database is unavailable.
            BrokenOffError: the database failed in the middle of the response.
        """
        found = None if path == "/openapi.json" else find(path)
        if request.method not in ("GET", "HEAD"):
            raise GatewayError(METHOD_NOT_ALLOWED, allow="GET, HEAD")
        if found is None:
            return web.Response(body=self._document, content_type=_JSON)
        route, id = found
        if route.for_admins and not actor.is_admin:
            raise GatewayError(ADMIN_REQUIRED)
        owner = None if actor.is_admin else actor.id
        try:
            question = Question(actor, owner, id, read_query(raw_query, route))
            make = partial(_answer, route, question)
            async with asyncio.timeout(ANSWER_S), self._queries.ask(actor.id, make) as channel:
                return await _send(request, channel)
        except (BadFilterError, NoSuchPageError, AmbiguousIdError) as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        except (QueryFailedError, TimeoutError) as error:
            raise _failure(request, error) from None

    def close(self) -> None:
        """Refuse new queries."""
        self._queries.close()


def _answer(route: Route, question: Question, query: Query) -> Generator[bytes]:
    return route.answer(query, question)


async def _send(request: web.BaseRequest, channel: Channel) -> web.StreamResponse:
    """Send the response: with a length if it is small, else in chunks as they are made."""
    piece, following = await channel.read(), None
    if piece is None:
        raise GatewayError(ROUTE_NOT_SUPPORTED, "No such record, or it is owned by another user.")
    following = await channel.read()
    if following is None:
        return web.Response(body=piece, content_type=_JSON)
    response = web.StreamResponse(headers={"Content-Type": _JSON, "Server": SERVER})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(piece)
    while following is not None:
        await response.write(following)
        following = await channel.read()
    await response.write_eof()
    return response


def _failure(request: web.BaseRequest, error: QueryFailedError | TimeoutError) -> Exception:
    """The error to raise; a response under way is aborted, so no client takes it as complete."""
    if isinstance(error, QueryFailedError) and not isinstance(error, QueryTimeoutError):
        # The reason may name servers and accounts, which only the operator may see.
        logger.error("A query of the records failed: {}", error)
    if request.writer.output_size > 0:
        return broken_off(request, "the query failed")
    if isinstance(error, QueryTimeoutError):
        return GatewayError(QUERY_FAILED, str(error))
    return GatewayError(QUERY_FAILED, retry_after=1)
