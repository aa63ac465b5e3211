"""Budgets: limits with what is used of them; administrators set and remove them, by forms."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation, Overflow
from typing import Any

from aibridged.api.spend_limit_shapes import ID_FIELDS
from aibridged.api.spend_limits import ROOT
from aibridged.errors import GatewayError
from aibridged.ui import svg
from aibridged.ui.formats import money, percent
from aibridged.ui.page import Html, Page, Redirect, Visit
from aibridged.ui.views.lists import in_path

SCOPES = {
    "organization": "Everybody, each for themselves",
    "rbac_group": "Members of a group, each for themselves",
    "group_pool": "A group together",
    "user": "A person",
    "token": "A token",
}
"""What a limit can be for, in the words of the Admin API and of the form."""
PERIODS = ("daily", "weekly", "monthly")

_ID_FIELDS = {str(scope): name for scope, name in ID_FIELDS.items()}
_PAGE = 100
_MAX_NAME = 256
_BESIDE_THE_FORM = frozenset({400, 404})
"""Statuses of refusals that are shown with the form."""
_CENTS = Decimal(100)


async def budgets(visit: Visit) -> Html:
    """The list, those nearest to their caps first; a person's is what counts for them."""
    return await _page(visit)


async def change(visit: Visit) -> Html | Redirect:
    """Set a limit, or remove one."""
    form, do = visit.form, visit.form.get("do", "")
    try:
        if do == "remove":
            await visit.ask(f"{ROOT}/{in_path(form.get('id', '') or '-')}", "DELETE")
            return Redirect("/budgets", "The limit is removed.")
        if do == "set":
            return await _set(visit)
    except GatewayError as error:
        if error.kind.status not in _BESIDE_THE_FORM:
            raise
        return await _page(visit, error.message)
    return await _page(visit, "Nothing was to be done.")


async def _set(visit: Visit) -> Html | Redirect:
    scope, period = visit.form.get("scope", ""), visit.form.get("period", "")
    amount, name = visit.form.get("amount", "").strip(), visit.form.get("name", "").strip()
    try:
        cents = None if visit.form.get("unlimited") else _cents(amount)
    except ValueError as error:
        return await _page(visit, str(error))
    wanted = {"type": scope}
    if (field := _ID_FIELDS.get(scope)) is not None:
        found = await visit.ask("/budgets/scope", scope=scope, name=name)
        wanted[field] = found["scope_id"]
    await visit.ask(ROOT, "POST", {"scope": wanted, "amount": cents, "period": period})
    whose = visit.form.get("whose", "").strip()[:_MAX_NAME] or name or "everybody"
    shown = "unlimited" if cents is None else money(str(Decimal(cents) / _CENTS))
    return Redirect("/budgets", f"The {period} limit of {whose} is {shown} now.")


def _cents(text: str) -> str:
    """Whole cents of an amount in dollars, as text.

    Raises:
        ValueError: it isn't one.
    """
    try:
        amount = Decimal(text.removeprefix("$").replace(",", "")) * _CENTS
    except (InvalidOperation, Overflow):
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount != amount.to_integral_value():
        raise ValueError("The amount is in dollars and whole cents, such as 20 or 12.50.")
    return f"{amount:.0f}"


async def _page(visit: Visit, error: str = "") -> Html:
    skipped = _skipped(visit.query)
    page = {"sort": "share", "limit": str(_PAGE), "offset": str(skipped)}
    found = await visit.ask("/budgets", "GET", None, **page)
    limits = found["budgets"]
    by_id = {each["id"]: each for each in limits if each["id"]}
    values = {
        "limits": limits,
        "bars": [svg.share(each["share"], _said(each), is_limit=True) for each in limits],
        "count": found["count"],
        "later": skipped + _PAGE if found["more"] else None,
        "earlier": max(0, skipped - _PAGE) if skipped else None,
        "scopes": SCOPES,
        "periods": PERIODS,
        "changed": by_id.get(visit.query.get("change", "")),
        "removed": by_id.get(visit.query.get("remove", "")),
        "form": visit.form,
        "error": error,
    }
    return Html("overview/budgets.html", values, 400 if error else 200)


def _said(limit: Mapping[str, Any]) -> str:
    return f"{percent(limit['share'])} of {money(limit['amount'])} is used"


def _skipped(query: Mapping[str, str]) -> int:
    text = query.get("skip", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0


PAGES = (
    Page(
        "/budgets",
        "Budgets",
        budgets,
        nav="Budgets",
        key="b",
        post=change,
        admin_only_post=True,
    ),
)
