"""A turn of a session as pages show it: what was asked and answered, bounded, and what it used."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aibridged.api.session_export import TEXTS
from aibridged.core.cache_breaks import Cause, Change, Difference, sentence
from aibridged.ui.formats import moment
from aibridged.ui.timeline import Column
from aibridged.ui.views.lists import in_path

SHOWN = 4096
"""Characters of each text, as long as a page has room for them."""
LEAST_SHOWN = 256
PAGE_CHARACTERS = 192 * 1024
"""Of all texts of a page; what comes after them is shown with `LEAST_SHOWN` each."""
ROWS = 40
"""Of each kind in a turn; the others are with the interception."""

_WORDS = {"completed": "ok", "failed": "bad", "interrupted": "bad"}

Found = Mapping[str, Any]


class Text(NamedTuple):
    """A text with how much of it is shown; `whole` is the path of all of it, where that is more."""

    text: str
    most: int
    whole: str
    name: str = ""
    error: str = ""
    where: str = ""


class Turn(NamedTuple):
    """One interception, for a template."""

    found: Found
    id: str
    seconds: float | None
    purpose: str
    look: str
    given: int
    cached: int
    output: int
    share: float | None
    lost: str
    prompts: Sequence[Text]
    thoughts: Sequence[Text]
    calls: Sequence[Text]
    left_out: int
    is_first: bool = False


class Room:
    """What is left of a page for texts."""

    def __init__(self, characters: int = PAGE_CHARACTERS) -> None:
        self._left = characters

    def take(self, wanted: int) -> int:
        """How many characters of a text are shown."""
        granted = min(wanted, SHOWN) if self._left > 0 else min(wanted, LEAST_SHOWN)
        self._left -= granted
        return granted


def turn(found: Found, room: Room, *, is_first: bool = False) -> Turn:
    """The turn of an interception, whose texts take some of the room."""
    usages = found["token_usages"]
    read = sum(each["cache_read_input_tokens"] for each in usages)
    given = read + sum(each["input_tokens"] + each["cache_write_input_tokens"] for each in usages)
    texts = {kind: _texts(found, kind, name, room) for kind, name in TEXTS.items()}
    began, ended = moment(found["started_at"]), moment(found["ended_at"])
    seconds = (ended - began).total_seconds() if ended is not None and began is not None else None
    return Turn(
        found=found,
        id=found["id"],
        seconds=seconds,
        purpose=str(found["metadata"].get("purpose") or ""),
        look=_WORDS.get(found["outcome"] or "", "warn"),
        given=given,
        cached=read,
        output=sum(each["output_tokens"] for each in usages),
        share=read / given if given else None,
        lost=_lost(found.get("cache_break")),
        prompts=texts["user_prompts"],
        thoughts=texts["model_thoughts"],
        calls=texts["tool_usages"],
        left_out=sum(max(0, len(found[kind]) - ROWS) for kind in TEXTS),
        is_first=is_first,
    )


def columns(turns: Iterable[Turn]) -> list[Column]:
    """The turns on the time line."""
    return [
        Column(
            at=str(each.found["started_at"])[:19].replace("T", " "),
            model=each.found["model"],
            seconds=each.seconds,
            cost=None if each.found["cost"] is None else float(each.found["cost"]),
            share=each.share,
            outcome=each.found["outcome"] or "open",
            is_failed=each.found["outcome"] == "failed",
            lost=each.lost,
            begins=each.is_first,
        )
        for each in turns
    ]


def _texts(found: Found, kind: str, name: str, room: Room) -> Sequence[Text]:
    return [_text(found["id"], row, row[name] or "", room) for row in found[kind][:ROWS]]


def _text(id: str, row: Found, text: str, room: Room) -> Text:
    most = room.take(len(text))
    is_more = row["truncated"] or most < len(text)
    path = f"/interceptions/{id}/texts/{in_path(row['id'])}" if is_more else ""
    return Text(
        text,
        most,
        path,
        row.get("tool", ""),
        row.get("invocation_error") or "",
        row.get("server_url") or "",
    )


def _lost(broken: Found | None) -> str:
    if broken is None:
        return ""
    found = broken["difference"]
    difference = None
    if found is not None:
        difference = Difference(**{**found, "change": Change(found["change"])})
    return sentence(Cause(broken["cause"]), broken["seconds"], difference)
