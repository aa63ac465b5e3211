"""Requests that run now: a table that follows them, and how one is ended."""

from collections.abc import Mapping
from typing import Any

from aibridged.api.routes import Events
from aibridged.ui.page import Html, Page, Redirect, Visit
from aibridged.ui.views.forms import tried
from aibridged.ui.views.lists import in_path

SHOWN = "200"
"""Requests on the page as it is loaded."""
_FILTERS = ("user", "model")
_NEWEST, _OLDEST = "newest", "oldest"
_STATES = {
    "receiving": "sends its prompt",
    "admission": "is being admitted",
    "provider": "waits for the provider",
    "streaming": "gets its response",
    "tool": "waits for a tool",
}


async def live(visit: Visit) -> Html:
    """The requests that run, the newest first."""
    return await _live(visit)


async def end(visit: Visit) -> Html | Redirect:
    """End one, and come back to the list."""

    async def make() -> Redirect:
        id = visit.form.get("id", "") or "-"
        ended = await visit.ask(f"/live/{in_path(id)}/end", "POST")
        return Redirect("/live", f"The request {ended['id']} is ended.")

    async def again(error: str) -> Html:
        return await _live(visit, error)

    return await tried(make, again)


async def events(visit: Visit) -> Events:
    """What changes, as the page's script reads it."""
    found: Events = await visit.ask("/live/events")
    return found


async def _live(visit: Visit, error: str = "") -> Html:
    chosen = {name: visit.query.get(name, "").strip() for name in _FILTERS}
    order = _OLDEST if visit.query.get("order") == _OLDEST else _NEWEST
    asked = {name: value for name, value in chosen.items() if value}
    found: Mapping[str, Any] = await visit.ask(
        "/live", "GET", None, limit=SHOWN, order=order, **asked
    )
    values = {
        "found": found,
        "chosen": chosen,
        "order": order,
        "is_filtered": bool(asked),
        "states": _STATES,
        "error": error,
    }
    return Html("live/live.html", values, 400 if error else 200)


PAGES = (
    Page("/live", "Live", live, nav="Live", key="l", post=end),
    Page("/live/events", "Live", events),
)
