"""API routes of a session as a whole, of single texts, and of where the prompt cache broke."""

from aibridged.api import session_export
from aibridged.api.filters import read_limit
from aibridged.api.json_stream import Chunks
from aibridged.api.openapi import Parameter
from aibridged.api.routes import AFTER, ID, LIMIT, Question, Route
from aibridged.api.session_interceptions import SessionCache, SessionInterceptions
from aibridged.records.query import Query


def _cache(query: Query, question: Question) -> Chunks:
    after_id = question.parameters.get("after_id") or None
    limit = read_limit(question.parameters)
    return session_export.cache_breaks(query, question.id, question.owner, after_id, limit)


def _export(query: Query, question: Question) -> Chunks:
    return session_export.whole(query, question.id, question.owner)


def _markdown(query: Query, question: Question) -> Chunks:
    return session_export.markdown(query, question.id, question.owner)


def _text(query: Query, question: Question) -> Chunks:
    row = question.parameters.get("row", "")
    return session_export.text(query, question.id, question.owner, row)


_ROW = Parameter("row", "The id of the prompt, tool call or piece of reasoning.")

ROUTES = (
    Route(
        "/sessions/{id}/cache",
        "List where a session lost what its prompts had in the provider's cache, and why",
        _cache,
        SessionCache,
        (ID, LIMIT, AFTER),
    ),
    Route(
        "/sessions/{id}/export",
        "Get a whole session, as its interceptions are on record",
        _export,
        SessionInterceptions,
        (ID,),
    ),
    Route(
        "/sessions/{id}/markdown",
        "Get a whole session as Markdown, for people to read",
        _markdown,
        str,
        (ID,),
        content_type="text/markdown; charset=utf-8",
    ),
    Route(
        "/interceptions/{id}/text",
        "Get one text of an interception's records as it is on record",
        _text,
        str,
        (ID, _ROW),
        content_type="text/plain; charset=utf-8",
    ),
)
