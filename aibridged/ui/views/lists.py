"""What pages with lists share: the API's filter terms, its cursors, and ids in its paths."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from aibridged.ui.page import Visit


def terms(given: Mapping[str, str]) -> str:
    """The API's filter; none of its values can have a quotation mark."""
    return " ".join(f'{name}:"{value.replace(chr(34), "")}"' for name, value in given.items())


def in_path(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def cursor(visit: Visit, name: str = "after_id") -> dict[str, Any]:
    """Where the page of a list begins, as the API has it: behind an item."""
    after = visit.query.get("after", "")
    return {name: after} if after else {}


def pager(visit: Visit, found: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """The queries of the first and the next page; None or empty where there is no need of one."""
    following = ""
    if found["more"]:
        following = urlencode({**asked, "after": found["results"][-1]["id"]})
    return {"first": urlencode(asked) if cursor(visit) else None, "following": following}
