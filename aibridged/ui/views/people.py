"""People: their list, and a person's page, where administrators see and change them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aibridged.ui.page import Html, Page, Redirect, Role, Visit
from aibridged.ui.views.forms import (
    choices_for,
    groups,
    new_token,
    renewal,
    token_id,
    tried,
)
from aibridged.ui.views.lists import cursor, in_path, pager

_STATUSES = ("active", "suspended")
_PAGE = "50"


async def people(visit: Visit) -> Html:
    """The list, by username."""
    return await _people(visit)


async def create(visit: Visit) -> Html | Redirect:
    """Create a user, and go to their page."""
    form = visit.form

    async def make() -> Redirect:
        body = {
            "username": form.get("username", "").strip(),
            "name": form.get("name", "").strip(),
            "email": form.get("email", "").strip() or None,
            "is_admin": form.get("role") == "admin",
            "is_robot": form.get("role") == "robot",
            "groups": groups(form.get("groups", "")),
        }
        user = await visit.ask("/users", "POST", body)
        return Redirect(f"/people/{user['username']}", f"Created {user['username']}.")

    async def again(error: str) -> Html:
        return await _people(visit, error)

    return await tried(make, again)


async def _people(visit: Visit, error: str = "") -> Html:
    chosen = {name: visit.query.get(name, "").strip() for name in ("q", "status", "group")}
    asked = {name: value for name, value in chosen.items() if value}
    found = await visit.ask("/users", "GET", None, limit=_PAGE, **asked, **cursor(visit))
    values = {
        "found": found,
        "chosen": chosen,
        "statuses": _STATUSES,
        "is_filtered": bool(asked),
        **pager(visit, found, asked),
        "error": error,
        "form": visit.form,
    }
    return Html("people/people.html", values, 400 if error else 200)


async def person(visit: Visit) -> Html:
    """One person: what is known of them, their tokens and sign-ins."""
    return await _person(visit)


async def change(visit: Visit) -> Html | Redirect:
    """Do what one of the page's forms says."""
    do = _CHANGES.get(visit.form.get("do", ""))

    async def make() -> Html | Redirect:
        return await _person(visit, "Nothing was to be done.") if do is None else await do(visit)

    async def again(error: str) -> Html:
        return await _person(visit, error)

    return await tried(make, again)


async def _person(visit: Visit, error: str = "", made: Mapping[str, Any] | None = None) -> Html:
    at = _path(visit)
    found = await visit.ask(at)
    tokens = await visit.ask(f"{at}/tokens", include="revoked" if "revoked" in visit.query else "")
    values = {
        "title": found["username"],
        "person": found,
        "tokens": tokens["results"],
        "shows_revoked": "revoked" in visit.query,
        "lifetimes": choices_for(tokens),
        "at": f"/people/{in_path(visit.id)}",
        "is_self": found["id"] == visit.actor.id,
        "error": error,
        "made": made,
    }
    return Html("people/person.html", values, 400 if error else 200)


def _path(visit: Visit) -> str:
    return f"/users/{in_path(visit.id)}"


def _here(visit: Visit, said: str) -> Redirect:
    return Redirect(f"/people/{in_path(visit.id)}", said)


async def _edit(visit: Visit) -> Redirect:
    form = visit.form
    body: dict[str, Any] = {
        "username": form.get("username", "").strip(),
        "name": form.get("name", "").strip(),
        "email": form.get("email", "").strip(),
        "groups": groups(form.get("groups", "")),
    }
    if "role" in form:
        body["is_admin"] = form["role"] == "admin"
    user = await visit.ask(_path(visit), "PATCH", body)
    return Redirect(f"/people/{user['username']}", f"Changed {user['username']}.")


async def _suspend(visit: Visit) -> Redirect:
    user = await visit.ask(f"{_path(visit)}/suspend", "POST")
    return _here(visit, f"Suspended {user['username']}: their tokens are rejected from now on.")


async def _resume(visit: Visit) -> Redirect:
    user = await visit.ask(f"{_path(visit)}/resume", "POST")
    return _here(visit, f"Resumed {user['username']}: their tokens are accepted again.")


async def _sign_out(visit: Visit) -> Redirect:
    done = await visit.ask(f"{_path(visit)}/sign-out", "POST")
    return _here(visit, f"Signed {done['username']} out. Sign-ins that ended: {done['ended']}.")


async def _delete(visit: Visit) -> Redirect:
    user = await visit.ask(_path(visit), "DELETE")
    return Redirect("/people", f"Deleted {user['username']}. Their records are kept.")


async def _create_token(visit: Visit) -> Html:
    made = await visit.ask(f"{_path(visit)}/tokens", "POST", new_token(visit.form))
    return await _person(visit, made=made)


async def _renew(visit: Visit) -> Redirect:
    token = await visit.ask(f"/tokens/{token_id(visit)}/renew", "POST", renewal(visit.form))
    return _here(visit, f"Renewed the token {token['id']}.")


async def _revoke(visit: Visit) -> Redirect:
    token = await visit.ask(f"/tokens/{token_id(visit)}", "DELETE")
    return _here(visit, f"Revoked the token {token['id']}.")


_CHANGES: Mapping[str, Callable[[Visit], Awaitable[Html | Redirect]]] = {
    "edit": _edit,
    "suspend": _suspend,
    "resume": _resume,
    "sign-out": _sign_out,
    "delete": _delete,
    "create-token": _create_token,
    "renew": _renew,
    "revoke": _revoke,
}

PAGES = (
    Page(
        "/people",
        "People",
        people,
        role=Role.ADMIN,
        nav="People",
        key="p",
        post=create,
        needs_users=True,
    ),
    Page("/people/{id}", "Person", person, role=Role.ADMIN, post=change),
)
