"""The root of the page."""

from aibridged.ui.page import Html, Page, Visit


async def home(visit: Visit) -> Html:
    """What the visitor may see has been used, day by day."""
    found = await visit.ask("/usage", by="day", limit="30")
    return Html("home.html", {"usage": found["usage"], "total": found["total"]})


PAGES = (Page("/", "Usage", home, nav="Usage", key="o"),)
