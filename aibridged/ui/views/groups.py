"""Groups: their list, and a group's page with its members."""

from aibridged.ui.page import Html, Page, Redirect, Role, Visit
from aibridged.ui.views.forms import tried, usernames
from aibridged.ui.views.lists import cursor, in_path, pager

_PAGE = "50"


async def groups(visit: Visit) -> Html:
    """The list, by name."""
    return await _groups(visit)


async def create(visit: Visit) -> Html | Redirect:
    """Create a group, and go to its page."""

    async def make() -> Redirect:
        group = await visit.ask("/groups", "POST", {"name": visit.form.get("name", "").strip()})
        return Redirect(f"/groups/{group['id']}", f"Created the group {group['name']}.")

    async def again(error: str) -> Html:
        return await _groups(visit, error)

    return await tried(make, again)


async def _groups(visit: Visit, error: str = "") -> Html:
    text = visit.query.get("q", "").strip()
    asked = {"q": text} if text else {}
    found = await visit.ask("/groups", "GET", None, limit=_PAGE, **asked, **cursor(visit))
    values = {
        "found": found,
        "q": text,
        **pager(visit, found, asked),
        "error": error,
        "form": visit.form,
    }
    return Html("people/groups.html", values, 400 if error else 200)


async def group(visit: Visit) -> Html:
    """One group with its members."""
    return await _group(visit)


async def change(visit: Visit) -> Html | Redirect:
    """Add or remove members, or delete the group."""
    at, do = f"/groups/{in_path(visit.id)}", visit.form.get("do", "")

    async def make() -> Html | Redirect:
        if do == "delete":
            gone = await visit.ask(at, "DELETE")
            return Redirect("/groups", f"Deleted the group {gone['name']}. Its members stay.")
        if do not in ("add", "remove"):
            return await _group(visit, "Nothing was to be done.")
        users = usernames(visit.form.get("users", ""))
        await visit.ask(f"{at}/{do}", "POST", {"users": users})
        how = "Added" if do == "add" else "Removed"
        return Redirect(at, f"{how} {', '.join(users[:5])}{' and more' if len(users) > 5 else ''}.")

    async def again(error: str) -> Html:
        return await _group(visit, error)

    return await tried(make, again)


async def _group(visit: Visit, error: str = "") -> Html:
    at = f"/groups/{in_path(visit.id)}"
    found = await visit.ask(at)
    members = await visit.ask(
        "/users", "GET", None, group=found["name"], limit=_PAGE, **cursor(visit)
    )
    values = {
        "title": found["name"],
        "group": found,
        "members": members,
        **pager(visit, members, {}),
        "at": at,
        "error": error,
        "form": visit.form,
    }
    return Html("people/group.html", values, 400 if error else 200)


PAGES = (
    Page(
        "/groups",
        "Groups",
        groups,
        role=Role.ADMIN,
        nav="Groups",
        key="r",
        post=create,
        needs_users=True,
    ),
    Page("/groups/{id}", "Group", group, role=Role.ADMIN, post=change),
)
