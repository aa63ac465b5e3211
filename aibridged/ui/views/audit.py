"""The audit log in sentences: who changed what, and when."""

from collections.abc import Mapping
from typing import Any

from aibridged.errors import GatewayError
from aibridged.ui.page import Html, Page, Role, Visit
from aibridged.ui.views.lists import cursor, in_path, pager, terms

_FILTERS = ("actor", "action", "target", "started_after", "started_before")
_PAGE = "50"
_KINDS = ("user", "token", "group", "sign_in", "spend_limit", "request", "texts", "mcp_token")
_VERBS = {
    "user.create": "created the user",
    "user.edit": "changed the user",
    "user.suspend": "suspended",
    "user.resume": "resumed",
    "user.delete": "deleted the user",
    "user.erase": "erased",
    "token.create": "created the token",
    "token.renew": "renewed the token",
    "token.revoke": "revoked the token",
    "group.create": "created the group",
    "group.delete": "deleted the group",
    "group.add": "added members to the group",
    "group.remove": "removed members from the group",
    "sign_in.create": "signed in",
    "sign_in.end": "ended a sign-in of",
    "spend_limit.upsert": "set a spend limit:",
    "spend_limit.delete": "deleted a spend limit:",
    "request.end": "ended the request",
    "texts.show": "looked at texts of",
    "texts.list": "looked through texts of",
    "texts.search": "searched the texts of",
    "texts.export": "exported texts of",
    "mcp_token.set": "set a token for an MCP server of",
    "mcp_token.remove": "removed a token for an MCP server of",
}


_SCOPES = {
    "organization": "everybody",
    "rbac_group": "each member of a group",
    "group_pool": "a group together",
    "user": "a user",
    "token": "a token",
}


async def audit(visit: Visit) -> Html:
    """A page of the log, the newest first."""
    chosen = {name: visit.query.get(name, "").strip() for name in _FILTERS}
    asked = {name: value for name, value in chosen.items() if value}
    found: Mapping[str, Any] = {"count": 0, "results": [], "more": False}
    error = ""
    try:
        found = await visit.ask("/audit", "GET", None, q=terms(asked), limit=_PAGE, **cursor(visit))
    except GatewayError as refused:
        if refused.kind.status != 400:
            raise
        error = refused.message
    rows = [{**row, **sentence(row)} for row in found["results"]]
    values = {
        "rows": rows,
        "count": found["count"],
        "chosen": chosen,
        "kinds": _KINDS,
        "is_filtered": bool(asked),
        **pager(visit, found, asked),
        "error": error,
    }
    return Html("people/audit.html", values, 400 if error else 200)


def sentence(row: Mapping[str, Any]) -> dict[str, str]:
    """What a row says: a verb, its object, and the path of the object's page, if it has one."""
    action, target, username = row["action"], row["target"], row["username"]
    kind = action.partition(".")[0]
    verb = _VERBS.get(action, action)
    if kind == "token":
        owner = f" of {username}" if username else ""
        return {"verb": verb, "object": f"{target}{owner}", "page": ""}
    if kind in ("user", "sign_in", "mcp_token", "texts"):
        is_there = username is not None and action not in ("user.delete", "user.erase")
        page = f"/people/{target}" if is_there else ""
        if action == "sign_in.create" and username == row["actor"]:
            return {"verb": verb, "object": "", "page": ""}
        return {"verb": verb, "object": username or target, "page": page}
    if kind == "spend_limit":
        state = row["after"] or row["before"] or {}
        scope = _SCOPES.get(str(state.get("scope")), "")
        return {
            "verb": verb,
            "object": f"{state.get('period', '')} of {scope or target}",
            "page": "",
        }
    if kind == "request":
        return {"verb": verb, "object": target, "page": f"/interceptions/{in_path(target)}"}
    is_there = kind == "group" and action != "group.delete"
    page = f"/groups/{in_path(target)}" if is_there else ""
    return {"verb": verb, "object": target, "page": page}


PAGES = (Page("/audit", "Audit", audit, role=Role.ADMIN, nav="Audit", key="a"),)
