"""Table of API routes: their parameters, and the queries behind them."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from aibridged.api import json_stream, shapes
from aibridged.api.filters import MAX_OFFSET, TERMS, BadFilterError, read_filter, read_limit
from aibridged.api.openapi import Parameter
from aibridged.errors import ROUTE_NOT_SUPPORTED, GatewayError
from aibridged.identity.base import Actor
from aibridged.records.query import MAX_LIMIT, MAX_NAMES, Query
from aibridged.records.query_results import Filter

ROOTS = frozenset({"interceptions", "sessions", "models", "clients", "openapi.json"})
"""First segments of the paths that are served here."""


@dataclass(frozen=True, slots=True)
class Question:
    """A parsed request: `owner` is the only initiator whose rows may be shown, None for all."""

    actor: Actor
    owner: str | None
    id: str
    parameters: dict[str, str]

    @property
    def filter(self) -> Filter:
        return read_filter(self.parameters, self.actor.id, self.owner)


@dataclass(frozen=True, slots=True)
class Route:
    """A path below the prefix, with `{id}` for one segment.

    `answer` generates the JSON chunk by chunk, or nothing where there is no such item; it blocks.
    `shape` is the JSON's type.
    """

    path: str
    summary: str
    answer: Callable[[Query, Question], Generator[bytes]]
    shape: Any
    parameters: tuple[Parameter, ...] = ()


def find(path: str) -> tuple[Route, str]:
    """The route of a path, and the id in it, or "" where it has none."""
    root, _, id = path[1:].partition("/")
    pattern = f"/{root}/{{id}}" if id else f"/{root}"
    for route in ROUTES:
        if route.path == pattern and "/" not in id:
            return route, unquote(id)
    raise GatewayError(ROUTE_NOT_SUPPORTED)


def read_query(raw_query: str, route: Route) -> dict[str, str]:
    """Parse the query parameters; those that the route doesn't have are errors."""
    try:
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadFilterError("The query string is not UTF-8.") from None
    known = [each.name for each in route.parameters if each.where == "query"]
    for name, _ in pairs:
        if name not in known:
            there_are = f"Available parameters: {', '.join(known)}." if known else "There are none."
            raise BadFilterError(f"{name!r} is not a parameter of this route. {there_are}")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadFilterError("A query parameter is given twice.")
    return found


def _interceptions(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.interceptions(query, question.filter)


def _interception(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.interception(query, question.id, question.owner)


def _sessions(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.sessions(query, question.filter)


def _session(query: Query, question: Question) -> json_stream.Chunks:
    after_id = question.parameters.get("after_id") or None
    limit = read_limit(question.parameters)
    return json_stream.session(query, question.id, question.owner, after_id, limit)


def _models(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.names(query.models(question.owner))


def _clients(query: Query, question: Question) -> json_stream.Chunks:
    return json_stream.names(query.clients(question.owner))


_Q = Parameter(
    "q",
    "Filter terms name:value, all of which must match. "
    + " ".join(f"{k}: {v}" for k, v in TERMS.items()),
)
_LIMIT = Parameter(
    "limit",
    "Maximum page size; a page with large items ends earlier and indicates that there is more.",
    minimum=1,
    maximum=MAX_LIMIT,
)
_AFTER = Parameter(
    "after_id", "Cursor of the next page: the id of the last interception on this one."
)
_OFFSET = Parameter(
    "offset",
    "Number of items to skip; mutually exclusive with after_id.",
    minimum=0,
    maximum=MAX_OFFSET,
)
_ID = Parameter("id", "An id from a list.", where="path")

ROUTES = (
    Route(
        "/interceptions",
        "List interceptions, newest first, with truncated texts",
        _interceptions,
        shapes.Interceptions,
        (_Q, _LIMIT, _AFTER, _OFFSET),
    ),
    Route(
        "/interceptions/{id}",
        "Get an interception with all its records",
        _interception,
        shapes.Interception,
        (_ID,),
    ),
    Route(
        "/sessions",
        "List sessions, most recently used first",
        _sessions,
        shapes.Sessions,
        (_Q, _LIMIT, _OFFSET),
    ),
    Route(
        "/sessions/{id}",
        "Get a session, thread by thread",
        _session,
        shapes.SessionThreads,
        (_ID, _LIMIT, _AFTER),
    ),
    Route("/models", f"List the models in use, at most {MAX_NAMES}", _models, list[str]),
    Route("/clients", f"List the clients in use, at most {MAX_NAMES}", _clients, list[str]),
)
