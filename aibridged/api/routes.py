"""Table of API routes: their parameters, and the queries behind them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from aibridged.api import json_stream, session_shapes, session_stream, shapes
from aibridged.api.filters import (
    AUDIT_TERMS,
    INTERCEPTION_TERMS,
    MAX_CHARACTERS,
    MAX_OFFSET,
    MAX_ROW,
    SESSION_TERMS,
    USAGE_TERMS,
    BadFilterError,
    read_audit_filter,
    read_characters,
    read_filter,
    read_limit,
    read_names,
    read_usage,
    said_of,
)
from aibridged.api.openapi import Parameter
from aibridged.api.session_interceptions import SessionInterceptions
from aibridged.errors import METHOD_NOT_ALLOWED, ROUTE_NOT_SUPPORTED, GatewayError
from aibridged.identity.base import Actor
from aibridged.records.names import MAX_NAMES
from aibridged.records.query import MAX_LIMIT, Query
from aibridged.records.query_results import USAGE_NUMBERS, Filter, UsageBy

STILL_ALLOWED_S = 30.0
"""How often it is asked whether who reads events is still allowed to."""

_THREADS = 50
_MAX_THREADS = 200


class Question(msgspec.Struct, frozen=True):
    """A parsed request: `owner` is the only initiator whose rows may be shown, None for all."""

    actor: Actor
    owner: str | None
    id: str
    parameters: dict[str, str]

    def filter(self, known: Mapping[str, str]) -> Filter:
        return read_filter(self.parameters, self.actor.id, self.owner, known)


class Call(msgspec.Struct, frozen=True):
    """A parsed request to the running daemon: `names` are those in the path.

    `body` is that of a change, decoded; `owner` is as in a `Question`.
    """

    actor: Actor
    owner: str | None
    names: Mapping[str, str]
    parameters: Mapping[str, str]
    body: Any = None

    @property
    def id(self) -> str:
        return self.names["id"]


class Events:
    """An answer that goes on: server-sent events, as they are to be written."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self.events = events

    async def while_allowed(
        self, is_allowed: Callable[[], Awaitable[bool]], monotonic: Callable[[], float]
    ) -> AsyncIterator[bytes]:
        """The events, until their reader may not have them any more, as is asked now and then."""
        asked = monotonic()
        async for event in self.events:
            yield event
            if monotonic() - asked >= STILL_ALLOWED_S:
                asked = monotonic()
                if not await is_allowed():
                    return


class Route(msgspec.Struct, frozen=True):
    """A path below the prefix, with names in braces for single segments.

    Queries have an `answer`, which generates the JSON chunk by chunk, or nothing where there is no
    such item; it blocks. What the running daemon answers has `serve`, on the event loop: it returns
    what is encoded as JSON, None for no content, or `Events`. `shape` is the JSON's type, and
    `body` that of a request's. Where it is `for_admins`, others get 403.
    """

    path: str
    summary: str
    answer: Callable[[Query, Question], Generator[bytes]] | None
    shape: Any
    parameters: tuple[Parameter, ...] = ()
    for_admins: bool = False
    method: str = "get"
    body: Any = None
    at_root: bool = False
    serve: Callable[[Call], Awaitable[Any]] | None = None
    content_type: str = "application/json"


def find(method: str, path: str, routes: Iterable[Route]) -> tuple[Route, Mapping[str, str]]:
    """The route of a request, and the names in its path. A path without names comes first.

    Raises:
        GatewayError: there is no such path, or not with this method.
    """
    segments = path.split("/")
    there = [
        (len(names), route, names)
        for route in routes
        if (names := names_in(route.path.split("/"), segments)) is not None
    ]
    if not there:
        raise GatewayError(ROUTE_NOT_SUPPORTED)
    least = min(count for count, _, _ in there)
    fitting = [(route, names) for count, route, names in there if count == least]
    wanted = "get" if method == "HEAD" else method.lower()
    for route, names in fitting:
        if route.method == wanted:
            return route, names
    methods = {route.method.upper() for route, _ in fitting}
    allowed = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    raise GatewayError(METHOD_NOT_ALLOWED, f"Use {allowed} for this path.", allow=allowed)


def names_in(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """What the names in a pattern stand for; None where the path doesn't fit it."""
    if len(pattern) != len(segments):
        return None
    names = {}
    for part, segment in zip(pattern, segments, strict=True):
        if part.startswith("{") and segment:
            names[part[1:-1]] = unquote(segment)
        elif part != segment:
            return None
    return names


def read_query(raw_query: str, route: Route) -> dict[str, str]:
    """Parse the query parameters; those that the route doesn't have are errors."""
    try:
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadFilterError("The query string is not UTF-8.") from None
    check_names((name for name, _ in pairs), route)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadFilterError("A query parameter is given twice.")
    return found


def check_names(names: Iterable[str], route: Route) -> None:
    """BadFilterError: the route has no parameter of such a name."""
    known = [each.name for each in route.parameters if each.where == "query"]
    for name in names:
        if name not in known:
            there_are = f"Available parameters: {', '.join(known)}." if known else "There are none."
            raise BadFilterError(f"{name!r} is not a parameter of this route. {there_are}")


def _interceptions(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.interceptions(query, question.filter(INTERCEPTION_TERMS))


def _interception(query: Query, question: Question) -> json_stream.Chunks:
    characters = read_characters(question.parameters)
    return json_stream.interception(query, question.id, question.owner, characters)


def _sessions(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.sessions(query, question.filter(SESSION_TERMS))


def _usage(query: Query, question: Question) -> json_stream.Chunks:
    by, sort = read_usage(question.parameters)
    return json_stream.usage(query, by, question.filter(USAGE_TERMS), sort)


def _session_threads(query: Query, question: Question) -> json_stream.Chunks:
    given = question.parameters
    after_id, before_id = given.get("after_id") or None, given.get("before_id") or None
    if after_id and before_id:
        raise BadFilterError("after_id and before_id are mutually exclusive: remove one.")
    limit = read_limit(given, _THREADS, _MAX_THREADS)
    return session_stream.session(
        query,
        question.id,
        question.owner,
        after_id=after_id,
        before_id=before_id,
        limit=limit,
    )


def _session_interceptions(query: Query, question: Question) -> json_stream.Chunks:
    after_id = question.parameters.get("after_id") or None
    limit = read_limit(question.parameters)
    characters = read_characters(question.parameters)
    return json_stream.session(query, question.id, question.owner, after_id, limit, characters)


def _audit(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.audit(query, read_audit_filter(question.parameters))


def _models(query: Query, question: Question) -> json_stream.Chunks:
    wanted = read_names(question.parameters, "model")
    return json_stream.names(query.models(wanted, question.owner))


def _clients(query: Query, question: Question) -> json_stream.Chunks:
    wanted = read_names(question.parameters, "client")
    return json_stream.names(query.clients(wanted, question.owner))


def _initiators(query: Query, question: Question) -> json_stream.Chunks:
    wanted = read_names(question.parameters, "initiator")
    return json_stream.names(query.initiators(wanted, question.owner))


def _find(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.found(query, question.parameters.get("id", ""), question.owner)


def _providers(query: Query, question: Question) -> json_stream.Chunks:
    wanted = read_names(question.parameters, "provider")
    return json_stream.names(query.providers(wanted, question.owner))


def _terms(known: Mapping[str, str]) -> Parameter:
    return Parameter("q", said_of(known))


LIMIT = Parameter(
    "limit",
    "Maximum page size, 0 for 100; a page with large items ends earlier and indicates that there is"
    " more.",
    minimum=0,
    maximum=MAX_LIMIT,
)
_BY = Parameter(
    "by", f"Dimensions, separated by commas, {UsageBy.USER} by default: {', '.join(UsageBy)}."
)
_SORT = Parameter(
    "sort",
    "A dimension, whose first name or last time is on top, or a number, the greatest on top:"
    f" {', '.join(USAGE_NUMBERS)}.",
)
AFTER = Parameter(
    "after_id", "Cursor of the next page: the id of the last interception on this one."
)
_TEXT_LIMIT = Parameter(
    "text_limit",
    "Characters of each text, 0 for all; longer ones are truncated.",
    minimum=0,
    maximum=MAX_CHARACTERS,
)
_AFTER_ROW = Parameter(
    "after_id",
    "Cursor of the next page: the id of the last row on this one.",
    minimum=0,
    maximum=MAX_ROW,
)
_AFTER_SESSION = Parameter(
    "after_session_id",
    "Cursor of the next page: the id of the last session on this one. Where users share an id, it"
    " is the session used longest ago.",
)
_SEARCH_CURSOR = Parameter(
    "search_cursor",
    "Cursor of the next page, where text, tool, error, min_cost or group is searched for: that of"
    " this page.",
)
_THREAD_LIMIT = Parameter(
    "limit", f"Maximum number of threads, 0 for {_THREADS}.", minimum=0, maximum=_MAX_THREADS
)
_AFTER_THREAD = Parameter(
    "after_id", "Cursor of the next page: the id of the last thread on this one."
)
_BEFORE_THREAD = Parameter(
    "before_id",
    "Cursor of the page before: the id of the first thread on this one; mutually exclusive with"
    " after_id.",
)
_OFFSET = Parameter(
    "offset",
    "Number of items to skip; mutually exclusive with a cursor.",
    minimum=0,
    maximum=MAX_OFFSET,
)
_NAME_LIMIT = Parameter(
    "limit", "Maximum number of names, 0 for all of them.", minimum=0, maximum=MAX_NAMES
)
ID = Parameter("id", "An id from a list, or its first characters, at least 8.", where="path")

ROUTES = (
    Route(
        "/interceptions",
        "List interceptions, newest first, with truncated texts",
        _interceptions,
        shapes.Interceptions,
        (_terms(INTERCEPTION_TERMS), LIMIT, AFTER, _SEARCH_CURSOR, _OFFSET),
    ),
    Route(
        "/interceptions/{id}",
        "Get an interception with all its records",
        _interception,
        shapes.Interception,
        (ID, _TEXT_LIMIT),
    ),
    Route(
        "/sessions",
        "List sessions, most recently used first",
        _sessions,
        shapes.Sessions,
        (_terms(SESSION_TERMS), LIMIT, _AFTER_SESSION, _SEARCH_CURSOR, _OFFSET),
    ),
    Route(
        "/sessions/{id}",
        "Get a session: its threads with their agentic actions",
        _session_threads,
        session_shapes.SessionThreads,
        (ID, _THREAD_LIMIT, _AFTER_THREAD, _BEFORE_THREAD),
    ),
    Route(
        "/sessions/{id}/interceptions",
        "Get a session's interceptions with all their records, thread by thread",
        _session_interceptions,
        SessionInterceptions,
        (ID, LIMIT, AFTER, _TEXT_LIMIT),
    ),
    Route(
        "/usage",
        "Sum up usage and costs by user, model, day and more, those with the most tokens first",
        _usage,
        shapes.Usages,
        (_BY, _SORT, _terms(USAGE_TERMS), LIMIT),
    ),
    Route(
        "/audit",
        "List what administrators and commands changed, newest first; for administrators",
        _audit,
        shapes.Audit,
        (_terms(AUDIT_TERMS), LIMIT, _AFTER_ROW),
        for_admins=True,
    ),
    Route(
        "/find",
        "Find what an id is: a session or an interception",
        _find,
        shapes.Found,
        (Parameter("id", ID.description),),
    ),
    *(
        Route(
            f"/{names}",
            f"List the {names} in use, at most {MAX_NAMES}",
            answer,
            list[str],
            (
                Parameter("q", f"The beginning of a name, with or without {names[:-1]}: before."),
                _NAME_LIMIT,
                _OFFSET,
            ),
        )
        for names, answer in (
            ("models", _models),
            ("clients", _clients),
            ("providers", _providers),
            ("initiators", _initiators),
        )
    ),
)


def roots(routes: Iterable[Route]) -> frozenset[str]:
    """First segments of the paths of routes, and of the document that describes them."""
    return frozenset({route.path.split("/")[1] for route in routes} | {"openapi.json"})
