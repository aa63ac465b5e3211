"""The overview: what was used over time, how that compares, budgets, and what is wrong now."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aibridged.counted import noun
from aibridged.errors import GatewayError
from aibridged.ui import svg
from aibridged.ui.formats import moment, money, percent
from aibridged.ui.page import Html, Page, Visit
from aibridged.ui.views.lists import terms
from aibridged.ui.views.overview_charts import charts, legend, look_of, sparks, tokens_of

BUDGETS_SHOWN = 10
PERIODS = {"day": "24 hours", "week": "7 days", "month": "30 days"}
DIMENSIONS = {
    "model": "model",
    "provider": "provider",
    "group": "group",
    "user": "person",
    "client": "client",
}
_FILTERS = {
    "model": "model",
    "provider": "provider",
    "client": "client",
    "person": "initiator",
    "group": "group",
}
"""Fields of the form, and the API's filters."""
_FIELDS = {**{by: by for by in DIMENSIONS}, "user": "person"}
"""The field that chooses a value of a dimension."""
_TIMES = ("from", "to")
_OF_PEOPLE = ("group", "user")
_NEXT = {"group": "user"}
"""What a value of a dimension is split by, once it is chosen."""


_MINUS = "\N{MINUS SIGN}"


class Choice(NamedTuple):
    """A link that changes one thing about the view."""

    name: str
    path: str
    is_chosen: bool


async def overview(visit: Visit) -> Html:
    """The page."""
    given = _given(visit.query)
    values: dict[str, Any] = {
        "fields": {name: given.get(name, "") for name in ("period", "by", *_FILTERS, *_TIMES)},
        "error": "",
        "found": None,
        "periods": _periods(given),
        "dimensions": _dimensions(given, visit.actor.is_admin),
    }
    asked = [
        visit.ask("/budgets", sort="share", limit=str(BUDGETS_SHOWN)),
        _problems(visit),
        _found(visit, given),
    ]
    budgets, problems, found = await asyncio.gather(*asked)
    values["budgets"] = [each for each in budgets["budgets"] if each["share"] is not None]
    values["shares"] = [
        svg.share(each["share"], _said(each), is_limit=True) for each in values["budgets"]
    ]
    values["problems"] = problems
    if isinstance(found, str):
        return Html("overview/overview.html", {**values, "error": found}, 400)
    values |= {"found": found, "patterns": svg.patterns(), "legend": legend()}
    values |= _shown(found, given)
    return Html("overview/overview.html", values)


def _said(budget: Mapping[str, Any]) -> str:
    return f"{percent(budget['share'])} of {money(budget['amount'])} {budget['period']}"


async def _problems(visit: Visit) -> Mapping[str, Any]:
    if not visit.actor.is_admin:
        return {"problems": [], "left_out": 0}
    found: Mapping[str, Any] = await visit.ask("/overview/problems")
    return found


async def _found(visit: Visit, given: Mapping[str, str]) -> Any:
    """The overview, or what is wrong about what was asked for."""
    try:
        asked = {"by": given.get("by") or "model", "q": _terms(given)}
        if "from" not in given:
            asked["period"] = given.get("period") or "day"
        return await visit.ask("/overview", "GET", None, **asked)
    except GatewayError as error:
        if error.kind.status != 400:
            raise
        return error.message


def _given(query: Mapping[str, str]) -> dict[str, str]:
    """What the view is asked for; a time range takes the place of a period."""
    names = ("period", "by", *_FILTERS, *_TIMES)
    found = {name: text for name in names if (text := query.get(name, "").strip())}
    if found.keys() & {*_TIMES}:
        found.pop("period", None)
    return found


def _terms(given: Mapping[str, str]) -> str:
    wanted = {term: given[name] for name, term in _FILTERS.items() if name in given}
    if "from" in given:
        wanted["started_after"] = given["from"]
    if "to" in given:
        wanted["started_before"] = _day_after(given["to"])
    return terms(wanted)


def _day_after(text: str) -> str:
    """A day is meant to its end."""
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text


def _path(given: Mapping[str, str], **changes: str | None) -> str:
    """The view with changes; what is None is left out."""
    wanted = {name: text for name, text in {**given, **changes}.items() if text}
    return f"/?{urlencode(wanted)}" if wanted else "/"


def _periods(given: Mapping[str, str]) -> Sequence[Choice]:
    is_own = bool(given.keys() & {*_TIMES})
    chosen = None if is_own else given.get("period") or "day"
    nothing = dict.fromkeys(_TIMES)
    found = [
        Choice(name, _path(given, **nothing, period=period), period == chosen)
        for period, name in PERIODS.items()
    ]
    return [*found, Choice("Own range", _path(given), True)] if is_own else found


def _dimensions(given: Mapping[str, str], of_all: bool) -> Sequence[Choice]:
    """The dimensions; who sees their own alone needs none of people."""
    chosen = given.get("by") or "model"
    return [
        Choice(name, _path(given, by=by), by == chosen)
        for by, name in DIMENSIONS.items()
        if of_all or by not in _OF_PEOPLE
    ]


def _shown(found: Mapping[str, Any], given: Mapping[str, str]) -> Mapping[str, Any]:
    by = found["by"]
    return {
        "charts": charts(found, DIMENSIONS[by]),
        "rows": [*_rows(found, given)],
        "cards": [*_cards(found)],
        "dimension": DIMENSIONS[by],
        "usual_days": _usual_days(found),
        "before": PERIODS.get(found["period"], "time"),
        "chips": [
            Choice(f"{name}: {text}", _path(given, **{name: None}), True)
            for name, text in given.items()
            if name in _FILTERS or name in _TIMES
        ],
    }


def _rows(found: Mapping[str, Any], given: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """The split: each value with its look in the charts, and where it leads."""
    by = found["by"]
    for number, each in enumerate(found["series"]):
        name = each["name"]
        swatch = svg.swatch(look_of(number, name))
        row = {"name": name, "swatch": swatch, "spark": sparks(each), **each["total"]}
        row["tokens"] = tokens_of(each["total"])
        row["share"] = part = _part(each["total"], found["total"])
        row["bar"] = svg.share(part, percent(part))
        row["path"] = row["sessions"] = None
        if name is not None:
            field = _FIELDS[by]
            row["path"] = _path(given, **{field: name, "by": _NEXT.get(by, by)})
            row["sessions"] = _sessions(found, {**given, field: name})
        yield row


def _sessions(found: Mapping[str, Any], given: Mapping[str, str]) -> str:
    """The sessions behind a row, with the same filters."""
    wanted = {term: given[name] for name, term in _FILTERS.items() if name in given}
    wanted["started_after"] = found["started_after"]
    if found["period"] == "own":
        wanted["started_before"] = found["started_before"]
    return f"/sessions?{urlencode(wanted)}"


def _part(of: Mapping[str, Any], total: Mapping[str, Any]) -> float | None:
    """Of what was spent, or of the requests where nothing was."""
    name = "cost" if float(total["cost"] or 0) else "interceptions"
    whole = float(total[name])
    return min(float(of[name] or 0) / whole, 1.0) if whole else None


class Card(NamedTuple):
    """A figure, and how it compares; `kind` is the filter that shows it."""

    label: str
    kind: str
    value: Any
    before: Any
    change: str
    today: Any
    usual: Any
    today_change: str


def _cards(found: Mapping[str, Any]) -> Iterator[Card]:
    total, before = found["total"], found["before"]
    today = found["today"] or {"figures": None, "usual": None}
    figures, usual = today["figures"], today["usual"]

    def card(label: str, kind: str, of: Any, name: str) -> Card:
        is_share = kind == "percent"
        values = [None if each is None else of(each) for each in (total, before, figures)]
        compared = None if usual is None else usual[name]
        if kind in ("number", "tokens") and compared is not None:
            compared = round(compared)
        change = _points if is_share else _change
        return Card(
            label,
            kind,
            values[0],
            values[1],
            change(values[0], values[1]),
            values[2],
            compared,
            change(values[2], compared),
        )

    yield card("Spend", "money", lambda each: each["cost"] or "0", "cost")
    yield card("Requests", "number", lambda each: each["interceptions"], "interceptions")
    yield card("Tokens", "tokens", tokens_of, "tokens")
    yield card("Failed", "number", lambda each: each["failed"], "failed")
    yield card("Cache hits", "percent", lambda each: each["cached_share"], "cached_share")


def _change(now: Any, before: Any) -> str:
    """How much more or less: `+12%`; "" where there is nothing to compare with."""
    if before is None or not float(before):
        return ""
    part = float(now) / float(before) - 1
    if abs(part) >= 9.995:
        return f"×{part + 1:,.0f}"
    return "±0%" if abs(part) < 0.005 else f"{part:+.0%}".replace("-", _MINUS)


def _points(now: float | None, before: float | None) -> str:
    """The same of shares, in points of a percent."""
    if now is None or before is None:
        return ""
    points = round((now - before) * 100)
    if not points:
        return "±0 points"
    return f"{points:+d} {noun(abs(points), 'point')}".replace("-", _MINUS)


def _usual_days(found: Mapping[str, Any]) -> str:
    """Of which days the usual is: `the last 4 Mondays`."""
    today = found["today"]
    if today is None or today["usual"] is None:
        return ""
    days, at = today["usual"]["days"], moment(today["since"])
    assert at is not None, "it is a time"
    return (
        f"the last {days} {at:%A}s" if today["usual"]["same_weekday"] else f"the last {days} days"
    )


PAGES = (Page("/", "Overview", overview, nav="Overview", key="o"),)
