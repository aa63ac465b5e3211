"""The routes, their answers, and who may see what."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import web
from loguru import logger

from aibridged.api import shapes
from aibridged.api.filters import MAX_OFFSET, TERMS, BadFilterError, read_filter, read_limit
from aibridged.api.openapi import Parameter, document
from aibridged.errors import (
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    QUERY_FAILED,
    ROUTE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.identity.base import Actor
from aibridged.records.answers import Filter
from aibridged.records.query import (
    MAX_LIMIT,
    NoSuchPageError,
    Query,
    QueryFailedError,
    TookTooLongError,
)

ROOTS = frozenset({"interceptions", "sessions", "models", "clients", "openapi.json"})
"""The first segments of the paths that are served here."""

# Reads are rare; what they may take from the machine is bounded, and no other work waits for them.
_THREADS = 2
_MOST_AT_ONCE = 32
_JSON = "application/json"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, read: `owner` is the only initiator whose rows may be shown, None for all."""

    actor: Actor
    owner: str | None
    id: str
    parameters: dict[str, str]

    @property
    def filter(self) -> Filter:
        return read_filter(self.parameters, self.actor.id, self.owner)


@dataclass(frozen=True, slots=True)
class Route:
    """A path below the prefix, `{id}` standing for one segment; `answer` blocks.

    `shape` is the type of the answer, which is None where there is nothing.
    """

    path: str
    summary: str
    answer: Callable[[Query, _Question], Any]
    shape: Any
    parameters: tuple[Parameter, ...] = ()


class Api:
    """Answers `GET` for authenticated callers: admins see all, others their own."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="query")
        self._asked = 0
        self._document = _encode(document(ROUTES))

    async def __call__(
        self, request: web.BaseRequest, actor: Actor, path: str, raw_query: str
    ) -> web.Response:
        """The answer to `path` (`/interceptions`).

        Raises:
            GatewayError: nothing is there, it can't be written to, the filter is wrong, or the
                database doesn't answer.
        """
        found = None if path == "/openapi.json" else _find(path)
        if request.method not in ("GET", "HEAD"):
            raise GatewayError(METHOD_NOT_ALLOWED, allow="GET, HEAD")
        if found is None:
            return web.Response(body=self._document, content_type=_JSON)
        route, id = found
        owner = None if actor.is_admin else actor.id
        try:
            question = _Question(actor, owner, id, _read_query(raw_query, route))
            body = await self._ask(route, question)
        except (BadFilterError, NoSuchPageError) as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        except TookTooLongError as error:
            raise GatewayError(QUERY_FAILED, str(error)) from None
        except QueryFailedError as error:
            # The reason may name servers and accounts, which are the operator's business alone.
            logger.error("A question about the record failed: {}", error)
            raise GatewayError(QUERY_FAILED, retry_after=1) from None
        if body is None:
            raise GatewayError(ROUTE_NOT_SUPPORTED, "There is no such record, or it isn't yours.")
        return web.Response(body=body, content_type=_JSON)

    async def _ask(self, route: Route, question: _Question) -> bytes | None:
        """The answer as JSON, made in a thread: it may be large."""
        if self._asked >= _MOST_AT_ONCE:
            raise GatewayError(
                QUERY_FAILED, "Too many questions wait for an answer.", retry_after=1
            )

        def ask() -> bytes | None:
            answer = route.answer(self._query, question)
            return None if answer is None else _encode(answer)

        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        finally:
            self._asked -= 1

    def close(self) -> None:
        """Let running questions end and take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _find(path: str) -> tuple[Route, str]:
    root, _, id = path[1:].partition("/")
    pattern = f"/{root}/{{id}}" if id else f"/{root}"
    for route in ROUTES:
        if route.path == pattern and "/" not in id:
            return route, unquote(id)
    raise GatewayError(ROUTE_NOT_SUPPORTED)


def _read_query(raw_query: str, route: Route) -> dict[str, str]:
    """The query's parameters, each of which the route must have: none is ignored."""
    try:
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadFilterError("The query string is not UTF-8.") from None
    known = [each.name for each in route.parameters if each.where == "query"]
    for name, _ in pairs:
        if name not in known:
            there_are = f"There are: {', '.join(known)}." if known else "There are none."
            raise BadFilterError(f"{name!r} is no parameter of this route. {there_are}")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadFilterError("A parameter stands in the query twice.")
    return found


def _interceptions(query: Query, question: _Question) -> shapes.Interceptions:
    wanted = question.filter
    return shapes.Interceptions(
        count=query.count(wanted),
        results=[shapes.interception(each) for each in query.interceptions(wanted)],
    )


def _interception(query: Query, question: _Question) -> shapes.Interception | None:
    found = query.interception(question.id, question.owner)
    return None if found is None else shapes.interception(found)


def _sessions(query: Query, question: _Question) -> shapes.Sessions:
    wanted = question.filter
    return shapes.Sessions(
        count=query.count_sessions(wanted),
        sessions=[shapes.session(each) for each in query.sessions(wanted)],
    )


def _session(query: Query, question: _Question) -> shapes.SessionThreads | None:
    after_id = question.parameters.get("after_id") or None
    limit = read_limit(question.parameters)
    found = query.session(question.id, question.owner, after_id=after_id, limit=limit)
    # A page after the last one is empty; a session never is.
    return shapes.session_threads(question.id, found) if found or after_id else None


def _models(query: Query, question: _Question) -> list[str]:
    return query.models(question.owner)


def _clients(query: Query, question: _Question) -> list[str]:
    return query.clients(question.owner)


_Q = Parameter(
    "q",
    "Terms name:value, all of which must match. " + " ".join(f"{k}: {v}" for k, v in TERMS.items()),
)
_LIMIT = Parameter("limit", "How many at the most.", minimum=1, maximum=MAX_LIMIT)
_AFTER = Parameter("after_id", "The next page: what is older than the interception of this id.")
_OFFSET = Parameter("offset", "Skip so many; not with after_id.", minimum=0, maximum=MAX_OFFSET)
_SAME_SESSION = Parameter("after_id", "The next page: what comes after this one in the session.")
_ID = Parameter("id", "As a list shows it.", where="path")

ROUTES = (
    Route(
        "/interceptions",
        "The newest first",
        _interceptions,
        shapes.Interceptions,
        (_Q, _LIMIT, _AFTER, _OFFSET),
    ),
    Route(
        "/interceptions/{id}",
        "One, with all that belongs to it",
        _interception,
        shapes.Interception,
        (_ID,),
    ),
    Route("/sessions", "Those used last first", _sessions, shapes.Sessions, (_Q, _LIMIT, _OFFSET)),
    Route(
        "/sessions/{id}",
        "One, thread by thread",
        _session,
        shapes.SessionThreads,
        (_ID, _LIMIT, _SAME_SESSION),
    ),
    Route("/models", "The models that were asked", _models, list[str]),
    Route("/clients", "The clients that asked", _clients, list[str]),
)
