"""Sessions: the list, and one as a story, with its exports."""

import re
from typing import Any
from urllib.parse import urlencode

from aibridged.api.filters import SESSION_TERMS
from aibridged.errors import GatewayError
from aibridged.ui.page import Answer, Download, Html, Page, Redirect, Visit
from aibridged.ui.timeline import timeline
from aibridged.ui.views.lists import cursor, in_path
from aibridged.ui.views.search import Search
from aibridged.ui.views.turns import SHOWN, Room, columns, turn

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_ELSEWHERE = "-"
"""In place of an id that is in the query."""
_LISTED = "50"
_OFFERED = "300"
"""Names in a list to choose from; others can be typed."""
_TURNS = "50"
_BESIDE_THE_FORM = frozenset({400, 404})


async def sessions(visit: Visit) -> Html | Redirect:
    """The list; an id, or its beginning, leads to its page."""
    if id := visit.query.get("id", "").strip():
        return await _by_id(visit, id)
    return await _list(visit)


async def _list(visit: Visit, error: str = "") -> Html:
    search = Search(visit, SESSION_TERMS)
    values = await _listed(visit, search, "/sessions", "sessions", "after_session_id", error)
    return Html("sessions/list.html", values, 400 if values["error"] else 200)


async def _listed(
    visit: Visit, search: Search, at: str, rows: str, after: str, error: str = ""
) -> dict[str, Any]:
    """What the page of a list shows: the API's `rows` at this path, behind its cursor `after`."""
    asked = _cursor(visit, after)
    found: dict[str, Any] = {rows: [], "more": False, "count": 0}
    try:
        found = await visit.ask(at, "GET", None, q=search.q, limit=_LISTED, **asked)
    except GatewayError as refused:
        if refused.kind.status not in _BESIDE_THE_FORM:
            raise
        error = refused.message
    return {
        **search.values(),
        **await _names(visit),
        "at": at,
        rows: found[rows],
        "count": found["count"],
        "is_exact": found.get("count_is_exact", True),
        "first": search.link(at) if asked else "",
        "until": found.get("searched_until"),
        "following": _following(search, at, found, found[rows]),
        "error": error,
        "session_path": session_path,
    }


async def _by_id(visit: Visit, id: str) -> Html | Redirect:
    """The page of the session or interception that has this id, or alone begins so."""
    try:
        found = await visit.ask("/find", id=id)
    except GatewayError as error:
        if error.kind.status not in _BESIDE_THE_FORM:
            raise
        none = "There is no session or request with this id, or it is another person's."
        return await _list(visit, error.message if error.kind.status == 400 else none)
    is_session = found["kind"] == "session"
    return Redirect(session_path(found["id"]) if is_session else f"/interceptions/{found['id']}")


async def session(visit: Visit) -> Html:
    """One session as a story, a page of it."""
    asked = cursor(visit)
    found = await visit.ask(
        f"/sessions/{in_path(_id(visit))}/interceptions",
        "GET",
        None,
        limit=_TURNS,
        text_limit=str(SHOWN),
        **asked,
    )
    id, room = found["id"], Room()
    threads = [
        {
            **thread,
            "turns": [
                turn(each, room, is_first=number == 0)
                for number, each in enumerate(thread["interceptions"])
            ],
        }
        for thread in found["threads"]
    ]
    turns = [each for thread in threads for each in thread["turns"]]
    # On the first page alone: totals of very long sessions take a while.
    head = None if asked else await _head(visit, id)
    at = session_path(id)
    following = session_path(id, after=turns[-1].id) if found["more"] and turns else ""
    return Html(
        "sessions/story.html",
        {
            "title": "Session",
            "id": id,
            "at": at,
            "exports": {
                "Markdown": session_path(id, "/export.md"),
                "JSON": session_path(id, "/export.json"),
            },
            "head": head,
            "threads": threads,
            "turns": turns,
            "chart": timeline(columns(turns)) if len(turns) > 1 else None,
            "longest": max((each.seconds or 0.0 for each in turns), default=0.0),
            "dearest": max((float(each.found["cost"] or 0) for each in turns), default=0.0),
            "first": at if asked else "",
            "following": following,
            "lost": [each for each in turns if each.lost],
        },
    )


async def _head(visit: Visit, id: str) -> Any:
    """The session's totals; None where the list has them not, as of an id with quotes."""
    if '"' in id:
        return None
    found = await visit.ask("/sessions", "GET", None, q=f'session_id:"{id}"', limit="1")
    return found["sessions"][0] if found["sessions"] else None


async def as_json(visit: Visit) -> Download:
    """All of a session, for programs."""
    pieces = visit.pieces(f"/sessions/{in_path(_id(visit))}/export")
    return Download(f"session-{_id(visit)[:36]}.json", "application/json", pieces)


async def as_markdown(visit: Visit) -> Download:
    """All of a session, for people."""
    pieces = visit.pieces(f"/sessions/{in_path(_id(visit))}/markdown")
    return Download(f"session-{_id(visit)[:36]}.md", "text/markdown; charset=utf-8", pieces)


async def interceptions(visit: Visit) -> Html:
    """The list of single requests."""
    values = await _listed(visit, Search(visit), "/interceptions", "results", "after_id")
    room = Room(64 * 1024)
    values["turns"] = [turn(each, room) for each in values["results"]]
    return Html("sessions/interceptions.html", values, 400 if values["error"] else 200)


async def interception(visit: Visit) -> Html:
    """One request with all that is on record of it, long texts cut."""
    found = await visit.ask(f"/interceptions/{in_path(visit.id)}", text_limit=str(SHOWN))
    shown = turn(found, Room())
    return Html(
        "sessions/interception.html",
        {"title": "Interception", "turn": shown, "found": found, "session_path": session_path},
    )


async def text(visit: Visit) -> Answer:
    """One text whole, to save: it is never shown as a page."""
    names = visit.names
    pieces = visit.pieces(f"/interceptions/{in_path(names['id'])}/text", row=names["row"])
    return Download(f"{names['row'][:36]}.txt", "text/plain; charset=utf-8", pieces)


async def _names(visit: Visit) -> dict[str, Any]:
    """Names that the form offers, of what the visitor may see; others than admins see their own."""
    found = {"model": await visit.ask("/models", limit=_OFFERED)}
    if visit.actor.is_admin:
        found["initiator"] = await visit.ask("/initiators", limit=_OFFERED)
    return {"names": found}


def _cursor(visit: Visit, name: str) -> dict[str, Any]:
    """Where the page of a list begins, as the API has it."""
    if search := visit.query.get("search", ""):
        return {"search_cursor": search}
    return cursor(visit, name)


def _following(search: Search, at: str, found: Any, rows: Any) -> str:
    """The path of the next page of a list, if there is one."""
    if (cursor := found.get("search_cursor")) is not None:
        return search.link(at, search=cursor)
    return search.link(at, after=rows[-1]["id"]) if found["more"] and rows else ""


def session_path(id: str, leaf: str = "", **query: str) -> str:
    """The page of a session, whose id its client has chosen: not every one can be in a path."""
    if _PLAIN.fullmatch(id) is None or id == _ELSEWHERE:
        query, id = {"id": id, **query}, _ELSEWHERE
    path = f"/sessions/{id}{leaf}"
    return f"{path}?{urlencode(query)}" if query else path


def _id(visit: Visit) -> str:
    """The session that a page is about."""
    return visit.query.get("id", "") or "-" if visit.id == _ELSEWHERE else visit.id


PAGES = (
    Page("/sessions", "Sessions", sessions, nav="Sessions", key="s"),
    Page("/sessions/{id}", "Session", session),
    Page("/sessions/{id}/export.json", "Session", as_json),
    Page("/sessions/{id}/export.md", "Session", as_markdown),
    Page("/interceptions", "Interceptions", interceptions),
    Page("/interceptions/{id}", "Interception", interception),
    Page("/interceptions/{id}/texts/{row}", "Text", text),
)
