"""What forms of several pages share: lists of names, lifetimes of tokens, and what is refused."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aibridged.counted import noun
from aibridged.errors import GatewayError
from aibridged.ui.page import Html, Redirect, Visit
from aibridged.ui.views.lists import in_path

_BESIDE_THE_FORM = frozenset({400, 404, 409, 429})
"""Statuses of refusals that are shown on the page of the form."""
_DAY = 86_400
_OFFERED = (
    (1, "1 day"),
    (7, "7 days"),
    (30, "30 days"),
    (90, "90 days"),
    (365, "1 year"),
)


class Lifetimes(NamedTuple):
    """What the settings allow, in seconds; `longest` None is unlimited."""

    default: int
    longest: int | None


class Choice(NamedTuple):
    """An entry of a list."""

    value: str
    label: str
    is_chosen: bool


async def tried(
    make: Callable[[], Awaitable[Html | Redirect]], again: Callable[[str], Awaitable[Html]]
) -> Html | Redirect:
    """What `make` returns; where the API refuses it, the page `again` with the reason."""
    try:
        return await make()
    except GatewayError as error:
        if error.kind.status not in _BESIDE_THE_FORM:
            raise
        return await again(error.message)


def usernames(text: str) -> list[str]:
    """The usernames in a field, separated by commas, blanks or lines."""
    return text.replace(",", " ").split()


def groups(text: str) -> list[str]:
    """The groups in a field, one a line: their names may have commas and blanks."""
    return [name for line in text.splitlines() if (name := line.strip())]


def choices_for(tokens: Mapping[str, Any]) -> list[Choice]:
    """The lifetimes to choose from, beside these tokens as the API lists them."""
    return choices(
        Lifetimes(tokens["default_lifetime_seconds"], tokens["longest_lifetime_seconds"])
    )


def choices(lifetimes: Lifetimes) -> list[Choice]:
    """The lifetimes to choose from: usual ones, the longest that is allowed, and the default."""
    offered = {days * _DAY: label for days, label in _OFFERED}
    for seconds in (lifetimes.default, lifetimes.longest):
        if seconds is not None:
            offered.setdefault(seconds, _in_words(seconds))
    longest = lifetimes.longest
    allowed = sorted(each for each in offered if longest is None or each <= longest)
    found = [Choice(str(each), offered[each], each == lifetimes.default) for each in allowed]
    return found if longest is not None else [*found, Choice("0", "without an end", False)]


def new_token(form: Mapping[str, str]) -> dict[str, Any]:
    """The body that creates a token, of a form's fields."""
    return {"name": form.get("name", "").strip(), **renewal(form)}


def renewal(form: Mapping[str, str]) -> dict[str, Any]:
    """The body that renews a token; without a choice, the default lifetime."""
    text = form.get("lifetime", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= 12
    return {"lifetime_seconds": int(text) if is_number else None}


def token_id(visit: Visit) -> str:
    """The id of the token that a form is about, for a path."""
    return in_path(visit.form.get("token", "") or "-")


def _in_words(seconds: int) -> str:
    for size, unit in ((_DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count:,} {noun(count, unit)}"
    return f"{seconds:,} seconds"
