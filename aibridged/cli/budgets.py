"""`aibridged budgets`: what people, groups and tokens may spend, and what they have spent."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.cli.cells import printable
from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.confirmation import YesFlag, confirm
from aibridged.cli.database import takes_database
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    Username,
    as_json,
    changing,
    errors_are_told,
    opened,
    show,
    told,
)
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.api.budget_standings import Budget, LimitStanding
    from aibridged.config.options import Settings
    from aibridged.core.budgets import Limit, Scope
    from aibridged.identity.spend_limits import SpendLimitStore

UNLIMITED = "unlimited"
_AMOUNT = re.compile(r"\$?([0-9]{1,10})(?:\.([0-9]{1,2}))?", re.ASCII)
_WHEN = "A running daemon notices within 5 seconds."
_NOUNS = {"rbac_group": "group", "group_pool": "pool"}


def budgets() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="budgets", no_args_is_help=True, help="Limit what people spend, and show it."
    )
    commands: tuple[tuple[str, Callable[..., None]], ...] = (
        ("set", _set),
        ("list", _list),
        ("show", _show),
        ("delete", _delete),
    )
    for name, command in commands:
        group.command(name)(takes_database(command, tells=command in (_set, _delete)))
    return group


def _set(
    settings: "Settings",
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="The limit of this user, over all others.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Each member's own limit in this group.")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="The limit that this group's members share."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN-ID", help="The limit of this token.")
    ] = None,
    organization: Annotated[
        bool, typer.Option("--organization", help="Everybody's own limit.")
    ] = False,
    daily: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Dollars a day: 50, 12.50, 0 to block, or unlimited."),
    ] = None,
    weekly: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Dollars a week, from Monday.")
    ] = None,
    monthly: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Dollars a month.")] = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Set what may be spent in a day, a week or a month (UTC).

    A user's own limit overrides those of their groups, of which the least counts, and these
    override the organisation's; each period counts by itself. What a pool or token may spend is
    checked beside that. A limit that is set again is replaced.
    """
    from aibridged.core.budgets import Period, Scope

    whose: dict[Scope, str | None] = {
        Scope.USER: user,
        Scope.GROUP: group,
        Scope.POOL: pool,
        Scope.TOKEN: token,
        Scope.ORGANIZATION: "" if organization else None,
    }
    given = [(scope, name) for scope, name in whose.items() if name is not None]
    if len(given) != 1:
        raise typer.BadParameter(
            "one of them says whose limit it is" + (", and no other." if given else "."),
            param_hint="--user, --group, --pool, --token, --organization",
        )
    texts = {Period.DAILY: daily, Period.WEEKLY: weekly, Period.MONTHLY: monthly}
    amounts = {
        period: _cents(text, f"--{period}") for period, text in texts.items() if text is not None
    }
    if not amounts:
        raise typer.BadParameter(
            "at least one of them says how much.", param_hint="--daily, --weekly, --monthly"
        )
    [(scope, name)] = given
    with changing(settings):
        store = _store(settings, Access.CHANGE)
        key = store.find(scope, name)
        made = [store.set(key, period, cents) for period, cents in amounts.items()]
    what = ", ".join(f"{_amount(each)} {each.period}" for each in made)
    told(
        [_data(each, name or None) for each in made],
        output,
        f"Set {_whose(scope, name)}: {what}. {_WHEN}",
    )


def _list(
    settings: "Settings",
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List all limits, and what is used of them now. Times are in UTC.

    Of a limit of the organisation or a group, which is each member's own, USED is what the member
    has used who has used most, and PEOPLE for how many it counts.
    """
    from aibridged.api.budget_standings import overview
    from aibridged.clock import SystemClock

    view = chosen(_COLUMNS, wide, columns, output=output)
    with errors_are_told(), _reading(settings) as connection:
        found = overview(connection, SystemClock().wall())
    show(
        found,
        view,
        output,
        nothing="There are no limits: nobody's spending is limited.",
        data=[_standing_data(each) for each in found],
    )


def _show(settings: "Settings", user: Username, output: OutputFlag = Output.TABLE) -> None:
    """Show what a user may spend and has spent, and why. Times are in UTC."""
    from aibridged.api.budget_standings import budgets_of
    from aibridged.clock import SystemClock
    from aibridged.core.budgets import Scope
    from aibridged.identity.spend_scopes import find_scope
    from aibridged.identity.spenders import spenders

    with errors_are_told(), _reading(settings) as connection:
        [person] = spenders(connection, [find_scope(connection, Scope.USER, user).id])
        found = budgets_of(connection, SystemClock().wall(), person)
    if output is Output.JSON:
        data = {
            "user_id": person.id,
            "username": person.username or None,
            "groups": [group.name for group in person.groups],
            "budgets": [_budget_data(each) for each in found],
        }
        typer.echo(as_json(data))
        return
    groups = ", ".join(printable(group.name) for group in person.groups)
    say(f"{user} is in {groups}." if groups else f"{user} is in no group.")
    typer.echo(chosen(_BUDGET_COLUMNS).table(found))
    for line in _why(found):
        say(line)


def _delete(
    settings: "Settings",
    limit: Annotated[
        str,
        typer.Argument(
            metavar="LIMIT-ID", help="An id from `budgets list`: spl_…, or its beginning."
        ),
    ],
    yes: YesFlag = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Delete a limit."""
    with changing(settings):
        store = _store(settings, Access.CHANGE)
        found, name = store.one(limit)
        what = f"the limit of {_whose(found.scope, name or found.scope_id)}"
        confirm(f"Delete {what} ({_amount(found)} {found.period})?", yes=yes)
        gone = store.delete(found.id)
    told(_data(gone, name), output, f"Deleted {what}: {_amount(gone)} {gone.period}. {_WHEN}")


def _cents(text: str, flag: str) -> int | None:
    """The cents of an amount; None for an unlimited one."""
    if text.strip().lower() == UNLIMITED:
        return None
    match = _AMOUNT.fullmatch(text.strip().replace(",", ""))
    if match is None:
        raise typer.BadParameter(
            f"{printable(text)!r} is not an amount of dollars with at most two decimals, like 50 "
            f"or 12.50, 0 to block, or {UNLIMITED}.",
            param_hint=flag,
        )
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def _store(settings: "Settings", access: Access) -> "SpendLimitStore":
    from aibridged.clock import SystemClock
    from aibridged.identity.spend_limits import SpendLimitStore
    from aibridged.records import spend

    return SpendLimitStore(opened(settings, access), SystemClock(), spend)


def _reading(settings: "Settings") -> Any:
    from aibridged.clock import SystemClock
    from aibridged.records.query import Query
    from aibridged.records.viewer import NO_TEXTS

    return Query(opened(settings, Access.READ), SystemClock(), NO_TEXTS).reading()


def _whose(scope: "Scope", name: str | None) -> str:
    """Whom a limit is for: `group staff`, `organization`."""
    noun = _NOUNS.get(scope.value, scope.value)
    return f"{noun} {printable(name)}" if name else noun


def _source(standing: "LimitStanding | Budget") -> str:
    limit = standing.limit
    if limit is None:
        return "none"
    return _whose(limit.scope, standing.name or limit.scope_id)


def _shown(nanos: int) -> str:
    from aibridged.core.money import shown

    return shown(nanos, None)


def _amount(limit: "Limit | None") -> str:
    from aibridged.core.budgets import CENT
    from aibridged.core.money import shown_cents

    if limit is None or limit.cents is None:
        return UNLIMITED
    return shown_cents(limit.cents * CENT)


def _left(standing: "LimitStanding | Budget") -> int | None:
    """Nano-dollars that are left, None where the limit is unlimited."""
    from aibridged.core.budgets import CENT

    if standing.limit is None or standing.limit.cents is None:
        return None
    return max(0, standing.limit.cents * CENT - standing.spent.used_nanos)


def _share(standing: "LimitStanding | Budget") -> float | None:
    from aibridged.api.budget_standings import share

    return share(standing.limit, standing.spent)


def _left_text(standing: "LimitStanding | Budget") -> str:
    left = _left(standing)
    return "-" if left is None else _shown(left)


def _money(name: str, value: Callable[[Any], str], heading: str = "") -> "Column[Any]":
    return Column(name, value, heading, Kind.MONEY)


_COLUMNS: "tuple[Column[LimitStanding], ...]" = (
    Column("scope", _source, "LIMIT", cut=True),
    Column("period", lambda each: each.limit.period.value),
    _money("amount", lambda each: _amount(each.limit)),
    _money("used", lambda each: _shown(each.spent.used_nanos)),
    Column("share", _share, "SHARE", Kind.SHARE),
    Column("fullest", lambda each: each.fullest, "BY", cut=True, spare=True),
    Column("people", lambda each: each.people, kind=Kind.COUNT, spare=True),
    Column("resets_at", lambda each: each.resets_at, "RESETS", Kind.TIME),
    Column("id", lambda each: each.limit.id, kind=Kind.ID),
    Column("created_at", lambda each: each.limit.created_at, "CREATED", Kind.TIME, is_shown=False),
    Column("updated_at", lambda each: each.limit.updated_at, "UPDATED", Kind.TIME, is_shown=False),
)
_BUDGET_COLUMNS: "tuple[Column[Budget], ...]" = (
    Column("period", lambda each: each.period.value),
    Column("limit", _source, cut=True),
    _money("amount", lambda each: _amount(each.limit)),
    _money("spent", lambda each: _shown(each.spent.spent_nanos)),
    _money("reserved", lambda each: _shown(each.spent.reserved_nanos)),
    _money("left", _left_text),
    Column("share", _share, "USED", Kind.SHARE),
    Column("resets_at", lambda each: each.resets_at, "RESETS", Kind.TIME),
)


def _why(found: "Sequence[Budget]") -> Iterator[str]:
    """Which limits count, in sentences."""
    if all(each.limit is None for each in found):
        yield "No limit counts: what they spend is unlimited."
    for each in found:
        limit = each.limit
        if limit is None:
            continue
        if not each.overrides:
            continue
        source = _source(each)
        over = ", ".join(
            f"{_whose(other.scope, other.group)} ({_amount(other)})" for other in each.overrides
        )
        yield f"{limit.period.value.capitalize()}: {source} counts, over {over}."


def _data(limit: "Limit", name: str | None) -> dict[str, Any]:
    from aibridged.core.budgets import CENT
    from aibridged.core.money import dollars

    return {
        "id": limit.id,
        "scope": limit.scope,
        "scope_id": limit.scope_id or None,
        "name": name,
        "period": limit.period,
        "amount": None if limit.cents is None else dollars(limit.cents * CENT),
    }


def _spent_data(standing: "LimitStanding | Budget") -> dict[str, Any]:
    from aibridged.core.money import dollars

    left = _left(standing)
    return {
        "spent": dollars(standing.spent.spent_nanos),
        "reserved": dollars(standing.spent.reserved_nanos),
        "left": None if left is None else dollars(left),
        "share": _share(standing),
        "resets_at": standing.resets_at,
    }


def _standing_data(each: "LimitStanding") -> dict[str, Any]:
    return {
        **_data(each.limit, each.name),
        **_spent_data(each),
        "people": each.people,
        "fullest": each.fullest,
        "created_at": each.limit.created_at,
        "updated_at": each.limit.updated_at,
    }


def _budget_data(each: "Budget") -> dict[str, Any]:
    limit = each.limit
    return {
        "period": each.period,
        "limit": None if limit is None else _data(limit, each.name),
        **_spent_data(each),
        "overrides": [_data(other, other.group) for other in each.overrides],
    }
