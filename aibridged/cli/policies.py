"""`aibridged policies`: what the policies of the settings grant, and to whom."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.database import found_settings, takes_database
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    Username,
    as_json,
    errors_are_told,
    opened,
    show,
)
from aibridged.cli.options import takes, without_mistakes

if TYPE_CHECKING:
    from aibridged.config.options import PolicySettings, Settings
    from aibridged.core.policies import Policy

_NEEDED = ("policies",)
_ALL, _NONE = "all", "none"
_NOT_RESTRICTED = "-"


def _items(items: Sequence[str] | None, unset: str) -> str:
    return unset if items is None else ", ".join(items) or _NONE


def _number(value: int | None) -> str:
    return _NOT_RESTRICTED if value is None else str(value)


def _managed(policy: "PolicySettings") -> str:
    if policy.claude_code is None:
        return _NOT_RESTRICTED
    import json

    return ", ".join(json.loads(policy.claude_code)) or "{}"


def _session(policy: "PolicySettings") -> str:
    if policy.session is None:
        return _NOT_RESTRICTED
    from aibridged.config.policy_limits import SESSION

    return SESSION.show(policy.session)


def _budget(policy: "PolicySettings") -> str:
    if policy.budget is None:
        return _NOT_RESTRICTED
    from aibridged.config.policy_limits import BUDGET

    return BUDGET.show(policy.budget)


_Row = tuple[int, "PolicySettings"]
_COLUMNS: "tuple[Column[_Row], ...]" = (
    Column("number", lambda row: row[0], "#", Kind.COUNT),
    Column("groups", lambda row: _items(row[1].groups, "(everybody)"), cut=True),
    Column("models", lambda row: _items(row[1].models, _ALL), cut=True),
    Column("providers", lambda row: _items(row[1].providers, _ALL), cut=True),
    Column("allow_byok", lambda row: "yes" if row[1].allow_byok else "no", "BYOK"),
    Column("rate_limit", lambda row: _number(row[1].rate_limit), "RATE"),
    Column("max_concurrency", lambda row: _number(row[1].max_concurrency), "AT ONCE"),
    Column("mcp_servers", lambda row: _items(row[1].mcp_servers, _ALL), "MCP", cut=True),
    Column("claude_code", lambda row: _managed(row[1]), "CLAUDE CODE", cut=True, is_shown=False),
    Column("session", lambda row: _session(row[1]), cut=True, is_shown=False),
    Column("budget", lambda row: _budget(row[1]), cut=True, is_shown=False),
)


def policies() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="policies", no_args_is_help=True, help="Show what people are granted by their groups."
    )
    group.command("list")(takes(_NEEDED, _list, resolve=_settings))
    group.command("explain")(takes_database(_explain, _NEEDED))
    return group


def _settings(flags: Mapping[str, str]) -> "Settings":
    return without_mistakes(found_settings(flags, _NEEDED).resolution)


def _list(
    settings: "Settings",
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List the policies of the settings, in the order in which they are tried.

    A daemon has those that it was started or reloaded with.
    """
    from aibridged.config.policy_limits import policy_fields

    view = chosen(_COLUMNS, wide, columns, output=output)
    show(
        [*enumerate(settings.policies, 1)],
        view,
        output,
        nothing="There are no policies: everything is granted to everybody.",
        data=[policy_fields(each) for each in settings.policies],
    )


def _explain(
    settings: "Settings",
    user: Username,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Name of a model, as clients ask for it.")
    ] = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Explain what a user is granted, and why: by the settings, and the groups in the database.

    A daemon has the policies that it was started or reloaded with, and notices a change of groups
    within a minute (--aibridge-auth-cache-ttl).
    """
    from aibridged.config.policy_limits import policy_fields
    from aibridged.core.policies import Policies
    from aibridged.identity.memberships import Memberships

    with errors_are_told():
        groups = Memberships(opened(settings, Access.READ)).groups_of(user)
    found = Policies(settings.policies).of(groups)
    is_granted = None
    if model is not None:
        is_granted = not settings.policies or (found is not None and found.grants_model(model))
    if output is Output.JSON:
        data = {
            "username": user,
            "groups": groups,
            "policy_number": None if found is None else found.number,
            "policy": None if found is None else policy_fields(found.settings),
            "model": model,
            "model_granted": is_granted,
        }
        typer.echo(as_json(data))
        return
    lines = [f"{user} is in no group." if not groups else f"{user} is in {', '.join(groups)}."]
    lines += _why(settings, groups, found)
    if model is not None:
        lines.append(_verdict(model, found, is_granted=bool(is_granted)))
    typer.echo("\n".join(lines))


def _why(settings: "Settings", groups: Sequence[str], found: "Policy | None") -> Iterator[str]:
    if not settings.policies:
        yield "There are no policies: everything is granted to everybody."
        return
    if found is None:
        yield "No policy fits: nothing is granted."
        return
    policy = found.settings
    if policy.groups is None:
        yield f"Policy {found.number} counts: it is for everybody whom no earlier one fits."
    else:
        theirs = ", ".join(each for each in policy.groups if each in groups)
        yield f"Policy {found.number} counts: it is the first one for a group of theirs ({theirs})."
    byok = "as --aibridge-allow-byok says" if policy.allow_byok else "no"
    for name, value in (
        ("models", _items(policy.models, _ALL)),
        ("providers", _items(policy.providers, _ALL)),
        ("own keys (BYOK)", byok),
        ("requests per second", _number(policy.rate_limit)),
        ("requests at once", _number(policy.max_concurrency)),
        ("MCP servers", _items(policy.mcp_servers, _ALL)),
        ("Claude Code settings", _managed(policy)),
        ("sessions", _session(policy)),
        ("budget", _budget(policy)),
    ):
        yield f"  {name:<21} {value}"


def _verdict(model: str, found: "Policy | None", *, is_granted: bool) -> str:
    from aibridged.cli.cells import printable

    shown = printable(model)
    if not is_granted:
        return f"{shown} is not granted."
    by = None if found is None else found.granting_glob(model)
    return f"{shown} is granted." if by is None else f"{shown} is granted by {by}."
