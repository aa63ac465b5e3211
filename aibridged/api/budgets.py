"""`GET /budgets`: spend limits with what is used of them, of everybody or of one person."""

from collections.abc import Mapping

from aibridged.api import budget_shapes as shapes
from aibridged.api.budget_standings import budgets_of, overview
from aibridged.api.filters import BadFilterError, read_limit, read_offset
from aibridged.api.people import read_words
from aibridged.core.budgets import Scope
from aibridged.identity.audit import who_changed
from aibridged.identity.spend_limits import UPSERT
from aibridged.identity.spend_scopes import NoSuchScopeError, find_scope
from aibridged.identity.spenders import spenders
from aibridged.records.query import Query


def scope(query: Query, given: Mapping[str, str]) -> shapes.BudgetScope:
    """Whom a limit is for that is named.

    Raises:
        BadFilterError: there is no such scope.
        QueryFailedError: it took too long, or the database is unavailable.
    """
    kind, name = given.get("scope", ""), read_words(given, "name") or ""
    if kind not in [*Scope]:
        raise BadFilterError(f"scope is one of {', '.join(Scope)}.")
    with query.reading() as connection:
        try:
            key = find_scope(connection, Scope(kind), name)
        except NoSuchScopeError as error:
            raise BadFilterError(str(error)) from None
    return shapes.BudgetScope(scope=key.scope, scope_id=key.id)


def budgets(query: Query, given: Mapping[str, str], owner: str | None) -> shapes.Budgets:
    """The budgets that the query parameters ask for; `owner` is the person, None for all limits.

    Raises:
        BadFilterError: a parameter isn't what it should be.
        QueryFailedError: it took too long, or the database is unavailable.
    """
    limit, offset, sort = read_limit(given), read_offset(given), given.get("sort") or None
    if sort not in (None, "share"):
        raise BadFilterError("sort is share, or isn't given.")
    with query.reading() as connection:
        if owner is None:
            limits = overview(connection, query.now())
            found = [shapes.of_limit(each) for each in limits]
        else:
            (person,) = spenders(connection, [owner])
            found = [shapes.of_person(each) for each in budgets_of(connection, query.now(), person)]
        if sort == "share":
            found.sort(key=lambda each: -1.0 if each.share is None else each.share, reverse=True)
        page = found[offset : offset + limit]
        for each in page if owner is None else ():
            if each.id is not None and each.changed_at is not None:
                each.changed_by = who_changed(connection, UPSERT, each.id, each.changed_at)
    return shapes.Budgets(count=len(found), budgets=page, more=offset + limit < len(found))
