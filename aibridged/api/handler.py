"""HTTP handler of the API: runs queries, and cancels those whose client has disconnected."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import msgspec
from aiohttp import web
from loguru import logger

from aibridged.api import overview_routes, spend_limits
from aibridged.api.channel import Channel
from aibridged.api.filters import BadFilterError
from aibridged.api.openapi import document
from aibridged.api.query_runner import QueryRunner
from aibridged.api.routes import (
    ROUTES,
    Call,
    Events,
    Question,
    Route,
    check_names,
    find,
    read_query,
    roots,
)
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.rate_limit import RateLimiter
from aibridged.errors import (
    ADMIN_REQUIRED,
    INVALID_REQUEST,
    QUERY_FAILED,
    ROUTE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.identity.base import Actor
from aibridged.identity.looks import Looks
from aibridged.records.cancel_scope import QueryFailedError, QueryTimeoutError
from aibridged.records.cursors import NoSuchPageError
from aibridged.records.id_prefixes import AmbiguousIdError
from aibridged.records.query import Query
from aibridged.records.viewer import LookNotNotedError, Viewer
from aibridged.transport.abort import broken_off
from aibridged.transport.body import small_body
from aibridged.transport.refusal import SERVER

ANSWER_S = 60.0
"""Deadline of a response, from the request to its last byte.

A slow reader doesn't hold its place, or the database's snapshot, any longer.
"""
MAX_BODY = 64 * 1024
READ_TIMEOUT_S = 10.0
"""For a whole body."""

_DOCUMENT = "/openapi.json"
_JSON = "application/json"
_EVENTS = "text/event-stream"
_PAGE = "page"
_NOT_KEPT = {"Cache-Control": "no-store"}
_NOT_NOTED = (
    "Texts of other users aren't shown, because the audit log can't be written at the moment. "
    "Please try again."
)
_encode = msgspec.json.Encoder().encode


class Api:
    """Serves authenticated callers: admins see everything, others their own records.

    `services` are the routes that the running daemon answers. `looks` at the texts of others are
    noted, where `prompt_access` grants them to admins.
    """

    def __init__(
        self,
        query: Query,
        clock: Clock,
        looks: Looks,
        services: Iterable[Route] = (),
        limiter: RateLimiter | None = None,
    ) -> None:
        self.prompt_access = Settings().prompt_access
        self._looks = looks
        self._clock = clock
        self._queries = QueryRunner(query, clock, limiter)
        self._routes: tuple[Route, ...] = (*ROUTES, *overview_routes.ROUTES)
        self._document: bytes | None = None
        self.serve(services)

    @property
    def roots(self) -> frozenset[str]:
        """First segments of the paths that are served here."""
        return roots(self._routes)

    def serve(self, services: Iterable[Route]) -> None:
        """Serve these routes, too."""
        self._routes = (*self._routes, *services)
        self._document = None

    async def __call__(
        self,
        request: web.BaseRequest,
        actor: Actor,
        path: str,
        raw_query: str,
        again: Callable[[], Awaitable[Actor]] | None = None,
    ) -> web.StreamResponse:
        """The response to `path` (`/interceptions`).

        `again` authenticates the caller another time, where the response goes on.

        Raises:
            GatewayError: there is no such resource, or not with this method, it is for admins, the
                parameters or the body are invalid, the caller is over their limits, or the database
                is unavailable.
            BrokenOffError: the database failed in the middle of the response.
        """
        if path == _DOCUMENT and request.method in ("GET", "HEAD"):
            if self._document is None:  # few ask for it, and it takes a while to make
                self._document = _encode(document((*self._routes, *spend_limits.ROUTES)))
            return web.Response(body=self._document, content_type=_JSON)
        try:
            with _refusals():
                return await self._answered(request, actor, path, raw_query, again)
        except GatewayError:
            if request.writer.output_size > 0:  # no client may take it as complete
                raise broken_off(request, "the query failed") from None
            raise

    async def _answered(
        self,
        request: web.BaseRequest,
        actor: Actor,
        path: str,
        raw_query: str,
        again: Callable[[], Awaitable[Actor]] | None,
    ) -> web.StreamResponse:
        route, names = find(request.method, path, self._routes)
        owner, parameters = _owner(route, actor), read_query(raw_query, route)
        if route.serve is not None:
            sent = b""
            if route.body is not None:
                sent = await small_body(request, MAX_BODY, READ_TIMEOUT_S)
            call = Call(actor, owner, names, parameters, _decoded(route, sent))
            answer = await route.serve(call)
            if isinstance(answer, Events):
                return await _follow(request, self._while_same(answer, actor, again))
            return _respond(answer)
        question = Question(actor, owner, names.get("id", ""), parameters)
        async with self._asking(route, question, "api") as channel:
            return await _send(request, channel, route.content_type)

    def _while_same(
        self, answer: Events, actor: Actor, again: Callable[[], Awaitable[Actor]] | None
    ) -> AsyncIterator[bytes]:
        """The events, as long as their reader is who they were, with the same rights."""

        async def is_allowed() -> bool:
            try:
                return again is None or (await again()).is_admin == actor.is_admin
            except GatewayError:
                return False

        return answer.while_allowed(is_allowed, self._clock.monotonic)

    @asynccontextmanager
    async def _asking(self, route: Route, question: Question, by: str) -> AsyncIterator[Channel]:
        make = partial(_answer, route, question, self._viewer(question.actor, by))
        asking = self._queries.ask(question.actor.id, make, for_page=by == _PAGE)
        async with asyncio.timeout(ANSWER_S), asking as channel:
            yield channel

    async def ask(
        self,
        actor: Actor,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """The same within this process, decoded: for the pages, which show nothing else.

        Raises:
            GatewayError: as for a request.
        """
        route, names = find(method, path, self._routes)
        if route.serve is None:
            pieces = [piece async for piece in self.pieces(actor, path, parameters)]
            return msgspec.json.decode(b"".join(pieces))
        with _refusals():
            check_names(parameters, route)
            sent = _decoded(route, b"" if body is None else _encode(body))
            answer = await route.serve(Call(actor, _owner(route, actor), names, parameters, sent))
        return answer if isinstance(answer, Events) else msgspec.to_builtins(answer)

    async def pieces(
        self, actor: Actor, path: str, parameters: Mapping[str, str]
    ) -> AsyncIterator[bytes]:
        """The bytes of the answer to a query, as they are made; the errors are those of `ask`."""
        with _refusals():
            route, names = find("GET", path, self._routes)
            check_names(parameters, route)
            question = Question(actor, _owner(route, actor), names.get("id", ""), dict(parameters))
            async with self._asking(route, question, _PAGE) as channel:
                if (piece := await channel.read()) is None:
                    raise _no_such()
                while piece is not None:
                    yield piece
                    piece = await channel.read()

    def close(self) -> None:
        """Refuse new queries."""
        self._queries.close()

    def _viewer(self, actor: Actor, by: str) -> Viewer:
        if not actor.is_admin or self.prompt_access != "admins":
            return Viewer(actor.id)
        return Viewer(actor.id, partial(self._looks.note, actor.username, by))


def _owner(route: Route, actor: Actor) -> str | None:
    """The only initiator whose rows the caller may see, None for all."""
    if route.for_admins and not actor.is_admin:
        raise GatewayError(ADMIN_REQUIRED)
    return None if actor.is_admin else actor.id


def _decoded(route: Route, body: bytes) -> Any:
    if route.body is None:
        return None
    try:
        return msgspec.json.decode(body, type=route.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError(INVALID_REQUEST, f"The body is not what is expected: {error}.") from None


def _answer(route: Route, question: Question, viewer: Viewer, query: Query) -> Generator[bytes]:
    assert route.answer is not None, "it is no service"
    return route.answer(query.seen_by(viewer), question)


def _no_such() -> GatewayError:
    return GatewayError(ROUTE_NOT_SUPPORTED, "No such record, or it is owned by another user.")


def _respond(answer: Any) -> web.Response:
    """The response of the running daemon, which may have a secret in it."""
    if answer is None:
        return web.Response(status=204, headers=_NOT_KEPT)
    return web.Response(body=_encode(answer), content_type=_JSON, headers=_NOT_KEPT)


async def _follow(request: web.BaseRequest, events: AsyncIterator[bytes]) -> web.StreamResponse:
    headers = {**_NOT_KEPT, "Content-Type": _EVENTS, "Server": SERVER}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    # One that is not begun can't be ended: it would be kept for who never reads.
    async for piece in events:
        if request.method == "HEAD":
            return response
        await response.write(piece)
    await response.write_eof()
    return response


async def _send(
    request: web.BaseRequest, channel: Channel, content_type: str
) -> web.StreamResponse:
    """Send the response: with a length if it is small, else in chunks as they are made."""
    piece, following = await channel.read(), None
    if piece is None:
        raise _no_such()
    following = await channel.read()
    if following is None:
        return web.Response(body=piece, headers={"Content-Type": content_type})
    response = web.StreamResponse(headers={"Content-Type": content_type, "Server": SERVER})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(piece)
    while following is not None:
        await response.write(following)
        following = await channel.read()
    await response.write_eof()
    return response


@contextmanager
def _refusals() -> Iterator[None]:
    """GatewayErrors in place of what goes wrong with a question and its answer."""
    try:
        yield
    except (BadFilterError, NoSuchPageError, AmbiguousIdError) as error:
        raise GatewayError(INVALID_REQUEST, str(error)) from None
    except QueryTimeoutError as error:
        raise GatewayError(QUERY_FAILED, str(error)) from None
    except QueryFailedError as error:
        # The reason may name servers and accounts, which only the operator may see.
        logger.error("A query of the records failed: {}", error)
        message = _NOT_NOTED if isinstance(error, LookNotNotedError) else None
        raise GatewayError(QUERY_FAILED, message, retry_after=1) from None
    except TimeoutError:
        raise GatewayError(QUERY_FAILED, retry_after=1) from None
